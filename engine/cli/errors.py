"""``headrace errors``: what failed or was archived; shown from the store, changed through the engine if one runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import App, Parameter

from engine.cli.asking import ask
from engine.cli.choosing import ALL, DryRun, Filters, Limit, Yes, agreed
from engine.cli.common import (
    DEFAULT,
    AsJson,
    ConfigFile,
    counted,
    data_folder,
    iso,
    names_of,
    read_places,
    say,
    say_json,
    warn,
)
from engine.cli.owning import changed
from engine.cli.progress import bar
from engine.errors import HeadraceError
from engine.observe.shown import Counted

if TYPE_CHECKING:
    from engine.cli import House
    from engine.messages import Trouble
    from engine.store.base import Selection, Store

AT_ONCE = 500
"""Entries that one request is about."""
LONG = 60.0
"""Seconds that it may take."""
_LEFT = {
    "retry": "lack a payload or a destination: headrace replay",
    "discard": "had ended before",
}
USAGE = 2

Ids = Annotated[tuple[str, ...], Parameter(help="Ids of entries, as errors list shows them.", negative="")]


def put(app: App, house: House) -> None:  # noqa: ARG001 - every command is put on alike
    """Put ``errors`` on *app*."""
    from engine.cli.showing import put_show  # noqa: PLC0415 - its other half, below it

    errors = App(name="errors", help="What failed, waits to be tried again, or was archived.")
    app.command(errors)
    _put_list(errors)
    put_show(errors)
    _put_retry(errors)
    _put_discard(errors)


def _put_list(errors: App) -> None:
    @errors.command(name="list")
    def list_(
        *,
        filters: Filters = ALL,
        limit: Limit = 100,
        after: Annotated[str, Parameter(show_default=False, help="Go on after this id: the next page.")] = "",
        config: ConfigFile = DEFAULT,
        json: AsJson = False,
    ) -> int:
        """List deliveries and events in trouble, the newest first; works beside a running engine.

        Example: headrace errors list --state archived --since 2h --json

        Args:
            filters: Which entries.
            limit: At most so many.
            after: Go on after this id.
            config: The configuration file.
            json: Print one JSON object per line.
        """
        from engine.observe.entries import entry  # noqa: PLC0415 - with the store
        from engine.store.opening import open_reader  # noqa: PLC0415 - likewise

        with open_reader(data_folder(read_places(config))) as reader:
            troubles = reader.list(filters.selection(after=after, limit=limit + 1))
        for trouble in troubles[:limit]:
            if json:
                say_json(entry(trouble))
            else:
                say(_line(trouble))
        if len(troubles) > limit > 0 and not json:
            say(f"there are more: add --after {troubles[limit - 1].id}")
        if not troubles and not json:
            say("nothing is in trouble")
        return 0


def _put_retry(errors: App) -> None:
    @errors.command(name="retry")
    def retry(
        ids: Ids = (),
        /,
        *,
        filters: Filters = ALL,
        yes: Yes = False,
        dry_run: DryRun = False,
        config: ConfigFile = DEFAULT,
    ) -> int:
        """Send deliveries again as they are: the stored payload, with the same idempotency key.

        By ids, or every archived one that matches; those that wait to be tried again go out at once. With order_by, a
        delivery that is sent again by hand does not wait for its turn.

        Example: headrace errors retry --sync orders --reason retries_exhausted --dry-run

        Args:
            ids: Ids of entries.
            filters: Which entries.
            yes: Do not ask.
            dry_run: Only count.
            config: The configuration file.
        """
        wanted = _wanted(filters, ids)
        return _all_changed(config, "retry", wanted, yes=yes, dry_run=dry_run)


def _put_discard(errors: App) -> None:
    @errors.command(name="discard")
    def discard(
        ids: Ids = (),
        /,
        *,
        filters: Filters = ALL,
        yes: Yes = False,
        dry_run: DryRun = False,
        config: ConfigFile = DEFAULT,
    ) -> int:
        """End deliveries for good: they are not sent again, and can no more be retried.

        By ids, or every archived one that matches; one that is in flight just now may still arrive.

        Example: headrace errors discard --sync orders --until 30d --yes

        Args:
            ids: Ids of entries.
            filters: Which entries.
            yes: Do not ask.
            dry_run: Only count.
            config: The configuration file.
        """
        wanted = _wanted(filters, ids)
        return _all_changed(config, "discard", wanted, yes=yes, dry_run=dry_run)


def _wanted(filters: Filters, ids: tuple[str, ...]) -> Selection:
    """Return what a change is about: without ids and states, what is archived.

    Raises:
        HeadraceError: everything would be.
    """
    from engine.messages import State  # noqa: PLC0415 - with the store

    if not ids and filters == ALL:
        raise HeadraceError(
            "which entries? name ids, or choose with --sync, --reason, --since and others\n"
            "    headrace errors list shows them; --state archived takes all that are archived"
        )
    selection = filters.selection(ids)
    if ids or selection.states:
        return selection
    return msgspec.structs.replace(selection, states=(State.ARCHIVED,))


def _all_changed(
    config: Path, change: Literal["retry", "discard"], wanted: Selection, *, yes: bool, dry_run: bool
) -> int:
    """Count, ask, and change what matches, some at a time."""
    from engine.store.opening import open_reader  # noqa: PLC0415 - with the store

    with open_reader(data_folder(read_places(config))) as reader:
        ids = list(reader.ids(wanted, AT_ONCE))
    missing = [one for one in wanted.ids if one not in set(ids)]
    for one in missing:
        warn(f"there is no entry {one}\n    headrace errors list shows those that are kept")
    say(f"{counted(len(ids), 'entry') if len(ids) == 1 else f'{len(ids):,} entries'} to {change}")
    if not ids or dry_run:
        return 1 if missing else 0
    if not agreed(f"{change} them?", yes=yes):
        return USAGE
    done = _change(config, change, wanted, ids)
    said = {"retry": ("goes out again", "go out again"), "discard": ("is discarded", "are discarded")}[change]
    say(f"{done:,} {said[done != 1]}")
    if done < len(ids):
        say(f"{len(ids) - done:,} {_LEFT[change]}")
    return 1 if missing else 0


def _change(config: Path, change: str, wanted: Selection, ids: Sequence[str]) -> int:
    done = 0
    with bar(change) as moved:
        for seen, some in _pages(ids):
            selection = msgspec.structs.replace(wanted, ids=some)
            done += _changed(config, change, selection)
            moved(seen, len(ids))
    return done


def _changed(config: Path, change: str, selection: Selection) -> int:
    """Return how many of a few entries were changed."""

    async def offline(store: Store) -> Counted:
        import time  # noqa: PLC0415 - only where no engine runs

        if change == "discard":
            return Counted(count=await store.ledger.discard(selection, time.time()))
        known = names_of(read_places(config), "destinations")
        return Counted(count=await store.ledger.retry(selection, time.time(), known))

    def online() -> Counted:
        return ask(config, "POST", f"/errors/{change}", Counted, selection, patience=LONG)

    return changed(config, online, offline).count


def _pages(ids: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield how many there are up to the end of each page, and the page."""
    left = iter(ids)
    seen = 0
    while some := tuple(islice(left, AT_ONCE)):
        seen += len(some)
        yield seen, some


def _line(trouble: Trouble) -> str:
    where = f"{trouble.sync} → {trouble.destination}" if trouble.sync else f"source {trouble.source}"
    tried = f", {counted(trouble.attempts, 'attempt')}" if trouble.attempts else ""
    head = f"{trouble.id}  {trouble.state:9} {trouble.stage}/{trouble.reason}{tried}  {where}  {trouble.message_id}"
    why = trouble.error.splitlines()
    return f"{head}\n    {iso(trouble.last_at)}  {why[0] if why else ''}"
