"""What lint reads out of a filter or a mapping without an event at hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from engine.config.lines import join
from engine.errors import LangError
from engine.lang.clauses import Leaf, Node, parse_filter
from engine.lang.path import Path, from_keys, parse
from engine.lang.template import compile_template, is_template
from engine.lang.tokens import Token, tokenize

Pins = dict[str, frozenset[Any]]
"""Reference to the only constants it may have where a filter passes."""

Keys = tuple[str | int, ...]
"""Names and positions that lead from the event to a field."""

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A reference compared with one constant.

    Attributes:
        sign: as if the reference stood on the left.
    """

    path: Path
    sign: str
    constant: Any


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A string in a mapping.

    Attributes:
        kind: reference | template | value.
        where: the dotted path of its key in config.toml.
        base: where its references start, inside an ``each``: at the first item.
    """

    kind: str
    where: str
    text: str
    base: Keys = ()

    def paths(self) -> tuple[Path, ...]:
        """Return the fields of the event it looks at."""
        if self.kind == "reference":
            path = parse(self.text)
            return (from_keys((*self.base, *path.keys)) if self.base else path,)
        return compile_template(self.text, in_each=bool(self.base)).references if self.kind == "template" else ()


def leaves(node: Node) -> Iterator[Leaf]:
    """Yield every comparison of a filter, in order."""
    if isinstance(node, Leaf):
        yield node
        return
    for part in node.parts:
        yield from leaves(part)


def conjuncts(node: Node) -> list[Node]:
    """Return what must all be true for *node* to be true."""
    if isinstance(node, Leaf) or node.word != "and":
        return [node]
    return [inner for part in node.parts for inner in conjuncts(part)]


def canonical(node: Node) -> str:
    """Return *node* as text that is equal for filters that differ in spaces and quotes only."""
    if isinstance(node, Leaf):
        return " ".join(_spelling(token) for token in tokenize(node.text)).strip()
    return f"{node.word} ({') ('.join(map(canonical, node.parts))})"


def comparison(leaf: Leaf) -> Comparison | None:
    """Return what *leaf* compares, if it is one reference, one sign and one constant."""
    tokens = tokenize(leaf.text)[:-1]
    if len(tokens) != 3 or tokens[1].kind != "sign":  # noqa: PLR2004 - left, sign, right
        return None
    left, sign, right = tokens
    if left.kind != "reference" and right.kind == "reference":
        left, right = right, left
        sign = msgspec.structs.replace(sign, text=_FLIPPED.get(sign.text, sign.text))
    if left.kind != "reference" or right.kind not in {"string", "number", "constant"}:
        return None
    return Comparison(path=parse(left.text), sign=sign.text, constant=right.value)


def pins(filter_text: str) -> Pins:
    """Return what a filter's ``=`` and ``in`` leave a reference to be; an empty set: the filter is never true."""
    found: Pins = {}
    for node in conjuncts(parse_filter(filter_text)):
        for text, allowed in _pinned(node).items():
            found[text] = found[text] & allowed if text in found else allowed
    return found


def readings(tree: dict[str, Any], where: str) -> Iterator[Reading]:
    """Yield the strings of a mapping, but for names, defaults and what is below the items of a template's array."""
    for name, value in tree.items():
        yield from _readings(value, join(where, name), ())


def _readings(value: Any, where: str, base: Keys) -> Iterator[Reading]:
    if isinstance(value, str):
        yield Reading(kind="template" if is_template(value) else "reference", where=where, text=value, base=base)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _readings(item, join(where, index), base)
    elif isinstance(value, dict):
        if value.keys() == {"value"}:
            if isinstance(value["value"], str):
                yield Reading(kind="value", where=where, text=value["value"])
            return
        bases = {"as": _items(value["each"], base)} if value.keys() == {"each", "as"} else {}
        for key, inner in value.items():
            below = bases.get(key, base)
            if below is not None and key not in _skipped(value):
                yield from _readings(inner, join(where, key), below)


def _items(source: Any, base: Keys) -> Keys | None:
    """Return where the first item of an ``each`` stands, or None if that cannot be told."""
    if not isinstance(source, str) or is_template(source):
        return None
    try:
        return (*base, *parse(source).keys, 0)
    except LangError:
        return None


def _pinned(node: Node) -> Pins:
    """Return what one clause pins."""
    if not isinstance(node, Leaf):
        return {}
    compared = comparison(node)
    if compared and compared.sign == "=":
        return {compared.path.text: frozenset([_typed(compared.constant)])}
    tokens = tokenize(node.text)
    listed = [token for token in tokens if token.kind in {"string", "number", "constant"}]
    signs = {token.text for token in tokens if token.kind in {"sign", "word"}}
    if tokens[0].kind == "reference" and signs <= {"in", "(", ",", ")"} and len(node.paths) == 1 and listed:
        return {node.paths[0].text: frozenset(_typed(token.value) for token in listed)}
    return {}


def _typed(constant: Any) -> tuple[bool, Any]:
    """Return *constant* so that 1 and true differ."""
    return isinstance(constant, bool), constant


def _spelling(token: Token) -> str:
    return repr(token.value) if token.kind == "string" else token.text


def _skipped(form: dict[str, Any]) -> set[str]:
    """Return the keys of a form that hold no reference into the event."""
    keys = form.keys()
    if keys == {"variable"}:
        return {"variable"}
    if "flatten" in keys and keys <= {"flatten", "separator", "omit_arrays"}:
        return {"separator", "omit_arrays"}
    if "from" in keys and keys <= {"from", "default", "when_missing"}:
        return {"default", "when_missing"}
    if "template" in keys and keys <= {"template", "default", "when_missing"}:
        return {"default", "when_missing"}
    return set()
