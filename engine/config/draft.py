"""What a wizard has gathered, written into a config.toml whose comments and order stay as they are. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from engine.errors import HeadraceError

HEAD = """\
# Headrace: one process, this file, one data folder.
# `headrace config schema` tells every key, `headrace check` every fault.
"""
NAME = re.compile(r"[A-Za-z0-9_-]+")
"""What a wizard takes as a name; config.toml itself takes any."""


class DraftType(msgspec.Struct, frozen=True, kw_only=True):
    """One event type of the sync: what `[[syncs.NAME.event_types]]` has."""

    type: str = "custom"
    name: str = ""
    filter: str = ""
    mapping: Mapping[str, Any] = {}


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """One way from a source to a destination.

    Attributes:
        source: its name; made if config.toml does not have it.
        write_key: of a source that is made: ``env:NAME``, ``file:PATH``, or the key itself.
        destination: its name; made if config.toml does not have it.
        type: of a destination that is made.
        settings: its keys beside ``type``, as they stand in config.toml.
        sync: its name; must be new.
        event_types: in the order in which they are tried.
    """

    source: str
    write_key: str = ""
    destination: str
    type: str = ""
    settings: Mapping[str, Any] = {}
    sync: str
    event_types: tuple[DraftType, ...] = (DraftType(),)


class Addition(Draft, frozen=True, kw_only=True):
    """A draft to be written.

    Attributes:
        settings: a secret in them goes to a file of its own, beside config.toml.
        over: SHA-256, in hex, of config.toml as it was looked at; "" for whatever is there.
    """

    over: str = ""


def inline(value: Any) -> str:
    """Return *value* as TOML has it on one line."""
    text: str = _value(value).as_string()
    return text


def added(text: str, draft: Draft) -> str:
    """Return what `written` puts at the end of config.toml; the arguments, and what is raised, are the same."""
    whole = written(text, draft)
    return whole[len((text or HEAD).rstrip("\n")) :].strip("\n") + "\n"


def written(text: str, draft: Draft) -> str:
    """Return config.toml with the draft in it, at the end of what is there.

    Args:
        text: config.toml as it is; "" makes a new one.
        draft: what to add.

    Raises:
        HeadraceError: *text* is no TOML, or has a sync of that name; says what to do.
    """
    try:
        document = tomlkit.parse(text or HEAD)
    except TOMLKitError as error:
        raise HeadraceError(f"config.toml cannot be read: {error}\n    headrace check says where") from None
    known = document.unwrap()
    if draft.sync in known.get("syncs", {}):
        raise HeadraceError(f"there is a sync '{draft.sync}' already\n    give this one another name")
    try:
        pieces = [tomlkit.dumps(document).rstrip("\n"), *_pieces(known, draft)]
        made = "\n".join(pieces).strip("\n") + "\n"
        tomlkit.parse(made)
    except (TOMLKitError, TypeError, ValueError) as error:  # a null, or an array of many kinds, for example
        raise HeadraceError(f"the new tables do not go with what is there: {error}\n    write them by hand") from None
    return made


def _pieces(known: Mapping[str, Any], draft: Draft) -> Iterator[str]:
    """Yield the new tables as text: tomlkit would put them beside their relatives, in the middle of the file."""
    if draft.source not in known.get("sources", {}):
        yield _headed(f"\n[sources.{_key(draft.source)}]", {"write_keys": [draft.write_key]})
    if draft.destination not in known.get("destinations", {}):
        yield _headed(f"\n[destinations.{_key(draft.destination)}]", {"type": draft.type, **draft.settings})
    sync = f"syncs.{_key(draft.sync)}"
    yield _headed(f"\n[{sync}]", {"source": draft.source, "destination": draft.destination})
    for each in draft.event_types:
        given = {"type": each.type, "name": each.name, "filter": each.filter}
        yield _headed(f"[[{sync}.event_types]]", {key: value for key, value in given.items() if value})
        if each.mapping:
            yield _headed(f"[{sync}.event_types.mapping]", each.mapping)


def _headed(head: str, values: Mapping[str, Any]) -> str:
    return f"{head}\n{_table(values).as_string().strip()}"


def _table(values: Mapping[str, Any]) -> Table:
    table = tomlkit.table()
    for key, value in values.items():
        table.add(key, _value(value))
    return table


def _value(value: Any) -> Any:
    """Return *value* on one line: a table within a table is written inline."""
    if isinstance(value, Mapping):
        inline = tomlkit.inline_table()
        for key, inner in value.items():
            inline.add(key, _value(inner))
        return inline
    if isinstance(value, str) and ('"' in value or "\\" in value) and "'" not in value and value.isprintable():
        return tomlkit.string(value, literal=True)  # a filter reads better without backslashes
    return tomlkit.item(list(value) if isinstance(value, tuple) else value)


def _key(name: str) -> str:
    return tomlkit.key(name).as_string()
