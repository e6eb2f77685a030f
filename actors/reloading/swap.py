"""One reload: what leaves is drained and given its fate, then what is new begins. Names that stay are not touched."""

from __future__ import annotations

import copy
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
import trio

from actors import fittings
from actors.functions import Runner
from actors.receiver.origins import Origins
from actors.reloading.leaving import Leaving
from engine.errors import HeadraceError
from engine.messages import State
from engine.observe.reloaded import Reloaded
from engine.plan import Plan
from engine.plan.diff import Diff, Edit, merged, reads_alike, with_pending
from engine.plan.eras import Eras
from engine.plan.windows import Windows
from engine.plugin import Direct
from engine.runtime.actor import slots
from engine.runtime.hosted import Died, TimedOut, Unusable
from engine.store.base import Progress, Selection
from engine.store.revisions import Reached, heads, keep_revision
from engine.store.start import Wish, fit

if TYPE_CHECKING:
    from actors.tree import Tree

DOOR = frozenset({"write_keys", "origins", "quota", "enabled"})
"""Keys of a source that only its door knows: its validator goes on."""
DRAIN = 5.0
"""Seconds in which what a removed source has accepted may still go through."""
CLOSE = 5.0
"""Seconds that a destination has to let go of what it holds."""
TICK = 0.02
"""Seconds between looks whether it has."""

log = structlog.get_logger()


class Refused(HeadraceError):
    """A configuration that is right, and cannot be put to work."""


