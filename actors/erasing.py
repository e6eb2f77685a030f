"""Erasing one user from a running tree: from the store, and from whatever a channel, a lane or a memory still holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import msgspec
import trio

from engine.messages import Delivery, Logged, Settled, Stage, State, Trouble, trouble_id
from engine.plan import SourcePlan
from engine.plan.erasing import forget
from engine.store.erasing import Erasure
from engine.store.seen import key_of
from engine.store.tally import Work, work_delivery

if TYPE_CHECKING:
    from actors.tree import Tree

PATIENCE = 10.0
"""Seconds that functions may still take for an event that is erased; one that does not answer keeps it longer."""
LOOK = 0.02
"""Seconds between looks whether they have."""


async def erase(tree: Tree, erasure: Erasure) -> Erasure:
    """Make the next step of *erasure*; ask again until its state is ``done``.

    What waits in channels is thrown away, since it is in the log as well, where by now nothing stands any more. What a
    sender has in a request just now cannot be called back; if it fails, nothing of it is written.
    """
    positions: set[int] = set()
    taken = 0

    async def out(found: Collection[int]) -> None:
        nonlocal taken
        positions.update(found)
        for spans in tree.spans.values():
            spans.forget()
        await _judged(tree, positions)
        for offers in tree.offers.values():
            offers.forget()
        for gate in tree.gates.values():
            gate.recall()  # a router that waits for room would go on with what it has in hand, hours later
        taken += await _take_out(tree, positions)

    async def judge(source: str, position: int) -> SourcePlan | None:
        return tree.eras[source].at(position) if source in tree.eras else None

    async with tree.replayer.still:
        step = await forget(erasure, tree.store, judge, tree.clock.wall(), out)
    if positions:
        taken += await _take_out(tree, positions)  # what was due, and claimed, before its row went
    remembered = step.erasure.remembered + _forget(tree, positions, step.events)
    after = msgspec.structs.replace(step.erasure, taken=step.erasure.taken + taken, remembered=remembered)
    if after.state == "done":
        _forget_windows(tree, after.value)
        after = msgspec.structs.replace(after, in_flight=await _in_flight(tree))
    return after


async def _judged(tree: Tree, positions: Collection[int]) -> None:
    """Wait until the validators are through with these events, if they have them in hand: for their functions."""
    with trio.move_on_after(PATIENCE):
        while any(
            one.position in positions and one.position > tree.judged[name].position
            for name, spans in tree.spans.items()
            for held in spans.held
            for one in held.events
        ):
            await tree.clock.sleep(LOOK)


async def _take_out(tree: Tree, positions: Collection[int]) -> int:
    """Take the deliveries of these positions out of the senders' lanes; the books close them as erased."""
    many = 0
    while taken := _waiting(tree, positions):  # what they held up may be the same user's, and takes their place
        many += len(taken)
        opened = [work for work in taken if isinstance(work, Delivery)]
        closed = tuple((one.sync, one.position, one.key) for one in opened)
        now = tree.clock.wall()
        settled = Settled(closed=closed, troubles=tuple(_nothing(one, now) for one in opened))
        tree.orderings.settled(settled)
        if opened:
            await tree.reports.send(settled)
    return many


def _waiting(tree: Tree, positions: Collection[int]) -> list[Work]:
    """Return what waits for a sender, or for its turn to, and is let go of by now."""

    def mine(work: Work) -> bool:
        return work_delivery(work).position in positions

    taken = tree.orderings.take_out(mine)
    for lanes in tree.lanes.values():
        taken += lanes.take_out(mine)
    return taken


def _nothing(delivery: Delivery, now: float) -> Trouble:
    """Return what the ledger is told of a delivery that goes nowhere: since its event is erased, no row is written."""
    return Trouble(
        id=trouble_id(delivery.position, delivery.key),
        state=State.ARCHIVED,
        stage=Stage.SEND,
        reason="erased",
        source=delivery.source,
        sync=delivery.sync,
        position=delivery.position,
        key=delivery.key,
        message_id="",
        received_at=delivery.received_at,
        first_at=now,
        last_at=now,
    )


def _forget(tree: Tree, positions: Collection[int], events: Sequence[Logged]) -> int:
    """Forget what taps keep of these events, and their messageIds; return how many of these were known."""
    for door in tree.doors.values():
        door.tap.erase(positions)
    return tree.intake.seen.erase([key_of(event.source, event.envelope.message_id) for event in events])


def _forget_windows(tree: Tree, value: str) -> None:
    """Forget what windows count for that key; the store's rows of it are gone."""
    for runner in tree.runners.values():
        states = runner.windows.states
        for key in [key for key in states if key[1] == value]:
            del states[key]


async def _in_flight(tree: Tree) -> int:
    """Return how many open deliveries are of erased events, and events that a router has in hand for a sync."""
    opened = [position for page in tree.books.syncs.values() for position, _ in page.open]
    held = [event for inbox in tree.offers.values() for passed in inbox.held for event in passed.events]
    opened += [event.position for event in held if event.body]  # what it reads again is empty
    events = await tree.store.history.events(sorted(set(opened)))
    gone = {position for position, event in events.items() if not event.raw}
    return sum(position in gone for position in opened)
