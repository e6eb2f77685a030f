"""What another configuration changes in a running engine: by name, what comes, goes, moves and stays. Pure."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from engine.config.lines import join
from engine.config.schema import Config
from engine.plan.compile import Plan
from engine.plan.sources import SourcePlan

What = Literal["added", "removed", "renamed", "re-pointed", "changed"]

_NAMED = frozenset({"include", "sources", "contracts", "functions", "windows", "destinations", "syncs", "cases"})
"""Tables that are told by the parts that use them, or that no engine runs."""
_LIVE = ("receiver.limits.event", "deliver_after_commit", "reload.watch", "alerts")
"""Keys of the other tables that take effect without a restart."""
_ONCE = frozenset({"start", "was"})
"""Keys of a sync that say where it begins, and nothing of what it does."""


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one source, destination or sync.

    Attributes:
        kind: ``source``, ``destination`` or ``sync``.
        what: what happens to it; renamed and re-pointed ones may have changed besides.
        was: the name it had; for one that is re-pointed, where it went.
        keys: what in it is other than before, as in config.toml.
        pending: deliveries without a fate that are concerned, of a source events; None if nobody counted.
        unread: positions of the log that a removed sync has not come to; others' events are among them.
    """

    kind: Literal["source", "destination", "sync"]
    name: str
    what: What
    was: str = ""
    keys: tuple[str, ...] = ()
    pending: int | None = None
    unread: int = 0

    def text(self) -> str:
        """Return it as a line for a person."""
        told = f"{self.kind} '{self.name}' {_TOLD[self.what].format(was=self.was)}"
        if self.keys:
            told += f": {', '.join(self.keys)}"
        parts = []
        if self.pending:
            fate = "not judged yet are dropped: source_removed" if self.kind == "source" else _PENDING[self.what]
            parts.append(f"{self.pending:,} pending {fate}")
        if self.unread:
            parts.append(f"up to {self.unread:,} events that it has not read are left out")
        return f"{told} ({'; '.join(parts)})" if parts else told


_TOLD = {
    "added": "is new",
    "removed": "is removed",
    "renamed": "was '{was}'",
    "re-pointed": "no longer goes to '{was}'",
    "changed": "is changed",
}
_PENDING = {"removed": "go to the archive: sync_removed", "re-pointed": "go along", "renamed": "go along"}


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """What one plan changes in another.

    Attributes:
        edits: sources, then destinations, then syncs.
        live: other keys of config.toml that are other than before, and take effect at once.
        restart: keys of config.toml that are other than before, and that a running engine leaves as they were.
    """

    edits: tuple[Edit, ...] = ()
    live: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    def lines(self, edits: Iterable[Edit]) -> tuple[str, ...]:
        """Return what changes at once, as lines for a person: *edits*, which are ours or tell more, and keys."""
        return (*(edit.text() for edit in edits), *(f"{key} is changed" for key in self.live))

    def of(self, kind: str, *whats: What) -> list[Edit]:
        """Return the edits of one kind, all or those that are one of *whats*."""
        return [edit for edit in self.edits if edit.kind == kind and (not whats or edit.what in whats)]


def with_pending(edits: Iterable[Edit], pending: Mapping[str, int], unread: Mapping[str, int] = {}) -> list[Edit]:
    """Return *edits* with the number of deliveries that each concerns, and of positions that are left out.

    Args:
        edits: what happens.
        pending: by sync, as it was called until now, deliveries without a fate.
        unread: by sync, positions that it is behind its source.
    """
    told = []
    for edit in edits:
        concerned = edit.kind == "sync" and edit.what in _PENDING
        was = edit.was if edit.what == "renamed" else edit.name
        behind = unread.get(was, 0) if edit.what == "removed" else 0
        told.append(msgspec.structs.replace(edit, pending=pending.get(was, 0), unread=behind) if concerned else edit)
    return told


def compare(old: Plan, new: Plan) -> Diff:
    """Return what *new* changes in *old*."""
    edits = (*_sources(old, new), *_destinations(old, new), *_syncs(old, new))
    live = tuple(key for key in _LIVE if _at(old.config, key) != _at(new.config, key))
    return Diff(edits=edits, live=live, restart=tuple(_restart(old.config, new.config)))


def merged(old: Plan, new: Plan, diff: Diff) -> Plan:
    """Return *new* with the very parts of *old* that it does not change: those are at work, and stay so."""
    touched: set[tuple[str, str]] = {(edit.kind, edit.name) for edit in diff.edits}
    return msgspec.structs.replace(
        new,
        sources=_kept("source", old.sources, new.sources, touched),
        destinations=_kept("destination", old.destinations, new.destinations, touched),
        syncs=_kept("sync", old.syncs, new.syncs, touched),
    )


def _kept(kind: str, old: Mapping[str, Any], new: Mapping[str, Any], touched: set[tuple[str, str]]) -> dict[str, Any]:
    return {name: part if (kind, name) in touched else old[name] for name, part in new.items()}


def _sources(old: Plan, new: Plan) -> Iterator[Edit]:
    yield from _come_and_gone("source", old.sources, new.sources)
    for name in new.sources.keys() & old.sources.keys():
        if keys := tuple(_source_keys(name, old, new)):
            yield Edit(kind="source", name=name, what="changed", keys=keys)


