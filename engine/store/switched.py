"""What an operator switched off: small, kept in the store, and so over a restart and a reload."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from engine.store.base import Meta

DISABLED = "disabled"
"""The Meta key of what an operator disabled."""


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """What is disabled, by name."""

    syncs: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()


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

    @property
    def destinations(self) -> frozenset[str]:
        """Destinations that are off."""
        return frozenset(self._off["destinations"])

    def off(self, sync: Goes) -> bool:
        """Return whether a sync filters all its events: it is off, or where it goes to is."""
        return sync.name in self._off["syncs"] or sync.destination in self._off["destinations"]

    def turn(self, kind: str, name: str, *, off: bool) -> None:
        """Switch one of ``syncs`` or ``destinations``."""
        (self._off[kind].add if off else self._off[kind].discard)(name)

    def named(self) -> Named:
        """Return what is off, as the store keeps it."""
        return Named(syncs=_sorted(self._off["syncs"]), destinations=_sorted(self._off["destinations"]))


async def read_switches(meta: Meta) -> Named:
    """Return what is disabled."""
    stored = await meta.get(DISABLED)
    return msgspec.json.decode(stored[0], type=Named) if stored else Named()


async def keep_switches(meta: Meta, named: Named) -> None:
    """Remember what is disabled."""
    stored = await meta.get(DISABLED)
    await meta.put(DISABLED, msgspec.json.encode(named), stored[1] if stored else 0)


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
