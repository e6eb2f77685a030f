from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from msgspec import UNSET

from engine.errors import LangError, MappingFailed
from engine.lang.template import compile_template
from tests.support.house import ROOT

EVENT: dict[str, Any] = {
    "event": "Order Completed",
    "userId": "U1 ",
    "email": "Ada@Example.com",
    "timestamp": "2026-11-23T02:46:10.177Z",
    "empty": "reserved",
    "properties": {
        "price": "19.99",
        "count": 3,
        "whole": 12.0,
        "nothing": None,
        "gift": True,
        "json": '{"a": [1]}',
        "products": [{"sku": "s1", "price": 1.5}, {"sku": "s2"}],
        "address": {"city": "Köln"},
        "big": 12345678901234567890,
    },
}
VARIABLES = {"row": EVENT, "context": {"sync": "orders", "attempt": 1}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ row['properties'].price | cast : 'number'}}", 19.99),
        ("{{ row['properties'].price | cast: 'number' }}", 19.99),
        ('{{row.properties.price|cast:"number"}}', 19.99),
        ("{{ row.properties.price }}", "19.99"),
        ("{{ row.properties.count }}", 3),
        ("{{ row.properties.gift }}", True),
        ("{{ row.properties.nothing }}", None),
        ("{{ row.properties.address }}", {"city": "Köln"}),
        ("{{ row.properties.products }}", EVENT["properties"]["products"]),
        ("{{ row.properties.products[0].sku }}", "s1"),
        ("{{ row.properties.products.last.sku }}", "s2"),
        ("{{ row.properties.products.size }}", 2),
        ("{{ row.properties.products | map: 'price' }}", [1.5, None]),
        ("{{ row.properties.products | map: 'sku' | join: ',' }}", "s1,s2"),
        ("{{ row.properties.big }}", 12345678901234567890),
        ("{{ row.absent }}", UNSET),
        ("{{ row.absent.deeper }}", UNSET),
        ("{{ row.properties.nothing.deeper }}", UNSET),
        ("{{ row.absent | cast: 'number' }}", UNSET),
        ("{{ row.absent | sha256 }}", UNSET),
        ("{{ row.absent | default: 'x' }}", "x"),
        ("{{ row.absent | default: 0 }}", 0),
        ("{{ context.sync }}", "orders"),
        (" {{ row.properties.count }}\n", 3),
        ("no. {{ row.properties.count }}", "no. 3"),
        ("{{ row.event }}/{{ row.absent }}/{{ row.properties.nothing }}", "Order Completed//"),
        ("{{ row.properties.address }}!", '{"city":"Köln"}!'),
        ("{{ row.properties.products }}!", '[{"sku":"s1","price":1.5},{"sku":"s2"}]!'),
        ("{{ row.properties.whole }}!", "12!"),
        ("{{ row.properties.gift }}!", "true!"),
        (
            "{{ row.email | downcase | strip | sha256 }}",
            "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72",
        ),
        ("{{ row.email | md5 }}", "f92f547d9aea9c2a9ee5ddfeef98d2f8"),
        ("{{ row.email | hmac_sha256: 'key' }}", "eaca70ba2c61df1b0a54738a39e8c9de4280f6c3d92fff69620d841fe1e2ddd4"),
        ("{{ row.event | base64 }}", "T3JkZXIgQ29tcGxldGVk"),
        ("{{ row.properties.json | parse_json }}", {"a": [1]}),
        ("{{ row.properties.address | to_json }}", '{"city":"Köln"}'),
        ("{{ row.properties.address | json }}", '{"city":"Köln"}'),
        ("{{ row.event | regex_replace: '[A-Z]', '_' }}", "_rder _ompleted"),
        ("{{ row.event | regex_replace: '(\\w+) (\\w+)', '$2 $1' }}", "Completed Order"),
        ("{{ row.event | regex_test: '^Order' }}", True),
        ("{{ row.timestamp | to_unix }}", 1795401970),
        ("{{ row.timestamp | to_unix_ms }}", 1795401970177),
        ("{{ 1795401970 | to_iso }}", "2026-11-23T02:46:10.000Z"),
        ("{{ row.timestamp | date: '%d.%m.%Y' }}", "23.11.2026"),
        ("{{ row.timestamp | cast: 'date' }}", "2026-11-23T02:46:10.177Z"),
        ("{{ row.event | append: '!' | prepend: row.properties.count }}", "3Order Completed!"),
        ("{{ row.event | replace: 'e', 'E' }}", "OrdEr ComplEtEd"),
        ("{{ row.event | replace_first: 'e', 'E' }}", "OrdEr Completed"),
        ("{{ row.event | replace_last: 'e', 'E' }}", "Order ComplettEd".replace("tt", "t")),
        ("{{ row.event | split: ' ' }}", ["Order", "Completed"]),
        ("{{ row.event | size }}", 15),
        ("{{ row.properties.gift | upcase }}", "TRUE"),
        ("{% if row.properties.count > 2 %}many{% else %}few{% endif %}", "many"),
        ("{% for p in row.properties.products %}{{ p.sku }};{% endfor %}", "s1;s2;"),
        ("{% assign x = row.properties.count | plus: 1 %}{{ x }}", "4"),
    ],
)
def test_a_template_gives_a_typed_value_or_text(text, value):
    template = compile_template(text)
    found = template.render(VARIABLES)

    assert found == value
    assert type(found) is type(value)
    assert template.interpret(VARIABLES) == found


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "{{ row.x | cast: \u2018number\u2019 }}",
            "a curly quote: write ' or \"\n    {{ row.x | cast: \u2018number\u2019 }}\n                     ^",
        ),
        (
            "{{ row.x | caste: 'a' }}",
            "unknown filter 'caste': did you mean 'cast'?\n    {{ row.x | caste: 'a' }}\n               ^",
        ),
        ("{{ row.x | frob }}", "unknown filter 'frob'\n    {{ row.x | frob }}\n               ^"),
        (
            "{{ row.x | cast }}",
            (
                "the filter 'cast' got wrong arguments: missing a required argument: 'kind'\n"
                "    {{ row.x | cast }}\n               ^"
            ),
        ),
        (
            "{{ row.x | upcase: 1 }}",
            (
                "the filter 'upcase' got wrong arguments: too many positional arguments\n"
                "    {{ row.x | upcase: 1 }}\n               ^"
            ),
        ),
        (
            "{{ row.x | cast: 'nubmer' }}",
            "'cast' knows no 'nubmer': did you mean 'number'?\n    {{ row.x | cast: 'nubmer' }}\n               ^",
        ),
        (
            "{{ row.x | regex_test: '(' }}",
            ("the pattern of 'regex_test' is wrong: missing ): (\n    {{ row.x | regex_test: '(' }}\n               ^"),
        ),
        (
            "{{ (1..20000000) | join: ',' }}",
            "a range may be 1000 wide, this one is 20000000\n    {{ (1..20000000) | join: ',' }}\n       ^",
        ),
        (
            "{{ properties.price }}",
            (
                "unknown variable 'properties': a field of the event is written row.properties\n"
                "    {{ properties.price }}\n       ^"
            ),
        ),
        ("{{ now }}", "unknown variable 'now': a field of the event is written row.now\n    {{ now }}\n       ^"),
        (
            "{{ item.sku }}",
            "unknown variable 'item': a field of the event is written row.item\n    {{ item.sku }}\n       ^",
        ),
        ("{% include 'x' %}", "unexpected tag 'include'\n    {% include 'x' %}\n       ^"),
        ("a\nb {{ row.x", "expected '}}', found end of file\n    b {{ row.x\n      ^"),
        ("{{ row.a" + " | upcase" * 9 + " }}", "more than 8 filters in a row\n    %s\n               ^"),
        ("x" * 4001, "a template may have 4000 characters, this one has 4001"),
    ],
)
def test_a_wrong_template_is_refused_at_load(text, error):
    with pytest.raises(LangError) as caught:
        compile_template(text)

    assert str(caught.value) == error.replace("%s", text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{{ row.event | cast: 'number' }}", 'cannot cast "Order Completed" to a number'),
        ("n: {{ row.event | cast: 'number' }}", 'cannot cast "Order Completed" to a number'),
        ("{{ row.event | parse_json }}", 'not JSON: "Order Completed"'),
        ("{{ row.event | to_unix }}", 'not a date: "Order Completed"'),
        ("{{ row.properties.count | divided_by: 0 }}", "divided_by: can't divide by 0"),
        ("{{ '1e400' | times: 100 }}", "the result is inf, and JSON has no infinity and no NaN"),
        (
            "{% assign n = 20000000 %}{{ (1..n) | join: ',' }}",
            "the range (1..n) is 20000000 wide, more than 1000",
        ),
        ("{{ row.event | cast: row.event }}", "'cast' knows no \"Order Completed\""),
    ],
)
def test_a_template_that_fails_says_which_and_why(text, error):
    template = compile_template(text)
    for render in (template.render, template.interpret):
        with pytest.raises(MappingFailed) as caught:
            render(VARIABLES)

        assert str(caught.value) == f"the template {text}: {error}"


