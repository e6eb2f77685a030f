"""What an operator switched off: small, kept in the store, and so over a restart and a reload."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

import msgspec

from engine.store.base import Meta

DISABLED = "disabled"
"""The Meta key of what an operator disabled."""
TURNS = 16
"""Of each sync, how often it went off or on again, as far back as is remembered: for who looks at its events again."""


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """What is disabled, by name.

    Attributes:
        turns: by sync, behind which position it went off (or on again), the last `TURNS` times.
    """

    syncs: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    turns: dict[str, tuple[tuple[int, bool], ...]] = {}


class Goes(Protocol):
    """A sync, as far as it matters here."""

    name: str
    destination: str


class Switches:
    """Who is off; belongs to the tree and outlives its actors.

    A name stays off until it is enabled, also while no plan has it: one that is removed and comes back is still off.

    Args:
        named: as the store has it.
    """

    def __init__(self, named: Named) -> None:
        self._off = {"syncs": set(named.syncs), "destinations": set(named.destinations)}
        self._turns = {name: deque(turns, maxlen=TURNS) for name, turns in named.turns.items()}

    @property
    def destinations(self) -> frozenset[str]:
        """Destinations that are off."""
        return frozenset(self._off["destinations"])

    def off(self, sync: Goes) -> bool:
        """Return whether a sync filters all its events: it is off, or where it goes to is."""
        return sync.name in self._off["syncs"] or sync.destination in self._off["destinations"]

    def turn(self, kind: str, name: str, *, off: bool, read: Iterable[tuple[Goes, int]] = ()) -> None:
        """Switch one of ``syncs`` or ``destinations``.

        Args:
            kind: which of both.
            name: whose.
            off: or on.
            read: every sync, with the position that it has come to.
        """
        before = [(sync, position, self.off(sync)) for sync, position in read]
        (self._off[kind].add if off else self._off[kind].discard)(name)
        for sync, position, then in before:
            if self.off(sync) != then:
                self._turns.setdefault(sync.name, deque(maxlen=TURNS)).append((position, not then))

    def rename(self, was: str, name: str) -> None:
        """Let a sync that is called *name* from now on be off if it was."""
        if was in self._off["syncs"]:
            self._off["syncs"] = self._off["syncs"] - {was} | {name}
        if was in self._turns:
            self._turns[name] = self._turns.pop(was)

    def filtered(self, sync: Goes, position: int) -> bool:
        """Return whether *sync* was off when it read *position*, as far back as is remembered."""
        off = self.off(sync)
        turns = self._turns.get(sync.name)
        if not turns or turns[-1][1] != off:  # it goes elsewhere since then
            return off
        return next((then for after, then in reversed(turns) if after < position), not turns[0][1])

    def named(self) -> Named:
        """Return what is off, as the store keeps it."""
        turns = {name: tuple(turns) for name, turns in self._turns.items()}
        return Named(syncs=_sorted(self._off["syncs"]), destinations=_sorted(self._off["destinations"]), turns=turns)


async def read_switches(meta: Meta) -> Named:
    """Return what is disabled."""
    stored = await meta.get(DISABLED)
    return msgspec.json.decode(stored[0], type=Named) if stored else Named()


async def rename_switch(meta: Meta, was: str, name: str) -> None:
    """Let a sync that is called *name* from now on be off if it was."""
    switches = Switches(await read_switches(meta))
    before = switches.named()
    switches.rename(was, name)
    if switches.named() != before:
        await keep_switches(meta, switches.named())


async def keep_switches(meta: Meta, named: Named) -> None:
    """Remember what is disabled."""
    stored = await meta.get(DISABLED)
    await meta.put(DISABLED, msgspec.json.encode(named), stored[1] if stored else 0)


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