class Swap:
    """Brings a tree from its plan to another.

    Args:
        tree: what runs.
        plan: what shall run.
        diff: between them.
    """

    def __init__(self, tree: Tree, plan: Plan, diff: Diff) -> None:
        self.tree = tree
        self.plan = merged(tree.plan, plan, diff)
        self.diff = diff
        self.begun = False
        """Whether what runs is not as it was."""
        self._old = tree.plan
        self._runners: dict[str, Runner] = {}
        self._leaving = Leaving(tree)
        self._dropped: dict[str, int] = {}
        self._unread: dict[str, int] = {}

    async def prepare(self) -> None:
        """Start the functions of sources whose functions are other than before.

        Raises:
            Refused: one does not load; nothing was changed.
        """
        for edit in self.diff.of("source", "added", "changed"):
            if edit.what == "added" or "functions" in edit.keys:
                self._runners[edit.name] = runner = Runner(self.plan.sources[edit.name], self.tree.clock)
                try:
                    await runner.prove()
                except (Died, TimedOut, Unusable) as error:
                    self._let_go()
                    raise Refused(f"a function of source '{edit.name}' does not load: {error}") from None
                except Exception:
                    self._let_go()
                    raise

    def _let_go(self) -> None:
        """End the processes that were begun."""
        for runner in self._runners.values():
            runner.kill()

    async def run(self) -> Reloaded:
        """Do it; return what was done."""
        edits = await self._counted()
        if not self.diff.edits:
            self.tree.plan = self.plan
            await self._remember()
        else:
            await self.tree.hold_status()
            try:
                async with self.tree.replayer.still:
                    self.begun = True
                    await self._sources_leave()
                    await self._syncs_leave()
                    await self._begin()
            finally:
                self.tree.release_status()
        self._adjust()
        await self.tree.operator.keep_paused()
        await self.tree.operator.keep_disabled()
        return Reloaded(
            changes=self.diff.lines(map(self._told, edits)),
            restart=self.diff.restart,
            warnings=tuple(map(str, self.plan.warnings)),
            revision=(await heads(self.tree.store))[-1].number,
        )

    def _told(self, edit: Edit) -> Edit:
        """Return *edit* with what was only known when it was done."""
        if edit.what != "removed":
            return edit
        if edit.kind == "sync":
            return msgspec.structs.replace(edit, unread=self._unread[edit.name])
        dropped = self._dropped.get(edit.name) if edit.kind == "source" else None
        return msgspec.structs.replace(edit, pending=dropped) if dropped else edit

    async def _counted(self) -> list[Edit]:
        """Return the edits, with the number of deliveries that each concerns."""
        waiting = await self.tree.store.ledger.waiting()
        pending = Counter({name: one.count for name, one in waiting.items()})
        pending.update({name: len(page.open) for name, page in self.tree.books.syncs.items()})
        return with_pending(self.diff.edits, pending)

    async def _sources_leave(self) -> None:
        """Shut the doors of sources that go; what they have accepted may go through as long as that is quick."""
        names = [edit.name for edit in self.diff.of("source", "removed")]
        for name in names:
            door = self.tree.doors.pop(name)
            door.plan = copy.copy(self._old.sources[name])
            door.plan.enabled = False
        self.tree.intake.rekey()
        self.tree.receiver.revoke()
        with trio.move_on_after(DRAIN):
            while any(self._is_behind(name) for name in names):
                await self.tree.clock.sleep(TICK)
        for child in (f"{kind}.{name}" for kind in ("reader", "validator") for name in names):
            if child in self.tree.supervisor.states():
                await self.tree.supervisor.remove(child)
        if names:
            await self._leaving.flush()

    def _is_behind(self, source: str) -> bool:
        """Return whether something that a source has accepted has not come through all its syncs."""
        tree = self.tree
        syncs = [name for name, sync in self._old.syncs.items() if sync.source == source]
        return tree.judged[source].position < tree.received[source].position or any(
            tree.routed[name].position < tree.passed[source].position or tree.books.syncs[name].open for name in syncs
        )

    async def _syncs_leave(self) -> None:
        """Stop the routers of syncs that go, move or change; what the first two have on its way gets its fate."""
        removed = [edit.name for edit in self.diff.of("sync", "removed")]
        moved = [edit.was if edit.what == "renamed" else edit.name for edit in self._moved]
        changed = [edit.name for edit in self.diff.of("sync", "changed")]
        routers = [f"router.{name}" for name in (*removed, *moved, *changed)]
        await slots(len(routers), lambda number: self.tree.supervisor.remove(routers[number]))
        for name in removed:
            passed = self.tree.passed[self._old.syncs[name].source].position
            self._unread[name] = max(passed - self.tree.routed[name].position, 0)
        await self._leaving.quiet([*removed, *moved])
        await self._leaving.archive(removed)

    @property
    def _moved(self) -> list[Edit]:
        return self.diff.of("sync", "renamed", "re-pointed")

    async def _begin(self) -> None:
        """Let the new plan be the plan: destinations, then syncs and sources, sinks first."""
        tree, supervisor = self.tree, self.tree.supervisor
        pages = self._taken_down()
        tree.plan = self.plan
        for edit in self.diff.of("destination", "added"):
            tree.add_destination(edit.name)
        wishes = [
            Wish(sync=sync.name, source=sync.source, destination=sync.destination, start=sync.start, was=sync.was)
            for sync in self.plan.syncs.values()
        ]
        fitted = await fit(tree.store, wishes, self.plan.sources.keys(), tree.clock.wall())
        for was, name in fitted.names.items():
            tree.switches.rename(was, name)
        self._dropped = fitted.dropped
        await self._leaving.release()
        cursors = {cursor.source: cursor.position for cursor in await tree.store.meta.cursors()}
        await self._senders_change()
        for edit in self.diff.of("source", "added"):
            eras = Eras(self.plan.sources[edit.name])
            tree.add_source(eras, cursors.get(edit.name, 0), (), self._runners.pop(edit.name))
            tree.books.cursors[edit.name] = cursors.get(edit.name, 0)
        for name in self._named("sync", "added"):
            tree.books.open_page(fitted.progress[name])
            tree.add_sync(fitted.progress[name])
        for name, page in pages.items():
            self._taken_up(name, page)
        await self._order(pages)
        tree.retry.held.clear()
        tree.bell.ring()
        await self._validators_leave()
        await self._remember()
        await self._sources_change()
        for name in self._named("sync", "added", "renamed", "re-pointed", "changed"):
            await supervisor.add(tree.router(name), before=self._fence("validator.", "receiver"))
        for edit in self.diff.of("source", "added"):
            await supervisor.add(tree.validator(edit.name), before="receiver")
            if edit.name in tree.readers:
                await supervisor.add(tree.reader(edit.name), before="pulse")
        await self._gone()

    def _named(self, kind: str, *whats: Any) -> list[str]:
        return [edit.name for edit in self.diff.of(kind, *whats)]

    def _taken_down(self) -> dict[str, tuple[Progress, bool]]:
        """Close the channels of syncs that go or move; return by name of today where those that move stand."""
        tree = self.tree
        pages: dict[str, tuple[Progress, bool]] = {}
        for edit in self._moved:
            was = edit.was if edit.what == "renamed" else edit.name
            page = tree.books.progress(was)
            pages[edit.name] = (msgspec.structs.replace(page, sync=edit.name), tree.gates[was].shut)
            tree.books.close_page(was)
            tree.remove_sync(was, self._old.syncs[was].source, self._old.syncs[was].destination)
        for name in self._named("sync", "removed"):
            tree.books.close_page(name)
            tree.remove_sync(name, self._old.syncs[name].source, self._old.syncs[name].destination)
        return pages

    def _taken_up(self, name: str, stood: tuple[Progress, bool]) -> None:
        """Open the channels of a sync that moved; what it had on its way is made again by the plan of today."""
        page, shut = stood
        before = self._old.syncs[next((e.was for e in self.diff.of("sync", "renamed") if e.name == name), name)]
        self.tree.books.open_page(page)
        self.tree.add_sync(page, known=before.event_types_beside())
        if shut:
            self.tree.gates[name].close()

    async def _order(self, names: Any) -> None:
        """Let syncs that moved know what of theirs waits in the ledger for its turn."""
        for left in await self.tree.store.turns() if names else ():
            if left.sync in names:
                self.tree.orderings.of(left.sync).found(left)

    async def _senders_change(self) -> None:
        """Let new senders take over from old ones, and new destinations have theirs."""
        await slots(len(self.diff.of("destination", "changed")), self._sender_changes)
        for name in self._named("destination", "added"):
            await self.tree.supervisor.add(self.tree.sender(name), before="replayer")

    async def _sender_changes(self, number: int) -> None:
        edit = self.diff.of("destination", "changed")[number]
        name, plan = edit.name, self.plan.destinations[edit.name]
        port = self.tree.ports[name]
        await self._leaving.hand_over(name)
        await self._close(self._old, name)
        port.limiter.adjust(plan.rate, plan.burst)
        port.breaker.adjust(fittings.thresholds(plan))
        if set(edit.keys) - {"rate", "burst", "concurrency", "retry", "breaker"}:
            port.limiter.resume()  # it was another address, or were other credentials, that were told to wait
            port.breaker.probe_now()
            # Who has mended an address does not want to wait for the rest of a back-off of five minutes.
            waiting = Selection(destination=name, states=(State.RETRYING,))
            await self.tree.store.ledger.retry(waiting, self.tree.clock.wall())
        await self.tree.supervisor.add(self.tree.sender(name), before="replayer")

    async def _sources_change(self) -> None:
        """Let changed sources be judged as the plan says from where their validators stand."""
        for edit in self.diff.of("source", "changed"):
            tree, name, plan = self.tree, edit.name, self.plan.sources[edit.name]
            if f"validator.{name}" not in tree.supervisor.states():
                await tree.supervisor.add(tree.validator(name), before="receiver")
            door = tree.doors[name]
            door.plan, door.origins = plan, Origins(plan.doorway.origins)
            if name in tree.readers:
                await tree.supervisor.remove(f"reader.{name}")
            tree.fit_reader(name)
            if name in tree.readers:
                await tree.supervisor.add(tree.reader(name), before="pulse")

    async def _validators_leave(self) -> None:
        """Stop those that judge otherwise from now on; where they stand is durable then."""
        names = [edit.name for edit in self.diff.of("source", "changed") if not set(edit.keys) <= DOOR]
        for name in names:
            await self.tree.supervisor.remove(f"validator.{name}")
            self._turn(name)
        if names:
            await self._leaving.flush()

    def _turn(self, name: str) -> None:
        """Let what a source's validator has not judged be judged as the plan says."""
        tree, plan, eras = self.tree, self.plan.sources[name], self.tree.eras[name]
        if reads_alike(eras.now, plan):
            eras.now = plan
        else:
            eras.turn(tree.judged[name].position, plan)
        old = tree.runners[name]
        runner = self._runners.pop(name, old)
        runner.windows = Windows(plan.windows, old.windows.states.values())
        if runner is not old:
            old.kill()
            tree.runners[name] = runner

    async def _gone(self) -> None:
        """Let go of sources and destinations that nobody uses any more."""
        for name in self._named("source", "removed"):
            self.tree.remove_source(name)
        for name in self._named("destination", "removed"):
            await self.tree.supervisor.remove(f"sender.{name}")
            await self._close(self._old, name)
            self.tree.remove_destination(name)

    async def _close(self, plan: Plan, name: str) -> None:
        destination = plan.destinations[name].destination
        if isinstance(destination, Direct):
            with trio.move_on_after(CLOSE) as scope:
                await self.tree.close_plugin(name, destination)
            if scope.cancelled_caught:
                log.warning("destination.close_failed", destination=name, error=f"it took longer than {CLOSE:g} s")

    def _fence(self, prefix: str, last: str) -> str:
        """Return the first child whose name begins with *prefix*, before which sinks are listed."""
        return next((name for name in self.tree.supervisor.states() if name.startswith(prefix)), last)

    def _adjust(self) -> None:
        tree = self.tree
        tree.intake.keep_to(fittings.terms(self.plan))
        tree.intake.rekey()
        tree.receiver.revoke()

    async def _remember(self) -> None:
        """Remember what is in force, before anybody begins by it: after a crash it is known who did what by which."""
        tree, loaded = self.tree, self.plan.loaded
        syncs = {name: mark.position for name, mark in tree.routed.items()}
        await keep_revision(
            tree.store,
            tree.clock.wall(),
            digest=loaded.digest,
            text=loaded.text,
            tables=loaded.tables,
            reached=Reached(syncs=syncs, sources={name: mark.position for name, mark in tree.judged.items()}),
        )
