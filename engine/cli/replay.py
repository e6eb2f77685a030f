"""``headrace replay``: entries of the archive, or events of the log, through the plan again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import App, Parameter

from engine.cli.asking import ask
from engine.cli.choosing import DryRun, Parts, Yes, agreed, moment
from engine.cli.choosing import Stages as Stages  # noqa: PLC0414 - inherited options are resolved by this page's names
from engine.cli.common import (
    DEFAULT,
    AsJson,
    ConfigFile,
    columns,
    counted,
    data_folder,
    iso,
    read_places,
    read_plan,
    say,
    say_json,
    warn,
)
from engine.cli.owning import changed
from engine.cli.progress import bar
from engine.cli.send import rate_of
from engine.errors import HeadraceError
from engine.store.replays import Became, Place, Replay, Replays, Wish
from engine.units import Rate

if TYPE_CHECKING:
    from engine.cli import House
    from engine.plan.replaying import Good, Sweep
    from engine.plan.sources import SourcePlan
    from engine.results import Result
    from engine.store.base import Store

AT_ONCE = 100
"""Deliveries that are written together where no engine runs."""
LONG = 60.0
"""Seconds that one request may take."""
LOOK = 0.5
"""Seconds between looks at how far a replay is."""
USAGE = 2

Fates = Literal["archived", "blocked", "discarded", "delivered", "filtered"]
AsRate = Annotated[Rate, Parameter(converter=rate_of, accepts_keys=False, n_tokens=1)]


def put(app: App, house: House) -> None:
    """Put ``replay`` on *app*."""
    replay = App(name="replay", help="Entries of the archive, or events of the log, through the plan again.")
    app.command(replay)
    _put_start(replay, house)
    _put_list(replay)
    _put_stop(replay)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Which(Parts):
    """Which entries and events; every given part must hold."""

    state: Annotated[
        tuple[Fates, ...],
        Parameter(negative="", help="Entries of these states; delivered and filtered: events of the log."),
    ] = ("archived", "blocked")
    filter: Annotated[str, Parameter(show_default=False, help="Only events for which this is true.")] = ""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class How:
    """How they are made again, and how fast."""

    plan: Annotated[
        Literal["current", "stored"], Parameter(help="Map with today's plan, or with the one of the day.")
    ] = "current"
    rate: Annotated[AsRate, Parameter(help="Events a second at most, beside live traffic.")] = Rate("50/s")  # noqa: RUF009
    through_functions: Annotated[bool, Parameter(negative="", help="Run the functions again.")] = False
    same_keys: Annotated[bool, Parameter(negative="", help="Keep keys though payloads differ.")] = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a person wants to be dealt with."""

    yes: Yes = False
    dry_run: DryRun = False
    wait: Annotated[bool, Parameter(negative="", help="Wait until it is over.")] = False
    json: AsJson = False


ALL, AS_EVER, POLITE = Which(), How(), Manner()


def _put_start(replay: App, house: House) -> None:
    @replay.default  # so that the word may be left out
    @replay.command(name="start")
    def start(
        ids: Annotated[tuple[str, ...], Parameter(help="Ids of entries.", negative="")] = (),
        /,
        *,
        which: Which = ALL,
        how: How = AS_EVER,
        manner: Manner = POLITE,
        config: ConfigFile = DEFAULT,
    ) -> int:
        """Replay: contract, filter and mapping of today once more, then to the destination, after a count.

        An unchanged payload keeps its idempotency key; a changed one gets a new key. What waits to be tried anyway is
        left alone. Functions are not run again, but for events on which they failed; windows never move. With
        order_by, what is replayed is outside the order.

        Example: headrace replay start --sync orders --reason mapping_failed --since 2d --dry-run

        Args:
            ids: Ids of entries.
            which: Which entries and events.
            how: How they are made again.
            manner: How a person is dealt with.
            config: The configuration file.
        """
        return _replayed(config, house, _wish(ids, which, how), manner)


