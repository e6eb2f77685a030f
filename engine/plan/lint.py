"""What compiles and is still wrong, or probably is: told by ``headrace check`` with its line."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from engine.config import schema
from engine.config.lines import join
from engine.config.load import Loaded
from engine.errors import LangError
from engine.lang.clauses import parse_filter
from engine.lang.contract import Contract
from engine.plan.alerts import lint_alerts
from engine.plan.destinations import Kind
from engine.plan.problems import Problems
from engine.plan.promises import lint_promises
from engine.plan.texts import Reading, canonical, conjuncts, pins, readings

_FIELDS = frozenset({"userId", "anonymousId", "messageId", "event", "timestamp", "receivedAt", "sentAt", "groupId"})
_OBJECTS = ("properties.", "traits.", "context.", "integrations.")


def lint(loaded: Loaded, kinds: Mapping[str, Kind], contracts: Mapping[str, Contract], problems: Problems) -> None:
    """Add to *problems* what lint finds, passing over what does not compile.

    Args:
        loaded: what was read.
        kinds: the plugin of each destination that has a known one.
        contracts: by name, those that compile.
        problems: grows.
    """
    config = loaded.config
    lint_alerts(config.alerts, problems)
    _lint_reach(config, problems)
    _lint_private(loaded, problems)
    for name, table in config.syncs.items():
        where = join("syncs", name)
        _lint_order(where, table, problems)
        _lint_names(where, table, problems)
        _lint_constants(where, table, problems)
        source = config.sources.get(table.source)
        contract = contracts.get(source.contract or "") if source and not source.functions else None
        if contract and contract.spec.events:
            lint_promises(where, contract.spec, table, kinds.get(table.destination), problems)
    _lint_unused(loaded, problems)


def _lint_reach(config: schema.Config, problems: Problems) -> None:
    """Note syncs without a catch-all, unless another sync of the same source takes what is left."""
    whole = {table.source for table in config.syncs.values() if table.enabled and not all(_filters(table))}
    for name, table in config.syncs.items():
        if table.source not in whole and all(_filters(table)):
            problems.warn(
                f"{join('syncs', name)}.event_types",
                "no event type without a filter: events that none of them takes are filtered",
                'if that is not what you want, add a last one with type = "custom" and no filter',
            )


def _lint_private(loaded: Loaded, problems: Problems) -> None:
    """Note destinations at a private address that may not reach it, as far as no name server is asked."""
    for name, table in loaded.config.destinations.items():
        url = loaded.tables["destinations"][name].get("url")
        if not table.allow_private and isinstance(url, str) and (host := _private(url)):
            problems.warn(
                f"{join('destinations', name)}.url",
                f"{host} is not a public address, and nothing will be sent to it",
                "set allow_private = true on this destination if it is meant to reach it",
            )


def _private(url: str) -> str:
    """Return the host of *url* if it can be seen that it is not a public one, or ""."""
    try:
        host = urlsplit(url).hostname or ""
        return host if host == "localhost" or ipaddress.ip_address(host).is_private else ""
    except ValueError:
        return ""  # a name, or what the plugin refuses


def _filters(table: schema.Sync) -> list[str]:
    return [kind.filter for kind in table.event_types]


def _lint_order(where: str, table: schema.Sync, problems: Problems) -> None:
    """Note a catch-all that stands before others, and event types that never get an event."""
    catch_alls = [index for index, kind in enumerate(table.event_types) if not kind.filter]
    last = len(table.event_types) - 1
    if table.match == "first" and catch_alls and catch_alls[0] < last:
        problems.error(
            f"{where}.event_types[{catch_alls[0]}]",
            "a catch-all (no filter) before other event types: they never get an event",
            'move it to the end, or set match = "all"',
        )
    _lint_never(where, table, problems)


def _lint_never(where: str, table: schema.Sync, problems: Problems) -> None:
    """Note filters that are never true, and those whose events an earlier event type takes."""
    earlier: list[tuple[int, frozenset[str]]] = []
    for index, kind in enumerate(table.event_types):
        clauses = _clauses(kind.filter)
        if not clauses:
            continue
        here = f"{where}.event_types[{index}].filter"
        shut = next((text for text, allowed in pins(kind.filter).items() if not allowed), "")
        before = next((number for number, taken in earlier if taken <= clauses), None)
        if shut:
            problems.warn(here, f"never true: it asks '{shut}' to have two values at once", "write 'or' for 'and'")
        elif before is not None and table.match == "first":
            what = f"can never match: event type {before + 1} takes all of these events"
            problems.warn(here, what, "move the narrower filter up")
        earlier.append((index, clauses))


def _clauses(text: str) -> frozenset[str]:
    """Return the clauses that must all hold; none for a catch-all and for a filter that does not compile."""
    try:
        return frozenset(canonical(node) for node in conjuncts(parse_filter(text))) if text else frozenset()
    except LangError:
        return frozenset()


def _lint_names(where: str, table: schema.Sync, problems: Problems) -> None:
    """Note unnamed event types of the same type where several may take one event."""
    if table.match != "all":
        return
    repeated = {name for name, count in Counter(kind.type for kind in table.event_types).items() if count > 1}
    for index, kind in enumerate(table.event_types):
        if kind.type in repeated and not kind.name:
            problems.warn(
                f"{where}.event_types[{index}]",
                f"several event types of type '{kind.type}' and no name: their keys change when the order does",
                "give it a name",
            )


def _lint_constants(where: str, table: schema.Sync, problems: Problems) -> None:
    """Note constants that look like references."""
    for index, kind in enumerate(table.event_types):
        for reading in readings(kind.mapping, f"{where}.event_types[{index}].mapping"):
            if reading.kind == "value" and _reads_as_reference(reading):
                problems.warn(
                    reading.where,
                    f'the constant "{reading.text}" reads like a field of the event',
                    f'for the field write "{reading.text}" without {{ value = … }}',
                )


def _reads_as_reference(reading: Reading) -> bool:
    return reading.text in _FIELDS or (reading.text.startswith(_OBJECTS) and " " not in reading.text)


def _lint_unused(loaded: Loaded, problems: Problems) -> None:
    """Note what nothing refers to, not even a table that could not be read."""
    syncs, sources = _tables(loaded, "syncs"), _tables(loaded, "sources")
    used = {
        "destinations": [table.get("destination") for table in syncs],
        "sources": [table.get("source") for table in syncs],
        "contracts": [table.get(key) for table in sources for key in ("contract", "shadow")] + _taken(loaded),
        "functions": [name for table in sources for name in _array(table.get("functions"))],
    }
    for kind, names in used.items():
        for name in getattr(loaded.config, kind):
            if name not in names:
                by = "sync" if kind in {"destinations", "sources"} else "source"
                problems.warn(join(kind, name), f"no {by} uses it")


def _taken(loaded: Loaded) -> list[Any]:
    """Return the contracts that name a source there is."""
    config = loaded.config
    return [name for name, table in config.contracts.items() if set(table.sources or ()) & config.sources.keys()]


def _tables(loaded: Loaded, kind: str) -> list[dict[str, Any]]:
    """Return the tables of one kind as they are written."""
    tables = loaded.tables.get(kind)
    return [table for table in tables.values() if isinstance(table, dict)] if isinstance(tables, dict) else []


def _array(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
