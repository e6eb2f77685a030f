"""Memory and SQLite, given the same calls in any order, say the same."""

from __future__ import annotations

import contextlib
import queue
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.messages import NEVER, Claim, Result, Settlement, State
from engine.store.base import Change, Cursor, Retention, Selection, Store
from engine.store.erasing import Tomb
from engine.store.opening import open_store
from engine.store.sqlite.store import SqliteStore
from tests.support.stores import NOW, Disk, OpenedStore, progress, settle, trouble

T = TypeVar("T")

POSITIONS = st.integers(1, 12)
MOMENTS = st.integers(0, 40).map(lambda seconds: NOW + seconds)
SOURCES = st.sampled_from(["shop", "app"])
SYNCS = st.sampled_from(["orders", "refunds", ""])
DESTINATIONS = st.sampled_from(["crm", "erp"])
STATES = st.sampled_from(list(State))
TROUBLES = st.builds(
    lambda at, state, sync, destination, due, last, payload: trouble(
        at,
        state,
        sync=sync,
        destination=destination,
        last_at=last,
        payload=payload,
        due_at=due if state is State.RETRYING else 0.0,
    ),
    POSITIONS,
    STATES,
    SYNCS,
    DESTINATIONS,
    MOMENTS,
    MOMENTS,
    st.sampled_from([b"", b"{}"]),
)
SELECTIONS = st.builds(
    Selection,
    sync=SYNCS,
    destination=st.sampled_from(["", "crm"]),
    states=st.lists(STATES, max_size=2, unique=True).map(tuple),
    since=st.sampled_from([0.0, NOW + 20]),
    text=st.sampled_from(["", "M1", "500"]),
    ids=st.one_of(st.just(()), st.lists(POSITIONS.map(lambda at: trouble(at).id), max_size=3).map(tuple)),
    limit=st.integers(1, 12),
)
TURNS = st.sampled_from(["u1", "u2"])
LANE = 4
"""Rows of a destination in SQLite's memory, so that it must read more."""


