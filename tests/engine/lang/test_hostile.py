"""Templates that try to stop the loop or to fill the memory: each is stopped by a limit that is counted, not timed."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import LangError, MappingFailed
from engine.lang.limits import MOST_STEPS
from engine.lang.mapping import compile_mapping
from engine.lang.template import compile_template

EVENT: dict[str, Any] = {
    "many": list(range(100)),
    "long": "x" * 30_000,
    "short": "x" * 9_000,
    "numbers": "9" * 9_000,
    "wide": "1e99999999",
    "objects": [{"a": "v" * 300, "b": number} for number in range(90)],
}
ASSIGNED = "{% assign s = 'aaaaaaaaaa' %}"
LOOP = "{% for i in row.many %}"
THOUSAND = "{% for i in (1..1000) %}"
STEPS = f"it takes more than {MOST_STEPS} steps"


def too_long(characters: int) -> str:
    return f"the text would have {characters} characters, more than 1048576"


def stopped_at_load(text: str) -> str:
    with pytest.raises(LangError) as caught:
        compile_template(text)
    return str(caught.value).partition("\n")[0]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{{ (1..20000000) | join: ',' }}", "a range may be 1000 wide, this one is 20000000"),
        ("{% for i in (-999999999..999999999) %}x{% endfor %}", "a range may be 1000 wide, this one is 1999999999"),
        ("{% assign a = (1..1001) %}", "a range may be 1000 wide, this one is 1001"),
        ("{{ row.long" + " | append: row.long" * 9 + " }}", "more than 8 filters in a row"),
        ("{{ 1 | plus: 1 }}" * 300, "a template may have 4000 characters, this one has 5100"),
        ("{% if true %}" * 31 + "{% endif %}" * 31, "block nesting limit reached"),
        ("{% include row.long %}", "unexpected tag 'include'"),
        ("{% render 'x' %}", "unexpected tag 'render'"),
        ("{% tablerow i in row.many cols:1 %}{% endtablerow %}", "unexpected tag 'tablerow'"),
        ("{{ row.a | regex_test: '(a+)+(?=b)' }}", None),
        ("{{ row.a | regex_test: '(((a{9}){9}){9}){9}' }}", None),
        ("{{ row.a | regex_test: '" + "a?" * 251 + "' }}", None),
        ("{{ row.a | regex_test: '((a|b|c|d){50}){20}' }}", None),
    ],
)
def test_a_hostile_template_is_refused_at_load(text, error):
    found = stopped_at_load(text)

    assert found == error or (error is None and found.startswith("the pattern of 'regex_test' is wrong: "))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{% assign n = 20000000 %}{{ (1..n) | join: ',' }}", "the range (1..n) is 20000000 wide, more than 1000"),
        (LOOP * 3 + "x" + "{% endfor %}" * 3, "loop iteration limit reached"),
        ((THOUSAND + "x{% endfor %}") * 40, STEPS),
        (THOUSAND + "{% if false %}{% endif %}" * 100 + "{% endfor %}", STEPS),
        (THOUSAND + "{% assign x = row.long | upcase | downcase | strip %}{% endfor %}", STEPS),
        (THOUSAND + "{% if row.long contains 'y' %}{% endif %}{% endfor %}", STEPS),
        (THOUSAND + "{{ row.objects | map: 'a' | size }}{% endfor %}", STEPS),
        (THOUSAND + "{% cycle 'a', 'b' %}{% increment n %}" * 1 + "{% case i %}{% when 1 %}{% endcase %}" * 9
         + "{% endfor %}", STEPS),
        ("{{ row.long | sha256 }}" * 170, STEPS),
        ("{{ row.long | escape | url_encode | size }}" * 90, STEPS),
        (ASSIGNED + "{% assign s = s | append: s %}" * 40, STEPS),
        (ASSIGNED + "{% assign s = s | prepend: s %}" * 40, STEPS),
        (ASSIGNED + "{% assign s = s | replace: 'a', s %}" * 9, too_long(100010000)),
        ("{{ row.long | replace: 'x', row.long }}", too_long(900030000)),
        ("{{ row.long | replace: '', row.long }}", too_long(900060000)),
        ("{{ row.short | regex_replace: 'x', row.long }}", "the text would have more than 1048576 characters"),
        ("{{ row.short | regex_replace: 'x' }}", "the pattern matches more than 1000 times"),
        ("{{ row.long | regex_replace: '(x+x+)+y' }}",
         "a text that is searched may have 10000 characters, this one has 30000"),
        ("{{ row.short | regex_test: row.short }}", "a pattern may have 500 characters, this one has 9000"),
        ("{{ row.long | split: '' }}", "the array would have 30000 items, more than 10000"),
        ("{{ row.short | split: '' | join: row.long }}", too_long(270009000)),
        ("{% assign a = row.many %}" + "{% assign a = a | concat: a %}" * 30,
         "the array would have 12800 items, more than 10000"),
        ("{% assign a = row.objects %}" + "{% assign a = a | concat: a %}" * 30, too_long(1923840)),
        ("{% capture s %}" + LOOP + "{{ row.long }}{% endfor %}{% endcapture %}", "output stream limit reached"),
        (LOOP + "{{ row.long }}{% endfor %}", "output stream limit reached"),
        ("{% assign n = 9 %}" + "{% assign n = n | times: n %}" * 40,
         "the product is a number of more than 300 digits"),
        ("{{ row.numbers | times: row.numbers }}", None),
        ("{{ row.numbers | plus: 1 }}", None),
        ("{{ row.wide | ceil }}", "cannot convert float infinity to integer"),
        ("{{ row.wide | divided_by: 3 }}", "the result is inf, and JSON has no infinity and no NaN"),
        ("{{ 0 | date: row.long }}", "a date's pattern may have 200 characters, this one has 30000"),
        ("{{ row.long | cast: 'number' }}", None),
    ],
)  # fmt: skip
def test_a_hostile_template_is_stopped_by_a_limit(text, error):
    template = compile_template(text)
    with pytest.raises(MappingFailed) as caught:
        template.render({"row": EVENT, "context": {}})

    cause = str(caught.value).removeprefix(f"the template {text}: ")
    assert cause == error or (error is None and len(cause) < 150)


def test_a_hostile_template_fails_its_field_only_in_words():
    mapping = compile_mapping({"a": "{{ row.long | split: '' }}"}, variables={})
    with pytest.raises(MappingFailed) as caught:
        mapping.apply(EVENT)

    assert str(caught.value) == (
        "a: the template {{ row.long | split: '' }}: the array would have 30000 items, more than 10000"
    )


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in (1..1000) %}{{ i }},{% endfor %}",
        "{% for i in row.objects %}{{ i.a | upcase }}{% unless forloop.last %},{% endunless %}{% endfor %}",
        "{{ row.long | upcase | downcase | sha256 }}",
        "{{ row.short | regex_test: '(x+x+)+y' }}",
        "{{ row.short | split: '' | uniq | size }}",
        "{{ row.objects | map: 'b' | sort | reverse | join: ',' }}",
    ],
)
def test_what_is_only_large_is_not_hostile(text):
    template = compile_template(text)
    variables = {"row": EVENT, "context": {}}

    assert template.render(variables) == template.interpret(variables)