DOUBLED = "{% assign s = '0123456789' %}" + "{% assign s = s | append: s %}" * 40 + "{{ s }}"


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in row.many %}{% for b in row.many %}{% for c in row.many %}x{% endfor %}{% endfor %}{% endfor %}",
        DOUBLED,
        "{% assign s = 'aaaaaaaaaa' %}" + "{% assign s = s | replace: 'a', s %}" * 9 + "{{ s }}",
        "{% assign s = 'aaaaaaaaaa' %}" + "{% assign s = s | regex_replace: 'a', s %}" * 9 + "{{ s }}",
        "{{ row.long | replace: '', row.long }}",
        "{{ row.long | split: '' | join: row.long }}",
        "{% assign n = 9 %}" + "{% assign n = n | times: n %}" * 40 + "{{ n }}",
        "{% capture s %}" + "{% for a in row.many %}{{ row.long }}{% endfor %}{% endcapture %}{{ s }}",
        "{% assign a = row.many %}" + "{% assign a = a | concat: a %}" * 30 + "{{ a | size }}",
    ],
)
def test_a_hostile_template_is_stopped_by_a_limit(text):
    variables = {"row": {"many": list(range(100)), "long": "x" * 30_000}, "context": {}}

    with pytest.raises(MappingFailed):
        compile_template(text).render(variables)