class Twins(RuleBasedStateMachine):
    """Two stores; every step is made on both, in one trio loop that the steps are sent to."""

    def __init__(self) -> None:
        super().__init__()
        self._undo = contextlib.ExitStack()
        self._folder = Path(self._undo.enter_context(tempfile.TemporaryDirectory()))
        self._claims: list[tuple[Claim, Claim]] = []
        self._loop = self._undo.enter_context(_Loop())
        self._twins = self._loop.run(self._open)

    def teardown(self) -> None:
        self._loop.run(self._close)
        self._undo.close()

    async def _open(self) -> tuple[OpenedStore, OpenedStore]:
        def opening(kind: str) -> Callable[[], Awaitable[Store]]:
            return lambda: open_store(kind, self._folder)

        memory, sqlite = (OpenedStore(opening(kind), Disk()) for kind in ("memory", "sqlite"))
        await memory.open()
        store = await sqlite.open()
        assert isinstance(store, SqliteStore)
        store._due.limit = LANE
        return memory, sqlite

    async def _close(self) -> None:
        for twin in self._twins:
            await twin.store.aclose()

    def both(self, call: Callable[[OpenedStore], Awaitable[T]]) -> T:
        """Make a call on both and return the answer, which must be one."""
        first, second = (self._loop.run(call, twin) for twin in self._twins)
        assert first == second
        return first

    @rule(many=st.integers(0, 5), source=SOURCES)
    def append(self, many: int, source: str) -> None:
        self.both(lambda twin: twin.fill(many, source))

    @rule(at=POSITIONS, outcome=st.sampled_from(["passed", "dropped"]))
    def keep(self, at: int, outcome: str) -> None:
        async def kept(twin: OpenedStore) -> dict[int, Result]:
            twin.store.keep([Result(position=at, outcome=outcome)], lambda _: None)
            await twin.fill(1)
            return await twin.store.results(range(1, 20))

        self.both(kept)

    @rule(
        troubles=st.lists(TROUBLES, max_size=6).map(tuple),
        high=st.integers(0, 12),
        opened=st.sets(POSITIONS, max_size=4).map(sorted),
        sync=st.sampled_from(["orders", "refunds"]),
        source=SOURCES,
    )
    def commit(self, troubles: Any, high: int, opened: list[int], sync: str, source: str) -> None:
        change = Change(
            cursors=(Cursor(source=source, position=high),),
            progress=(progress(high, opened, sync, source),),
            troubles=troubles,
            counts={(f"sync:{sync}", "matched"): len(opened)},
        )
        self.both(lambda twin: twin.store.commit(change))

    @rule(destination=DESTINATIONS, now=MOMENTS, limit=st.integers(1, 6))
    def claim(self, destination: str, now: float, limit: int) -> None:
        first, second = (self._loop.run(twin.store.claim, destination, now, limit) for twin in self._twins)
        assert [claim.trouble for claim in first] == [claim.trouble for claim in second]
        self._claims += zip(first, second, strict=True)

    @rule(data=st.data(), how=st.sampled_from(Settlement), now=MOMENTS)
    def settle(self, data: st.DataObject, how: Settlement, now: float) -> None:
        if not self._claims:
            return
        pair = data.draw(st.sampled_from(self._claims))
        new = None
        if how is Settlement.RETRY:
            new = msgspec.structs.replace(pair[0].trouble, due_at=now, attempts=pair[0].trouble.attempts + 1)
        if how is Settlement.ARCHIVE:
            new = msgspec.structs.replace(pair[0].trouble, state=State.ARCHIVED, due_at=0.0, last_at=now)
        held = [
            self._loop.run(twin.store.commit, Change(settles=(settle(claim, how, new),)))
            for twin, claim in zip(self._twins, pair, strict=True)
        ]
        assert held[0] == held[1]

    @rule(at=st.sets(POSITIONS, max_size=5), turn=TURNS, sync=st.sampled_from(["orders", "refunds"]))
    def park(self, at: set[int], turn: str, sync: str) -> None:
        rows = tuple(trouble(one, sync=sync, turn=turn, due_at=NEVER, reason="parked") for one in sorted(at))
        self.both(lambda twin: twin.store.commit(Change(troubles=rows)))

    @rule(turn=TURNS, after=st.integers(0, 12), limit=st.integers(1, 4))
    def claim_parked(self, turn: str, after: int, limit: int) -> None:
        wanted = ("orders", turn), (after, "~"), NOW, limit
        first, second = (self._loop.run(twin.store.claim_parked, *wanted) for twin in self._twins)
        assert [claim.trouble for claim in first] == [claim.trouble for claim in second]
        self._claims += zip(first, second, strict=True)

    @rule(rows=st.lists(TROUBLES, max_size=4).map(tuple), ended=st.sets(POSITIONS, max_size=3), many=st.integers(0, 2))
    def replay(self, rows: Any, ended: set[int], many: int) -> None:
        again = tuple(row for row in rows if row.sync and row.state in {State.RETRYING, State.ARCHIVED})
        change = Change(
            again=again,
            ended=tuple(trouble(at).id for at in sorted(ended)),
            counts={("sync:orders", "filtered.replayed"): many},
            results=tuple(Result(position=at, outcome="passed") for at in sorted(ended)),
            facts={"replays": b"%d" % many},
        )
        self.both(lambda twin: twin.store.commit(change))
        self.both(lambda twin: twin.store.results(range(1, 20)))
        self.both(lambda twin: twin.store.meta.get("replays"))

    @rule(selection=SELECTIONS, limit=st.integers(1, 6))
    def look_back(self, selection: Selection, limit: int) -> None:
        async def seen(twin: OpenedStore) -> Any:
            history = twin.store.history
            top = await history.newest()
            swept = await history.sweep(selection, (0, top), limit)
            rest = await history.sweep(selection, (swept[-1][0], top), limit) if swept else []
            return [row for _, row in (*swept, *rest)], await history.tally(selection, (0, top))

        self.both(seen)

    @rule(at=POSITIONS)
    def trace(self, at: int) -> None:
        async def seen(twin: OpenedStore) -> Any:
            history = twin.store.history
            facts = await history.facts(at)
            return (
                msgspec.structs.replace(facts, progress=tuple(sorted(facts.progress, key=repr))),
                await history.located(f"m{at}"),
                await history.of_user(("userId", "u1"), at, 5),
                await history.events([at, at + 1]),
                await history.troubles([at, at + 1]),
            )

        self.both(seen)

    @rule(at=st.sets(POSITIONS, min_size=1, max_size=3), blocked=st.booleans())
    def erase(self, at: set[int], *, blocked: bool) -> None:
        async def buried(twin: OpenedStore) -> Any:
            store = twin.store
            known = await store.history.events(sorted(at))
            results = await store.results(list(known))
            tombs = [
                Tomb(
                    position=at,
                    source=row.source,
                    received_at=row.envelope.received_at,
                    result=results.get(at),
                    blocked=blocked,
                )
                for at, row in sorted(known.items())
            ]
            rows = sorted(row.id for row in await store.history.troubles(sorted(at)))
            gone = await store.eraser.erase_rows(rows)
            return await store.eraser.bury(tombs), sorted(gone, key=lambda row: row.id), await store.results(list(at))

        self.both(buried)

    @rule(sync=st.sampled_from(["orders", "refunds"]), source=SOURCES, destination=DESTINATIONS)
    def readdress(self, sync: str, source: str, destination: str) -> None:
        self.both(lambda twin: twin.store.meta.readdress(sync, source, destination))

    @rule(selection=SELECTIONS, now=MOMENTS)
    def retry(self, selection: Selection, now: float) -> None:
        self.both(lambda twin: twin.store.ledger.retry(selection, now))

    @rule(selection=SELECTIONS, now=MOMENTS)
    def discard(self, selection: Selection, now: float) -> None:
        self.both(lambda twin: twin.store.ledger.discard(selection, now))

    @rule(selection=SELECTIONS, after=st.integers(0, 3))
    def pages(self, selection: Selection, after: int) -> None:
        page = self.both(lambda twin: twin.store.ledger.list(selection))
        if after < len(page):
            following = msgspec.structs.replace(selection, after=page[after].id)
            assert (
                self.both(lambda twin: twin.store.ledger.list(following))[: len(page) - after - 1] == page[after + 1 :]
            )

    @rule(sync=st.sampled_from(["orders", "refunds"]), source=SOURCES, now=MOMENTS)
    def forget(self, sync: str, source: str, now: float) -> None:
        self.both(lambda twin: twin.store.meta.forget([progress(0, (), sync, source)], "sync_removed", now))

    @rule(age=st.sampled_from([0.0, 1.0, 20.0]), archive_age=st.sampled_from([0.0, 15.0]), now=MOMENTS)
    def trim(self, age: float, archive_age: float, now: float) -> None:
        self.both(lambda twin: twin.store.trim(Retention(age=age, archive_age=archive_age), now))

    @rule(key=st.sampled_from("ab"), revision=st.integers(0, 2))
    def put(self, key: str, revision: int) -> None:
        self.both(lambda twin: twin.store.meta.put(key, b"value", revision))
        self.both(lambda twin: twin.store.meta.get(key))

    @invariant()
    def all_that_is_kept_is_the_same(self) -> None:
        async def kept(twin: OpenedStore) -> Any:
            store = twin.store
            counts = {key: value for key, value in (await store.meta.counts()).items() if value}
            logs = [await store.read(source, 0, store.last, 1000) for source in ("shop", "app")]
            rows = await store.ledger.list(Selection(limit=100))
            turns = sorted(await store.turns(), key=repr)
            return logs, rows, counts, turns, await store.meta.cursors(), await store.meta.progress()

        self.both(kept)

    @invariant()
    def the_next_row_is_never_announced_too_late(self) -> None:
        memory, sqlite = (twin.store for twin in self._twins)
        for destination in ("crm", "erp"):
            exact, announced = memory.next_due(destination), sqlite.next_due(destination)
            assert (exact is None and announced is None) or (
                announced is not None and (exact is None or announced <= exact)
            )


class _Loop:
    """A trio loop in a thread of its own, which takes calls from the test's."""

    def __enter__(self) -> Self:
        ready: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=trio.run, args=(self._main, ready))
        self._thread.start()
        ready.get()
        return self

    def __exit__(self, *_: object) -> None:
        trio.from_thread.run_sync(self._over.set, trio_token=self._token)
        self._thread.join()

    def run(self, call: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Return what *call* returns, called in the loop."""
        return trio.from_thread.run(call, *args, trio_token=self._token)

    async def _main(self, ready: queue.SimpleQueue[None]) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._over = trio.Event()
        ready.put(None)
        await self._over.wait()


TestTwins = Twins.TestCase
TestTwins.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