def _source_keys(name: str, old: Plan, new: Plan) -> Iterator[str]:
    """Yield what of a source is other than before: of its table, and of what its table names."""
    before, after = old.sources[name], new.sources[name]
    keys = _differing(old.config.sources[name], new.config.sources[name])
    if before.doorway.settings != after.doorway.settings:
        keys.add("settings")
    for key in ("contract", "shadow"):
        if _spec(getattr(before, key)) != _spec(getattr(after, key)):
            keys.add(key)
    if _function_marks(name, old) != _function_marks(name, new):
        keys.add("functions")
    if _windows(name, old) != _windows(name, new):
        keys.add("windows")
    yield from sorted(keys)


def _spec(contract: Any) -> Any:
    return None if contract is None else contract.spec


def _function_marks(source: str, plan: Plan) -> list[Any]:
    """Return what tells the functions of one source from others: their tables, and the texts of their files."""
    marks = []
    for name in plan.config.sources[source].functions:
        table = plan.config.functions[name]
        text = plan.loaded.files.get(str(plan.loaded.folder / table.file)) if table.file else None
        marks.append((name, table, plan.loaded.tables.get("functions", {}).get(name), text))
    return marks


def _windows(source: str, plan: Plan) -> dict[str, Any]:
    return {name: table for name, table in plan.config.windows.items() if table.source == source}


def _destinations(old: Plan, new: Plan) -> Iterator[Edit]:
    yield from _come_and_gone("destination", old.destinations, new.destinations)
    for name in new.destinations.keys() & old.destinations.keys():
        before, after = old.destinations[name], new.destinations[name]
        keys = _differing(old.config.destinations[name], new.config.destinations[name])
        if type(before.destination) is not type(after.destination):
            keys.add("type")
        else:
            keys |= _differing(before.destination.settings, after.destination.settings)
        if keys:
            yield Edit(kind="destination", name=name, what="changed", keys=tuple(sorted(keys)))


def _syncs(old: Plan, new: Plan) -> Iterator[Edit]:
    renamed = {
        sync.was: name for name, sync in new.config.syncs.items() if _is_renamed(sync.was, name, sync.source, old, new)
    }
    for name, sync in old.syncs.items():
        if name not in renamed and (name not in new.syncs or new.syncs[name].source != sync.source):
            yield Edit(kind="sync", name=name, what="removed")
    former = {name: was for was, name in renamed.items()}
    for name, sync in new.syncs.items():
        was = former.get(name, name)
        if was not in old.syncs or old.syncs[was].source != sync.source:
            yield Edit(kind="sync", name=name, what="added")
            continue
        keys = _sync_keys(was, name, old, new)
        if was != name:
            yield Edit(kind="sync", name=name, what="renamed", was=was, keys=tuple(sorted(keys)))
        elif "destination" in keys:
            goes = old.syncs[name].destination
            keys.discard("destination")
            yield Edit(kind="sync", name=name, what="re-pointed", was=goes, keys=tuple(sorted(keys)))
        elif keys:
            yield Edit(kind="sync", name=name, what="changed", keys=tuple(sorted(keys)))


def _is_renamed(was: str, name: str, source: str, old: Plan, new: Plan) -> bool:
    """Return whether *name* is the sync that was called *was*: a sync is its name and its source."""
    gone = was in old.syncs and was not in new.syncs and name not in old.syncs
    return bool(was) and gone and old.syncs[was].source == source


def _sync_keys(was: str, name: str, old: Plan, new: Plan) -> set[str]:
    """Return what of a sync is other than before, its destination's demands included."""
    keys = _differing(old.config.syncs[was], new.config.syncs[name]) - _ONCE
    before, after = (plan.destinations[plan.syncs[key].destination] for plan, key in ((old, was), (new, name)))
    if before.event_types != after.event_types:
        keys.add("event_types")
    if old.syncs[was].demands != new.syncs[name].demands:
        keys.add("consent")
    return keys


def _come_and_gone(kind: Literal["source", "destination"], old: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
    for name in old:
        if name not in new:
            yield Edit(kind=kind, name=name, what="removed")
    for name in new:
        if name not in old:
            yield Edit(kind=kind, name=name, what="added")


def _at(config: Config, key: str) -> Any:
    """Return what a dotted key of *config* says."""
    return functools.reduce(getattr, key.split("."), config)


def _restart(old: Config, new: Config) -> Iterator[str]:
    """Yield the keys that only a restart changes."""
    for name in old.__struct_fields__:
        if name not in _NAMED:
            yield from _paths(name, getattr(old, name), getattr(new, name))


def _paths(where: str, old: Any, new: Any) -> Iterator[str]:
    if old == new or where in _LIVE:
        return
    if isinstance(old, msgspec.Struct) and type(old) is type(new):
        for name in old.__struct_fields__:
            yield from _paths(join(where, name), getattr(old, name), getattr(new, name))
    else:
        yield where


def _differing(old: msgspec.Struct, new: msgspec.Struct) -> set[str]:
    """Return the names of the fields that are not equal."""
    if type(old) is not type(new):
        return {"settings"}
    return {name for name in old.__struct_fields__ if getattr(old, name) != getattr(new, name)}


def reads_alike(old: SourcePlan, new: SourcePlan) -> bool:
    """Return whether both make the same events of a log row that was judged before: contract and stored results."""
    kept = (old.has_functions, old.keeps_results) == (new.has_functions, new.keeps_results)
    return kept and _spec(old.contract) == _spec(new.contract)
