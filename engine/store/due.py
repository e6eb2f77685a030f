"""Which ledger row is due when, and who has claimed it: in memory, so that asking costs microseconds."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping, Sequence

import msgspec

from engine.messages import NEVER, State
from engine.store.base import LEASE
from engine.store.books import Effect

Key = tuple[float, str]
"""(due_at, id): the order in which the rows of a destination are claimed."""


class Hold(msgspec.Struct, kw_only=True):
    """A claimed row; ``until`` is the end of its lease, epoch seconds."""

    id: str
    destination: str
    due_at: float
    token: int
    until: float


class Lane:
    """The rows of one destination that wait and that nobody has claimed.

    Up to ``horizon`` (None: without end) every such row is in memory; above it they are in the store only, so that a
    destination that is down for a day does not fill the memory.
    """

    def __init__(self) -> None:
        self.due: dict[str, float] = {}
        self.heap: list[Key] = []
        self.leases: list[tuple[float, int, str]] = []
        self.horizon: Key | None = None
        self.touched: set[str] | None = None

    def put(self, trouble_id: str, due_at: float) -> None:
        """Let a row wait until *due_at*; one that is parked waits for something else."""
        if due_at >= NEVER:
            self.drop(trouble_id)
            return
        if self.touched is not None:
            self.touched.add(trouble_id)
        elif self.horizon is not None and (due_at, trouble_id) > self.horizon:
            self.due.pop(trouble_id, None)
            return
        self.due[trouble_id] = due_at
        heapq.heappush(self.heap, (due_at, trouble_id))
        if len(self.heap) > 2 * len(self.due) + 100:
            self.heap = sorted((due_at, trouble_id) for trouble_id, due_at in self.due.items())

    def drop(self, trouble_id: str) -> None:
        """Let a row wait no more."""
        if self.touched is not None:
            self.touched.add(trouble_id)
        self.due.pop(trouble_id, None)

    def first(self) -> Key | None:
        """Return the row that is due first of those in memory."""
        while self.heap:
            due_at, trouble_id = self.heap[0]
            if self.due.get(trouble_id) == due_at:
                return self.heap[0]
            heapq.heappop(self.heap)  # claimed, gone, or put to another time since
        return None

    def keep(self, many: int) -> None:
        """Keep the first *many* in memory and draw the horizon behind them."""
        self.heap = sorted((due_at, trouble_id) for trouble_id, due_at in self.due.items())[:many]
        self.due = {trouble_id: due_at for due_at, trouble_id in self.heap}
        self.horizon = self.heap[-1]


class Due:
    """Every destination's waiting rows, and the claims.

    Args:
        limit: rows per destination in memory, at most; half of it are kept when it is reached.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self.limit = limit
        self._lanes: dict[str, Lane] = {}
        self._held: dict[str, Hold] = {}
        self._tokens = itertools.count(1)

    def next_due(self, destination: str) -> float | None:
        """Return epoch seconds before which `take` would return nothing, or None if no row waits."""
        lane = self._lanes.get(destination)
        if lane is None:
            return None
        times = [lane.leases[0][0]] if self._live_lease(lane) else []
        if (first := lane.first() or lane.horizon) is not None:
            times.append(first[0])
        return min(times, default=None)

    def take(self, destination: str, now: float, limit: int) -> list[Hold]:
        """Claim at most *limit* rows due at *now*, of those in memory."""
        lane = self._lanes.get(destination)
        if lane is None:
            return []
        self._end_leases(lane, now)
        taken: list[Hold] = []
        while len(taken) < limit and (first := lane.first()) is not None and first[0] <= now:
            due_at, trouble_id = heapq.heappop(lane.heap)
            del lane.due[trouble_id]
            hold = Hold(
                id=trouble_id, destination=destination, due_at=due_at, token=next(self._tokens), until=now + LEASE
            )
            self._held[trouble_id] = hold
            heapq.heappush(lane.leases, (hold.until, hold.token, trouble_id))
            taken.append(hold)
        return taken

    def hold(self, parked: Mapping[str, str], now: float) -> list[Hold]:
        """Claim these rows (id to destination), which are parked, but for those that are claimed."""
        taken = [
            Hold(id=one, destination=destination, due_at=NEVER, token=next(self._tokens), until=now + LEASE)
            for one, destination in parked.items()
            if one not in self._held
        ]
        self._held.update((hold.id, hold) for hold in taken)
        return taken

    def end(self, trouble_id: str, token: int) -> Hold | None:
        """End a claim; return it, or None if *token* is not its token."""
        hold = self._held.get(trouble_id)
        return self._held.pop(trouble_id) if hold is not None and hold.token == token else None

    def give_back(self, holds: Sequence[Hold]) -> None:
        """Let claimed rows wait again as before, unless the claim has ended."""
        for hold in holds:
            if self.end(hold.id, hold.token):
                self._lane(hold.destination).put(hold.id, hold.due_at)

    def restore(self, holds: Sequence[Hold]) -> None:
        """Take back that claims were ended: what should have ended them was not written."""
        for hold in holds:
            lane = self._lane(hold.destination)
            lane.drop(hold.id)
            self._held[hold.id] = hold
            heapq.heappush(lane.leases, (hold.until, hold.token, hold.id))

    def follow(self, effect: Effect) -> list[str]:
        """Learn what was written; return the destinations whose next row may be due earlier than before."""
        puts = [
            (trouble.id, trouble.destination, trouble.due_at)
            for trouble in effect.after.values()
            if trouble is not None and trouble.state is State.RETRYING
        ]
        released = ((trouble_id, effect.before[trouble_id]) for trouble_id in effect.released)
        puts += [(trouble_id, row.destination, row.due_at) for trouble_id, row in released]
        earlier = {destination: self.next_due(destination) for _, destination, _ in puts}
        for trouble_id, row in effect.before.items():
            if trouble_id in effect.after and row.state is State.RETRYING:
                self._leave(trouble_id, row.destination, effect)
        for trouble_id, destination, due_at in puts:
            self._put(trouble_id, destination, due_at)
        return [destination for destination, was in earlier.items() if self._is_earlier(destination, was)]

    def short(self, destination: str, now: float) -> bool:
        """Return whether rows due at *now* may be in the store that are not in memory."""
        lane = self._lanes.get(destination)
        return lane is not None and lane.horizon is not None and lane.horizon[0] <= now and lane.first() is None

    def begin_fill(self, destination: str) -> Key:
        """Return the key above which rows shall be read; from now on changes meanwhile are remembered."""
        lane = self._lane(destination)
        lane.touched = set()
        return lane.horizon or (float("-inf"), "")

    def fill(self, destination: str, found: Sequence[Key], *, more: bool) -> None:
        """Take the rows read since `begin_fill`; *more*: others lie above the last of them. `end_fill` follows."""
        lane = self._lane(destination)
        touched = frozenset(lane.touched or ())
        for due_at, trouble_id in found:
            if trouble_id not in touched and trouble_id not in self._held:
                lane.put(trouble_id, due_at)
        lane.horizon = found[-1] if more else None

    def end_fill(self, destination: str) -> None:
        """Stop remembering changes; forget what came meanwhile above the horizon, which lies in the store."""
        lane = self._lane(destination)
        lane.touched = None
        for key in [(due_at, trouble_id) for trouble_id, due_at in lane.due.items()] if lane.horizon else ():
            if lane.horizon is not None and key > lane.horizon:
                lane.drop(key[1])

    def _lane(self, destination: str) -> Lane:
        return self._lanes.setdefault(destination, Lane())

    def _put(self, trouble_id: str, destination: str, due_at: float) -> None:
        hold = self._held.get(trouble_id)
        if hold is not None:
            hold.destination, hold.due_at = destination, due_at
            return
        lane = self._lane(destination)
        lane.put(trouble_id, due_at)
        if len(lane.due) > self.limit and lane.touched is None:
            lane.keep(max(1, self.limit // 2))

    def _leave(self, trouble_id: str, destination: str, effect: Effect) -> None:
        """Forget a row that waited for *destination*, unless it still does."""
        after = effect.after[trouble_id]
        waits = after is not None and after.state is State.RETRYING
        if not waits:
            self._held.pop(trouble_id, None)
        if not waits or (after is not None and after.destination != destination):
            self._lane(destination).drop(trouble_id)

    def _is_earlier(self, destination: str, was: float | None) -> bool:
        now = self.next_due(destination)
        return now is not None and (was is None or now < was)

    def _live_lease(self, lane: Lane) -> bool:
        """Return whether the lane has a claim, with the one that ends first on top of its leases."""
        while lane.leases:
            _, token, trouble_id = lane.leases[0]
            hold = self._held.get(trouble_id)
            if hold is not None and hold.token == token:
                return True
            heapq.heappop(lane.leases)
        return False

    def _end_leases(self, lane: Lane, now: float) -> None:
        while self._live_lease(lane) and lane.leases[0][0] <= now:
            hold = self._held.pop(lane.leases[0][2])
            self._lane(hold.destination).put(hold.id, hold.due_at)