def test_the_fields_a_template_looks_at_are_known():
    found = compile_template("{{ row['a.b'].c }} {% if row.d[0].e == context.sync %}{{ row.f[row.g] }}{% endif %}")

    assert [str(path) for path in found.references] == ["a\\.b.c", "d[0].e", "f", "g"]


WORDS = [
    *["empty", "blank", "contains", "and", "or", "not", "in", "true", "false", "nil", "null", "with", "for", "as"],
    *["if", "else", "limit", "offset", "reversed", "cols", "continue", "required"],
]


@pytest.mark.parametrize("word", WORDS)
def test_a_field_may_be_called_like_a_word_of_liquid(word):
    variables = {"row": {word: {word: 1}}, "context": {}}

    assert compile_template(f"{{{{ row.{word}.{word} }}}}").render(variables) == 1
    assert compile_template(f"{{% if row.{word}.{word} == 1 and row.{word} %}}y{{% endif %}}").render(variables) == "y"
    assert compile_template(f"{{% assign x = row.{word}.{word} | plus: 1 %}}{{{{ x }}}}").render(variables) == "2"


def test_a_check_without_templates_does_not_pay_for_liquid():
    code = """
import sys
from engine.lang.filters import compile_filter
from engine.lang.mapping import compile_mapping
import engine.plan.compile
compile_filter("a = 1")
compile_mapping({"a": "b.c", "d": {"value": 1}}, variables={})
print(*sorted({"liquid", "re2"} & set(sys.modules)))
compile_mapping({"a": "{{ row.b }}"}, variables={})
print(*sorted({"liquid", "re2"} & set(sys.modules)))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert told.stdout == "\nliquid re2\n"


def test_an_each_has_an_item():
    template = compile_template("{{ item.sku | upcase }}", in_each=True)

    assert template.render({"row": {}, "context": {}, "item": {"sku": "s1"}}) == "S1"
