"""``headrace trace``: the way of one event, or the last events of one user; from the store, beside a running engine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from engine.cli.choosing import Limit
from engine.cli.common import DEFAULT, AsJson, ConfigFile, counted, data_folder, iso, read_plan, say, say_json
from engine.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.cli import House
    from engine.plan import Plan
    from engine.plan.tracing import Decided, Traced
    from engine.store.sqlite.reader import Reader

PAGE = 20_000
"""Positions that are looked at together for a user's events."""


def put(app: App, house: House) -> None:
    """Put ``trace`` on *app*."""

    @app.command(name="trace")
    def trace(
        message_id: Annotated[str, Parameter(help="An event's messageId.")] = "",
        /,
        *,
        user: Annotated[str, Parameter(show_default=False, help="List the last events of this userId.")] = "",
        anonymous: Annotated[str, Parameter(show_default=False, help="Likewise, of this anonymousId.")] = "",
        limit: Limit = 20,
        config: ConfigFile = DEFAULT,
        json: AsJson = False,
    ) -> int:
        """Trace an event: when it came, what its source said, each sync's decision, and every attempt.

        Example: headrace trace 6f3c1a52

        Args:
            message_id: An event's messageId.
            user: List the last events of this userId.
            anonymous: Likewise, of this anonymousId.
            limit: With --user: events at most.
            config: The configuration file.
            json: Print JSON, for machines.
        """
        from engine.store.opening import open_reader  # noqa: PLC0415 - with the store

        if bool(message_id) == bool(user or anonymous):
            raise HeadraceError("name a messageId, or a user with --user or --anonymous")
        plan, _ = read_plan(config, house, secrets=False)
        with open_reader(data_folder(plan.loaded)) as reader:
            if not message_id:
                who = ("userId", user) if user else ("anonymousId", anonymous)
                return _list(reader, who, limit, as_json=json)
            found = _traced(reader, plan, message_id)
            if not found:
                return _unknown(reader, message_id, config, as_json=json)
        for one in found:
            if json:
                say_json(one)
            else:
                say("\n".join(_lines(one)))
        return 0


def _traced(reader: Reader, plan: Plan, message_id: str) -> list[Traced]:
    import trio  # noqa: PLC0415 - only where something is traced

    from engine.plan.then import Then  # noqa: PLC0415
    from engine.plan.tracing import trace  # noqa: PLC0415

    async def aside(call: Callable[[], Any]) -> Any:
        await trio.lowlevel.checkpoint()
        return call()

    async def run() -> list[Traced]:
        then = Then(_Facts(reader), plan, plan.registry, aside)
        found = [await trace(reader.facts(at), plan, then, time.time()) for at in reader.located(message_id)]
        return [one for one in found if one is not None]

    return trio.run(run)


class _Facts:
    """The facts of a store that is only read, as an engine's are asked for."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.meta = self

    async def get(self, key: str) -> tuple[bytes, int] | None:
        """Return (value, revision), or None."""
        return self._reader.fact(key)


def _unknown(reader: Reader, message_id: str, config: Path, *, as_json: bool) -> int:
    """Say what may have become of an event that the log does not have; its entries outlive it.

    Raises:
        HeadraceError: nothing is left of it.
    """
    from engine.store.base import Selection  # noqa: PLC0415 - with the store

    entries = [one for one in reader.list(Selection(text=message_id)) if one.message_id == message_id]
    first = reader.first()
    if not entries:
        raise HeadraceError(
            f"no event with messageId {message_id!r} is in the log, which reaches back to position {first}\n"
            "    retention may have let it go ([store.retention] age and size), or it was erased, or the door\n"
            "    refused it or took it for a duplicate under another id: headrace tap SOURCE shows what comes in"
        )
    for one in entries:
        if as_json:
            say_json({"entry": one.id, "sync": one.sync or None, "state": one.state, "reason": one.reason})
        else:
            say(f"{one.id}  {one.state} {one.stage}/{one.reason}  {one.sync or one.source}")
    if not as_json:
        say(f"the log let the event itself go; headrace errors show ID -c {config} shows what is kept of it")
    return 0


def _list(reader: Reader, who: tuple[str, str], limit: int, *, as_json: bool) -> int:
    """List a user's last events."""
    from engine.observe.entries import brief_of  # noqa: PLC0415 - with the store

    below, found, first = reader.last() + 1, list[Any](), reader.first()
    while below > max(first, 1) and len(found) < limit:
        some, below = reader.of_user(who, below, PAGE)
        found += some
    for one in found[:limit]:
        brief = brief_of(one)
        if as_json:
            say_json(brief)
        else:
            what = f"{brief.type} {brief.event}".rstrip()
            say(f"{brief.event_id}  {brief.received_at}  {brief.source}  {what}  {brief.message_id}")
    if not found and not as_json:
        say(f"the log has no event with {who[0]} {who[1]!r}")
    return 0 if found else 1


def _lines(one: Traced) -> list[str]:
    why = f": {one.reason}" if one.reason else ""
    lines = [
        f"{one.message_id}  position {one.position}, source {one.source}, from a {one.client}",
        f"    {iso(one.received_at)}  received",
        f"    source: {one.fate}{why}",
    ]
    lines += [f"        {line}" for line in one.error.splitlines()]
    if one.function is not None:
        lines.append(f"    functions and windows made {counted(one.function, 'event')} of it")
    for each in one.syncs:
        lines += _decision(each, one.message_id)
    return lines


def _decision(one: Decided, message_id: str) -> list[str]:
    to = f" ({one.event_type}) → {one.destination}" if one.event_type else ""
    why = f": {one.reason}" if one.reason else ""
    other = f"  {one.message_id}" if one.message_id not in ("", message_id) else ""
    today = "  (by today's plan: that of the day is forgotten)" if one.by_today else ""
    entry = f"  headrace errors show {one.entry}" if one.entry else ""
    lines = [f"    {one.sync}{to}: {one.fate}{why}{other}{today}{entry}"]
    for each in one.attempts:
        first, *more = each.error.splitlines() or [""]
        lines.append(f"        {iso(each.at)}  {each.seconds * 1000:.1f} ms  {each.status or '-'}  {first}".rstrip())
        lines += [f"        {line}" for line in more]
    return lines