def _wish(ids: tuple[str, ...], which: Which, how: How) -> Wish:
    return Wish(
        ids=ids,
        sync=which.sync,
        source=which.source,
        destination=which.destination,
        fates=which.state,
        stage=which.stage,
        reason=which.reason,
        text=which.text,
        since=moment("--since", which.since, time.time()),
        until=moment("--until", which.until, time.time()),
        filter=which.filter,
        plan=how.plan,
        rate=float(how.rate),
        through_functions=how.through_functions,
        same_keys=how.same_keys,
    )


def _put_list(replay: App) -> None:
    @replay.command(name="list")
    def list_(*, config: ConfigFile = DEFAULT, json: AsJson = False) -> int:
        """List the replays that run or ended lately, with how far they are.

        Example: headrace replay list

        Args:
            config: The configuration file.
            json: Print JSON, for machines.
        """
        from engine.store.replays import read_replays  # noqa: PLC0415 - with the store

        found = changed(config, lambda: ask(config, "GET", "/replays", Replays), read_replays)
        if json:
            say_json(found)
            return 0
        for one in found.kept:
            say(_line(one))
        if not found.kept:
            say("nothing was replayed")
        return 0


def _put_stop(replay: App) -> None:
    @replay.command(name="stop")
    def stop(number: Annotated[int, Parameter(help="Of the replay.")], /, *, config: ConfigFile = DEFAULT) -> int:
        """End a replay where it stands: what it sent is sent, the rest stays as it is.

        Example: headrace replay stop 3

        Args:
            number: Of the replay.
            config: The configuration file.
        """
        online = partial(ask, config, "POST", f"/replays/{number}/stop", Replay)
        say(_line(changed(config, online, partial(_end, number))))
        return 0


async def _end(number: int, store: Store) -> Replay:
    """End a replay that would go on at the next start.

    Raises:
        HeadraceError: there is none of that number.
    """
    from engine.store.base import Change  # noqa: PLC0415 - with the store
    from engine.store.replays import fact_of, read_replays  # noqa: PLC0415 - likewise

    replays, found = (await read_replays(store)).ended(number, time.time())
    if found is None:
        raise HeadraceError(f"there is no replay {number}\n    headrace replay list shows those that are remembered")
    await store.commit(Change(facts=fact_of(replays)))
    return found


def _replayed(config: Path, house: House, wish: Wish, manner: Manner) -> int:
    """Count, ask, begin, and wait if that is wanted."""
    found = _counted(config, house, wish)
    missing = _unmeant(config, wish)
    if manner.dry_run and manner.json:
        say_json(found)
        return missing
    for line in _table(found.became):
        say(line)
    sent = sum(one.sent for one in found.became.values())
    if manner.dry_run or not _anything(found):
        return missing
    if not manner.yes and not any(one.sent or one.filtered for one in found.became.values()):
        say("nothing would be sent: all of it fails again; headrace errors list says why, mend that first")
        return missing
    if not agreed(f"replay {counted(sent, 'delivery') if sent == 1 else f'{sent:,} deliveries'}?", yes=manner.yes):
        return USAGE
    begun = changed(
        config,
        lambda: ask(config, "POST", "/replays", Replay, wish),
        lambda store: _offline(store, config, house, wish),
    )
    if manner.wait and begun.state == "running":
        begun = _waited(config, begun)
    if manner.json:
        say_json(begun)
    else:
        say(_line(begun))
    return missing


def _unmeant(config: Path, wish: Wish) -> int:
    """Say which of the ids that were named are no entries, or not in the states that are meant; return 1 if any."""
    from engine.store.base import Selection  # noqa: PLC0415 - with the store
    from engine.store.opening import open_reader  # noqa: PLC0415 - likewise

    places = read_places(config)
    if not wish.ids or places.config.store.kind == "memory":  # which nobody else can read
        return 0
    with open_reader(data_folder(places)) as reader:
        kept = {one.id: one.state for one in reader.list(Selection(ids=wish.ids, limit=len(wish.ids)))}
    unmeant = [one for one in wish.ids if kept.get(one) not in wish.states]
    for one in unmeant:
        if one not in kept:
            warn(f"there is no entry {one}\n    headrace errors list shows those that are kept")
        else:
            meant = ", ".join(wish.states)
            warn(f"entry {one} is {kept[one]}, and only {meant} are replayed\n    --state names others")
    return int(bool(unmeant))


