"""Random texts into the four parsers: each is read or refused in words; nothing else comes out, and nothing hangs."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engine.config.load import load
from engine.errors import ConfigError, LangError, MappingFailed
from engine.lang.filters import compile_filter
from engine.lang.mapping import MappingErrors, compile_mapping
from engine.lang.path import getter, parse
from engine.lang.template import compile_template
from engine.plan import compile_plan
from tests.support.plans import REGISTRY

SEED = 20261123
EVENT: dict[str, Any] = {"a": {"b": [1, {"c": "x"}], "d": None}, "event": "Order", "x y": 1.5, "t": True, "0": "z"}

LETTERS = " \t\nab01.\\[]{}()<>=!,:;|'\"%#-_*?$/äß\u0130\u2018\u201d\U0001f600\x00\x7f"


def words(text: str) -> list[str]:
    """Return what stands between two spaces or line ends; one space may be part of it."""
    return re.split(r" {2,}|\n *", text.strip())


WORDS = {
    "reference": words(r"""
        a  b.c  ['a.b']  ["x"]  [0]  [99999999999]  \.  \\  ..  .  \  ['  ']  a[0][1].b  ["  0  é
    """),
    "filter": words(r"""
        a  event  =  !=  <  >=  and  or  not  in  (  )  ,  "x"  'y'  1  -2.5  1e9  1e999  true  null  exists(a)
        contains(  match(a, 'x*')  length(a)  typeof  a.b[0]  ['and']  !  ==  AND  starts_with(a.b[1].c, "x")
        lowercase(event)
    """),
    "template": words(r"""
        {{  }}  {%  %}  {{-  -%}  row.a  row['x y']  item  context.s  |  cast: 'number'  upcase  default: row.b
        if  endif  else  for i in row.a  endfor  (1..3)  (1..row.a)  assign x =  capture c  endcapture
        case row.a  when 1  endcase  '  "
        ==  regex_replace: '(a  contains  raw  endraw  comment  endcomment  liquid  cycle 'a','b'  row.empty
        split: ''
        join  x  1.5  | date: '%Y'  | concat: row.a.b  increment n  {% break %}  forloop.index  | slice: 1, 2
        nil  blank  ..
    """),
    "config": words(r"""
        =  [  ]  [[  {  }  "  1  true  [syncs.a]  source  destination = 'box'  filter =  '{{ row.a }}'  5s
        2026-01-01
        nan  #  env:X  include = ['x']  mapping  event_types  .  [contracts.c]  rate = "x"  match = "all"
        order_by = "a.."
    """),
}
GOOD = {
    "reference": [r"foo \. bar.baz", "properties.products[0].sku", "['a.b'][\"c\"].d", "event"],
    "filter": [
        'event = "Order Completed" and (properties.total >= 100 or not exists(properties.coupon))',
        "a in (1, 'x', null) or !match(event, \"O*\") and length(a.b) > 1",
    ],
    "template": [
        "{{ row['properties'].price | cast : 'number'}}",
        "{% for i in row.a.b %}{{ i | json }}{% unless forloop.last %},{% endunless %}{% endfor %}",
        "{% if row.t and row.event contains 'O' %}{{ row.event | regex_replace: '[A-Z]', '' | upcase }}{% endif %}",
    ],
    "config": [
        """\
[sources.shop]
write_keys = ["k"]
[destinations.box]
type = "box"
rate = "5/s"
[destinations.box.retry]
backoff = "5s..5m"
[syncs.orders]
source = "shop"
destination = "box"
[[syncs.orders.event_types]]
type = "purchase"
filter = 'event = "Order" and a.b[0] > 1'
[syncs.orders.event_types.mapping]
id = "a.b"
price = "{{ row.price | cast: 'number' }}"
products = { each = "a.b", as = { sku = "c", n = { from = "d", default = 1 } } }
[[syncs.orders.event_types]]
type = "custom"
[syncs.orders.event_types.mapping]
attributes = { flatten = "a", separator = "_" }
"""
    ],
}


def read_reference(text: str) -> None:
    path = parse(text)
    assert repr(path.get(EVENT)) == repr(getter(path)(EVENT))


def read_filter(text: str) -> None:
    found = compile_filter(text)
    assert found.test(EVENT) is found.interpret(EVENT)


def read_template(text: str) -> None:
    mapping = compile_mapping({"x": {"template": text}}, variables={})
    try:
        mapping.apply(EVENT)
    except MappingFailed as error:
        assert str(error).startswith("x: the template ")  # noqa: PT017 - it need not fail
    compile_template(text)


def read_config(text: str) -> None:
    def read_file(path: Path) -> bytes:
        if path.name != "config.toml":
            raise FileNotFoundError(path)
        return text.encode(errors="surrogatepass")

    compile_plan(load("config.toml", env={}, read_file=read_file), REGISTRY)


class Parser(NamedTuple):
    """One of the four.

    Attributes:
        read: reads a text, and uses what it read.
        texts: how many of 100.
    """

    read: Callable[[str], None]
    texts: int


PARSERS = {
    "reference": Parser(read_reference, 40),
    "filter": Parser(read_filter, 33),
    "template": Parser(read_template, 23),
    "config": Parser(read_config, 4),
}


def made(roll: random.Random, kind: str) -> str:
    """Return a text: words of the grammar, letters of any sort, or a good one with something wrong in it."""
    way = roll.random()
    if way < 0.35:
        return roll.choice(["", " ", " ", "."]).join(roll.choices(WORDS[kind], k=roll.randint(1, 12)))
    if way < 0.5:
        return "".join(roll.choices(LETTERS, k=roll.randint(0, 30)))
    text = roll.choice(GOOD[kind])
    for _ in range(roll.randint(1, 3)):
        at = roll.randint(0, len(text))
        end = min(len(text), at + roll.choice([0, 0, 1, 1, 3, 20]))
        text = (
            text[:at] + roll.choice(["", roll.choice(LETTERS), roll.choice(WORDS[kind]), text[at:end] * 3]) + text[end:]
        )
    return text


def refusal(text: str, read: Callable[[str], None]) -> str | None:
    """Return the words in which *text* was refused, or None if it was read."""
    try:
        read(text)
    except LangError as error:
        return error.what if 0 <= error.column <= len(text) + 1 else ""
    except ConfigError as error:
        return " ".join(problem.what for problem in error.problems)
    except MappingErrors as errors:
        return " ".join(problem.what for _, problem in errors.problems)
    except Exception as error:
        error.add_note(f"the text was {text!r}")
        raise
    return None


def fuzz(kind: str, texts: int) -> None:
    roll = random.Random(f"{SEED} {kind}")
    refusals = [refusal(made(roll, kind), PARSERS[kind].read) for _ in range(texts)]

    assert "" not in refusals
    # Many are wrong, and enough are right for what is behind the parser to be tried as well.
    assert texts * 0.05 < refusals.count(None) < texts * 0.6


@pytest.mark.parametrize("kind", PARSERS)
def test_ten_thousand_random_texts_are_read_or_refused(kind):
    fuzz(kind, 100 * PARSERS[kind].texts)


@pytest.mark.full
@pytest.mark.parametrize("kind", PARSERS)
def test_a_hundred_thousand_random_texts_are_read_or_refused(kind):
    fuzz(kind, 1000 * PARSERS[kind].texts)
