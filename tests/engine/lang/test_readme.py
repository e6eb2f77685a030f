"""The reference page says what is so: every line with an arrow is run."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import UNSET

from engine.errors import LangError, MappingFailed
from engine.lang import environment, functions, limits, regex
from engine.lang.cast import KINDS
from engine.lang.filters import compile_filter
from engine.lang.mapping import MappingErrors, compile_mapping
from engine.lang.operands import ARGUMENTS
from engine.lang.path import parse
from engine.lang.reading import WHEN_MISSING
from engine.lang.template import compile_template
from tests.support.house import ROOT

PAGE = (ROOT / "engine/lang/README.md").read_text()
CONTEXT = {"sync": {"name": "orders", "source": "shop", "destination": "crm"}}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


EVENT = json.loads(blocks("json")[0])
EXAMPLES = [
    (kind, *line.split(" → ", 1))
    for kind in ("reference", "filter", "mapping", "template")
    for block in blocks(kind)
    for line in block.splitlines()
]


def mapped(text: str) -> Any:
    tree = tomllib.loads(text.replace("; ", "\n"))
    column = tree.pop("properties_column", None)
    variables = {f"sync.{key}": value for key, value in CONTEXT["sync"].items()}
    return compile_mapping(tree, variables=variables, properties_column=column).apply(EVENT, CONTEXT)


READERS: dict[str, Callable[[str], Any]] = {
    "reference": lambda text: parse(text).get(EVENT),
    "filter": lambda text: compile_filter(text).test(EVENT),
    "mapping": mapped,
    "template": lambda text: compile_template(text).render({"row": EVENT, "context": CONTEXT}),
}


def told(kind: str, text: str) -> str:
    """Return what an example gives, as the page writes it."""
    try:
        value = READERS[kind](text)
    except LangError as error:
        return f"error: {error.what}"
    except MappingErrors as errors:
        return f"error: {errors.problems[0][1].what}"
    except MappingFailed as error:
        return f"error: {str(error).removeprefix(f'the template {text}: ')}"
    return "missing" if value is UNSET else json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize(("kind", "text", "result"), EXAMPLES, ids=lambda one: one[:50])
def test_an_example_gives_what_the_page_says(kind, text, result):
    found = told(kind, text)

    assert found == (
        result
        if result == "missing" or result.startswith("error")
        else json.dumps(json.loads(result), ensure_ascii=False)
    )


def test_everything_of_ours_stands_on_the_page():
    library = {
        "append",
        "prepend",
        "replace",
        "replace_first",
        "replace_last",
        "join",
        "split",
        "concat",
        "uniq",
        "compact",
    }
    words = {*functions.OWN} - library - {"times"} | ARGUMENTS.keys() | KINDS | set(WHEN_MISSING)

    assert [word for word in sorted(words) if not re.search(rf"\b{word}\b", PAGE)] == []


def test_the_limits_on_the_page_are_the_limits():
    sizes = [
        environment.LONGEST_TEMPLATE,
        limits.WIDEST_RANGE,
        limits.MOST_STEPS,
        functions.MOST_ITEMS,
        regex.LONGEST_SEARCHED,
        regex.LONGEST_PATTERN,
    ]

    assert [size for size in sizes if f"{size:,}" not in PAGE] == []
    assert functions.LONGEST_TEXT == 1024**2
    assert environment.MOST_FILTERS == 8
