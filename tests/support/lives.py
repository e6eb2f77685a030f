"""One engine after the other on one store, for a state machine: what its rules do, and what they note beside it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial, partialmethod
from typing import Any, TypeVar

import msgspec
import pytest
import trio
from hypothesis.stateful import RuleBasedStateMachine

from actors.tree import Tree
from engine.messages import Trouble
from engine.observe.status import Status
from engine.plan import Plan
from engine.runtime.child import Child
from engine.runtime.turns import Turns
from engine.store.base import Progress, Selection, Store
from engine.store.tally import work_delivery
from tests.support.deaths import fail_once
from tests.support.fates import GOES, Fates, Outside, Regime, Said
from tests.support.fragile import FragileRouter, FragileValidator
from tests.support.grown import Desk, Engine, at_once, grow, reopened, shop_plan
from tests.support.guest import Guest
from tests.support.sayings import PARKED, STANDING, text_of

T = TypeVar("T")
APART = 60.0
"""Seconds between two deaths of one actor, at least: one that dies all the time is given up."""


class Lives(RuleBasedStateMachine):
    """Engines, the world around them, and what is noted of both.

    Attributes:
        fates: the model.
        outside: the destinations.
        shut: syncs that a person paused, and how far each may have read.
        dying: actor to the moment of its last death; infinity while one is to come.
        stood: how many deliveries of an ordered sync were open when a router last began.
        now: trio's clock, when somebody last looked.
    """

    def __init__(self) -> None:
        super().__init__()
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr("actors.tree.Router", FragileRouter)
        self._patch.setattr("actors.tree.Validator", FragileValidator)
        self._patch.setattr("actors.ordering.Turns", partial(Turns, per_key=PARKED, in_all=STANDING))
        self._patch.setattr("actors.replayer._aside", at_once)
        self._patch.setattr("actors.console.api.describe", lambda *_: {})  # half of what a start costs
        self._patch.setattr(Tree, "_children", partialmethod(_unwatched, Tree._children))
        self.guest = Guest()
        self.broken = False
        self.failed = False
        self.engine: Engine
        self.outside = Outside({}, dict.fromkeys(GOES.values(), "well"))
        self.fates = Fates(sorted(GOES), self.outside)
        self.dying: dict[str, float] = {}
        self.shut: dict[str, int] = {}
        self.lane = 0
        self.stood = 0
        self.now = 0.0
        self.told: Status
        self.entries: Sequence[Trouble] = ()
        self.pages: dict[str, Progress] = {}

    def _do(self, step: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Let the engine live until *step* is done; it is broken if that fails."""
        before, self.broken = self.broken, True
        made = self.guest.call(lambda nursery: step(nursery, *arguments))
        self.broken = before
        return made

    def _sizes(self, lane: int, inbox: int, cap: int) -> None:
        """Let little wait anywhere: what there is no room for is read again."""
        self.lane = lane
        for name, size in (("LANE_PLACES", lane), ("DECODED_EVENTS", inbox), ("RAW_EVENTS", inbox)):
            self._patch.setattr(f"actors.tree.{name}", size)
        self._patch.setattr("actors.follower.CAP", cap)

    async def _start(self, nursery: trio.Nursery, store: Store | None) -> None:
        answers = {name: self.outside.answer(name) for name in GOES.values()}
        opened: dict[str, list[int]] = {}
        if store is not None:
            opened = {page.sync: [n for n, _ in page.open] for page in await store.meta.progress()}
            self.fates.unread({page.sync: page.high for page in await store.meta.progress()})
        for sync, numbers in opened.items():
            self.fates.opened(sync, numbers)
        self.stood = len(opened.get("turns", ()))
        self.dying.clear()
        self.outside.begun_anew()
        self.fates.lives.append(trio.current_time())
        self.engine = await grow(nursery, text_of(self.fates.regimes), store, answers=answers, remember=True)

    async def _restart(self, nursery: trio.Nursery, end: Callable[[], Awaitable[None]]) -> None:
        await end()
        if end == self.engine.crash:
            self.fates.crashes.append(trio.current_time())
        await self._start(nursery, reopened(self.engine.store))

    async def _look(self, _nursery: trio.Nursery) -> None:
        self.now = trio.current_time()
        self.told = await self.engine.tree.operator.status()
        self.entries = await self.engine.store.ledger.list(Selection(limit=10**6))
        self.pages = {page.sync: page for page in await self.engine.store.meta.progress()}

    def _marks(self) -> dict[str, int]:
        return {name: mark.position for name, mark in self.engine.tree.routed.items()}

    def _opened(self) -> dict[str, list[int]]:
        return {name: [n for n, _ in page.open] for name, page in self.engine.tree.books.syncs.items()}

    def _in_hand(self) -> dict[str, set[int]]:
        """Return the events of each sync that its sender has in hand."""
        found: dict[str, set[int]] = {name: set() for name in GOES}
        for lanes in self.engine.tree.lanes.values():
            for _, picked in lanes._hand.values():
                for one in map(work_delivery, picked):
                    found[one.sync].add(one.position)
        return found

    async def _send(self, _nursery: trio.Nursery, events: Sequence[Said], pace: float = 0.0) -> None:
        marks = dict.fromkeys(GOES, len(self.outside.said))
        for event in events:
            n = len(self.outside.said) + 1
            self.outside.said[n] = msgspec.structs.replace(event, n=n)
        self.fates.unread(marks)
        for n in range(marks["orders"] + 1, len(self.outside.said) + 1):
            said = self.outside.said[n]
            self.engine._sent = n - 1
            properties = {"n": n, "kind": said.kind, **({"whole": 1} if said.whole else {})}
            properties |= {"kills": said.kills} if said.kills else {}
            await self.engine.say({"userId": said.user, "properties": properties})
            if pace:
                await trio.sleep(pace)
        assert self.engine.store.last == len(self.outside.said)

    async def _wait(self, _nursery: trio.Nursery, seconds: float) -> None:
        await trio.sleep(seconds)

    async def _held(self, _nursery: trio.Nursery, sync: str, shut: bool, whole: bool) -> None:  # noqa: FBT001 - as `_do` calls it
        """Note what is paused: a sync may go through with what it has in hand."""
        if whole:
            self.outside.hold(GOES[sync], shut=shut)
        elif not shut:
            self.shut.pop(sync, None)
            self.outside.quiet.pop(sync, None)
        else:
            offers = self.engine.tree.offers[sync]
            in_hand = [span.upto for span in offers.held]
            in_hand += [offers.poison.message.upto] if offers.poison else []
            self.shut.setdefault(sync, max(self._marks()[sync], *in_hand, 0))
            self.outside.quiet.setdefault(sync, self._in_hand()[sync])

    async def _edit(self, _nursery: trio.Nursery, sync: str, regime: Regime) -> None:
        before, opened = self._marks(), self._opened()
        self.fates.regimes[sync] = regime
        self.fates.unread(before)
        self.fates.opened(sync, [*opened[sync], *range(before[sync] + 1, len(self.outside.said) + 1)])
        self.stood += len(opened["turns"])
        reloader = self.engine.tree.reloader
        reloader.aside = at_once
        reloader.reread = self._reread
        made = await self.engine.tree.operator.reload()
        assert made.refused == ""

    def _reread(self) -> Plan:
        plan = shop_plan(text_of(self.fates.regimes))
        for name, each in plan.destinations.items():
            assert isinstance(each.destination, Desk)
            each.destination.answer = self.outside.answer(name)
        return plan

    async def _edit_offline(self, nursery: trio.Nursery, sync: str, regime: Regime) -> None:
        await self.engine.stop()
        self.fates.regimes[sync] = regime
        await self._start(nursery, reopened(self.engine.store))

    def _may_die(self, actor: str) -> bool:
        return self.now - self.dying.get(actor, -APART) >= APART

    def _arm(self, actor: str, sync: str) -> None:
        """Let an actor die once, the next time it does what it is for."""
        tree = self.engine.tree
        port = tree.ports[GOES[sync]]
        owner, name = {
            "validator": (tree.runners["shop"].windows, "view"),
            "router": (port.lanes[sync].room, "reserve"),
            "sender before": (port.limiter, "take"),
            "sender behind": (port.suspects, "absolve"),
            "retry": (tree.store, "claim"),
            "replayer": (tree.replayer, "_pause"),
            "archiver": (tree.books, "change"),
        }[actor]
        self.dying[actor] = math.inf
        fail_once(owner, name, partial(self._died, actor, sync))

    def _died(self, actor: str, sync: str) -> None:
        """Note a death; an archiver's as a crash: what it had not written is done again if it stops just then."""
        self.dying[actor] = trio.current_time()
        if actor == "archiver":
            self.fates.crashes.append(trio.current_time())
        elif actor.startswith("sender"):
            self.fates.deaths.append((sync, trio.current_time()))


def _unwatched(tree: Tree, children: Callable[[Tree], list[Child]]) -> list[Child]:
    """Return a tree's actors without those that only look on: the console compiles in a thread of its own."""
    return [child for child in children(tree) if child.name not in {"console", "pulse"}]