def _anything(found: Replay) -> bool:
    """Return whether anything would change, be it only that an event passes its source."""
    return any(one.sent or one.failed or one.filtered for one in found.became.values())


def _counted(config: Path, house: House, wish: Wish) -> Replay:
    """Return what a replay would do."""

    def online() -> Replay:
        replay = Replay(wish=wish, at=time.time())
        with bar("counting") as moved:
            while replay.state == "running":
                replay = ask(config, "POST", "/replays/count", Replay, replay, patience=LONG)
                moved(replay.place.done, replay.place.all)
        return replay

    return changed(config, online, lambda store: _swept(store, config, house, Replay(wish=wish, at=time.time())))


async def _swept(store: Store, config: Path, house: House, replay: Replay) -> Replay:
    """Count a replay where no engine runs."""
    sweep = await _sweep(store, config, house, replay.wish)
    while not replay.place.over:
        replay = (await sweep.step(replay, AT_ONCE)).replay
    return msgspec.structs.replace(replay, state="done")


async def _offline(store: Store, config: Path, house: House, wish: Wish) -> Replay:
    """Do a replay where no engine runs: what it makes is sent at the next start."""
    from engine.store.replays import fact_of, read_replays  # noqa: PLC0415 - with the store

    sweep = await _sweep(store, config, house, wish)
    replays = (await read_replays(store)).begun(wish, time.time())
    replay = replays.kept[-1]
    with bar("replaying") as moved:
        while replay.state == "running":
            step = await sweep.step(replay, AT_ONCE)
            replay = step.replay
            if replay.place.over:
                replay = msgspec.structs.replace(replay, state="done", ended_at=time.time())
            replays = replays.moved(replay)
            await store.commit(msgspec.structs.replace(step.change, facts=fact_of(replays)))
            moved(replay.place.done, replay.place.all)
    return replay


async def _sweep(store: Store, config: Path, house: House, wish: Wish) -> Sweep:
    """Return what makes the steps of a replay in this process.

    Raises:
        HeadraceError: the configuration has problems, or the wish means nothing.
    """
    import trio  # noqa: PLC0415 - only where no engine runs

    from engine.plan.replaying import Beside, Sweep, check_wish  # noqa: PLC0415
    from engine.plan.then import Then  # noqa: PLC0415
    from engine.store.switched import Switches, read_switches  # noqa: PLC0415

    plan, registry = read_plan(config, house, secrets=True)
    check_wish(wish, plan)
    beside = Beside(off=Switches(await read_switches(store.meta)).filtered)

    async def run(source: SourcePlan, batch: Good) -> list[Result]:
        return await trio.to_thread.run_sync(source.transform, batch)

    return Sweep(store, plan, Then(store, plan, registry, trio.to_thread.run_sync), run, time.time, beside)


def _waited(config: Path, replay: Replay) -> Replay:
    """Return *replay* once it is over."""
    with bar("replaying") as moved:
        while replay.state == "running":
            time.sleep(LOOK)
            kept = ask(config, "GET", "/replays", Replays).kept
            found = next((one for one in kept if one.number == replay.number), None)
            if found is None:
                raise HeadraceError(f"replay {replay.number} is forgotten: {len(kept)} others came after it")
            replay = found
            moved(replay.place.done, replay.place.all)
    return replay


def _table(became: dict[str, Became]) -> list[str]:
    """Return what becomes of the events, sync by sync."""
    names = Became.__struct_fields__
    if not became:
        return ["nothing matches"]
    cells = [
        (name or "(stopped at the source)", *(f"{count:,}" for count in msgspec.structs.astuple(one)))
        for name, one in sorted(became.items())
    ]
    return columns([("sync", *names), *cells], left=1)


def _line(replay: Replay) -> str:
    """Return one replay in a few lines."""
    place: Place = replay.place
    ended = f", ended {iso(replay.ended_at)}" if replay.ended_at else ""
    far = "" if replay.ended_at else f", {place.done:,} of {place.all:,} looked at"
    held = f"\n    held: {replay.held}" if replay.held else ""
    head = f"replay {replay.number}: {replay.state}, begun {iso(replay.at)}{ended}{far}"
    return "\n    ".join([head, *_table(replay.became)]) + held
