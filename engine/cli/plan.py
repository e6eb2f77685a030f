"""``headrace plan``: what another configuration would do to the events that were recorded."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import App, Parameter

from engine.cli.choosing import moment
from engine.cli.common import DEFAULT, AsJson, ConfigFile, counted, data_folder, read_plan, say, say_json
from engine.cli.progress import bar
from engine.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.cli import House
    from engine.messages import Logged
    from engine.plan.compile import Plan
    from engine.plan.diff import Diff, Edit
    from engine.plan.planned import Found, Planned
    from engine.store.sqlite.reader import Reader

SHOWN = 5
"""Differences of one sync that are told one by one; `--json` tells all."""
PART = 256
"""Events that are compared together, and given to functions as one batch."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What ``plan --json`` prints last, behind one line for each delivery that is not the same.

    Attributes:
        edits: what is other in the configuration.
        live: keys beside these that take effect at once.
        restart: keys that only a restart changes.
        syncs: for each, how many deliveries are same, change, appear and vanish.
    """

    events: int
    edits: tuple[Edit, ...]
    live: tuple[str, ...]
    restart: tuple[str, ...]
    syncs: tuple[msgspec.Struct, ...]


def put(app: App, house: House) -> None:
    """Put ``plan`` on *app*."""

    @app.command(name="plan")
    def plan(
        *,
        config: ConfigFile = DEFAULT,
        against: Annotated[
            Path | None, Parameter(show_default=False, help="A configuration to compare with; default: what last ran.")
        ] = None,
        since: Annotated[str, Parameter(help='Events received since then, for example "15m", or a time.')] = "1h",
        last: Annotated[int, Parameter(help="At most so many of each source, the newest.")] = 1000,
        json: AsJson = False,
    ) -> int:
        """Show what this configuration would change: which requests change, appear or vanish, of recorded events.

        Compares with the configuration that an engine runs or last ran with on the same store. Nothing is sent, no
        secret is looked up; functions are run, windows count nothing. Exit code 1 if any request is not the same.

        Example: headrace plan -c new.toml --since 15m

        Args:
            config: The new configuration file.
            against: A configuration to compare with.
            since: Events received since then.
            last: At most so many of each source.
            json: Print one JSON object for each delivery that is not the same, then one for all.
        """
        from engine.plan.planned import Planned, summed  # noqa: PLC0415 - only where it is needed
        from engine.store.opening import open_reader  # noqa: PLC0415

        now = time.time()
        new, _ = read_plan(config, house, secrets=False)
        with open_reader(data_folder(new.loaded)) as reader:
            old = read_plan(against, house, secrets=False)[0] if against else _recorded(reader, new, house)
            diff = _diff(old, new, reader)
            recent = {
                source: reader.recent(source, moment("--since", since, now), last)
                for source in dict.fromkeys([*old.sources, *new.sources])
            }
        found = _compared(Planned(old, new, diff, now), recent)
        other, events = [one for one in found if one.what != "same"], sum(map(len, recent.values()))
        if json:
            for one in other:
                say_json(one)
            say_json(_told(diff, events, tuple(summed(found))))
        else:
            say("\n".join(_lines(found, diff, events)))
        return int(bool(other))


def _diff(old: Plan, new: Plan, reader: Reader) -> Diff:
    """Return what *new* changes in *old*, with how many deliveries of each sync have no fate yet."""
    from engine.plan.diff import compare, with_pending  # noqa: PLC0415 - only where it is needed

    pending = Counter({name: one.count for name, one in reader.waiting().items()})
    judged = {cursor.source: cursor.position for cursor in reader.cursors()}
    unread: dict[str, int] = {}
    for page in reader.progress():
        pending[page.sync] += len(page.open)
        unread[page.sync] = max(judged.get(page.source, 0) - page.high, 0)
    diff = compare(old, new)
    return msgspec.structs.replace(diff, edits=tuple(with_pending(diff.edits, pending, unread)))


def _compared(planned: Planned, recent: dict[str, Sequence[Logged]]) -> list[Found]:
    """Return every delivery that either plan makes of the events, by source."""
    found: list[Found] = []
    done = 0
    with bar("recorded events") as moved:
        for source, events in recent.items():
            for start in range(0, len(events), PART):
                part = events[start : start + PART]
                found += planned.compare(source, part)
                done += len(part)
                moved(done, sum(map(len, recent.values())))
    return found


def _recorded(reader: Reader, new: Plan, house: House) -> Plan:
    """Return the plan that an engine last ran with on this store.

    Raises:
        HeadraceError: none is kept, or it can be compiled no more.
    """
    from engine.config.load import read_tables  # noqa: PLC0415 - only where it is needed
    from engine.plan.compile import compile_plan  # noqa: PLC0415
    from engine.registry import Registry  # noqa: PLC0415
    from engine.store.revisions import HEADS, heads_in, revision_in, slot_of  # noqa: PLC0415

    known = heads_in(reader.fact(HEADS))
    number = known[-1].number if known else 0
    revision = revision_in(reader.fact(slot_of(number)), number)
    if revision is None:
        raise HeadraceError("no engine has run on this store yet: name a configuration with --against")
    try:
        return compile_plan(read_tables(revision.tables, new.loaded.folder, env=None), Registry(house.builtin))
    except HeadraceError as error:
        what = f"what last ran (revision {revision.number}) can be read no more"
        hint = "    its function files may have gone; name a configuration with --against"
        raise HeadraceError(f"{what}:\n{error}\n{hint}") from None


def _told(diff: Diff, events: int, syncs: tuple[msgspec.Struct, ...]) -> Told:
    return Told(events=events, edits=diff.edits, live=diff.live, restart=diff.restart, syncs=syncs)


def _lines(found: list[Found], diff: Diff, events: int) -> list[str]:
    from engine.plan.planned import summed  # noqa: PLC0415 - as above

    lines = list(diff.lines(diff.edits))
    if not lines and not diff.restart:
        lines = ["the configuration is the same"]
    lines += [f"{key} takes effect at the next start" for key in diff.restart]
    lines.append(f"{counted(events, 'recorded event')}:")
    for one in summed(found):
        lines.append(
            f"  {one.sync}: {one.same:,} the same, {one.changes:,} change, {one.appears:,} appear, "
            f"{one.vanishes:,} vanish"
        )
        other = [each for each in found if each.sync == one.sync and each.what != "same"]
        for each in other[:SHOWN]:
            lines.append(f"    {each.position}  {each.event_type} {each.what}  {each.message_id}")
            lines += [f"        {reason}" for reason in each.reasons]
        if len(other) > SHOWN:
            lines.append(f"    and {len(other) - SHOWN:,} more")
    return lines
