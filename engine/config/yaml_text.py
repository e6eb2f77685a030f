"""YAML as other tools write it: the core schema of YAML 1.2, so ``yes`` is text and ``012`` is twelve."""

from __future__ import annotations

import re
from typing import Any

from engine.config.lines import join

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_MOST = 100_000
"""Values in one text; aliases count each time, so that nine lines cannot become a billion values."""


class YamlFault(ValueError):
    """A text that is no YAML, or that JSON could not say.

    Args:
        what: what is wrong.
        line: where, from 1.
    """

    def __init__(self, what: str, line: int) -> None:
        """Keep both apart, for a problem."""
        self.what = what
        self.line = line
        super().__init__(what)


def read_yaml(text: str) -> tuple[Any, dict[str, int]]:
    """Return what *text* holds, and path to line for every key and array element.

    Raises:
        YamlFault: it is not one YAML document of mappings, arrays, text, numbers, booleans and null.
    """
    import yaml  # noqa: PLC0415 - for those who have a YAML file

    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise YamlFault(f"not valid YAML: {error.problem or error.context}", line) from None
    except yaml.YAMLError as error:
        raise YamlFault(f"not valid YAML: {error}".partition("\n")[0], 1) from None
    values = _Values()
    return (None if node is None else values.of(node, "")), values.places


class _Values:
    """Makes values of nodes, and notes where they stand."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self._above: set[int] = set()
        self._many = 0

    def of(self, node: Any, where: str) -> Any:
        self._many += 1
        line: int = node.start_mark.line + 1
        if self._many > _MOST:
            raise YamlFault(f"more than {_MOST:,} values", line)
        if node.id == "scalar":
            return _scalar(node.value, plain=node.style is None)
        if id(node) in self._above:
            raise YamlFault("an alias stands inside what it stands for", line)
        self._above.add(id(node))
        made = self._mapping(node, where) if node.id == "mapping" else self._array(node, where)
        self._above.discard(id(node))
        return made

    def _mapping(self, node: Any, where: str) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in node.value:
            line: int = key.start_mark.line + 1
            if key.id != "scalar":
                raise YamlFault("a key is text", line)
            if key.value in made:
                raise YamlFault(f"the key '{key.value}' stands here twice", line)
            place = join(where, key.value)
            self.places.setdefault(place, line)
            made[key.value] = self.of(value, place)
        return made

    def _array(self, node: Any, where: str) -> list[Any]:
        made = []
        for index, value in enumerate(node.value):
            place = join(where, index)
            self.places.setdefault(place, value.start_mark.line + 1)
            made.append(self.of(value, place))
        return made


def _scalar(text: str, *, plain: bool) -> Any:
    """Return the value of a scalar; only one without quotes can be anything but text."""
    if not plain:
        return text
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    return float(text) if _NUMBER.fullmatch(text) else text
