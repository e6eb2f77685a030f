"""``headrace errors``: what failed or was archived, from the store, beside a running engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import App, Parameter

from engine.cli.common import DEFAULT, AsJson, ConfigFile, data_folder, iso, read_config, say, say_json

if TYPE_CHECKING:
    from engine.cli import House
    from engine.messages import Trouble

States = Literal["retrying", "archived", "blocked", "discarded"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``errors list --json``; others rely on these names.

    Attributes:
        event_id: the event's position in the log, as text.
        status: the last HTTP status; null if nothing came back or nothing was sent.
        first_at, last_at: ISO-8601, UTC.
    """

    id: str
    event_id: str
    message_id: str
    sync: str | None
    destination: str | None
    stage: str
    state: str
    reason: str
    attempts: int
    status: int | None
    first_at: str
    last_at: str


def put(app: App, house: House) -> None:  # noqa: ARG001 - every command is put on alike
    """Put ``errors`` on *app*."""
    errors = App(name="errors", help="What failed, waits to be tried again, or was archived.")
    app.command(errors)

    @errors.command(name="list")
    def list_(
        *,
        config: ConfigFile = DEFAULT,
        sync: Annotated[str, Parameter(show_default=False, help="Only this sync.")] = "",
        state: Annotated[
            tuple[States, ...], Parameter(show_default=False, negative="", help="Only these states.")
        ] = (),
        reason: Annotated[str, Parameter(show_default=False, help="Only this reason, for example rejected_400.")] = "",
        limit: Annotated[int, Parameter(help="At most so many, the newest first.")] = 100,
        json: AsJson = False,
    ) -> int:
        """List deliveries and events in trouble, the newest first; works beside a running engine.

        Example: headrace errors list --state archived --json

        Args:
            config: The configuration file.
            sync: Only this sync.
            state: Only these states.
            reason: Only this reason, for example rejected_400.
            limit: At most so many.
            json: Print one JSON object per line.
        """
        from engine.messages import State  # noqa: PLC0415 - with the store, below
        from engine.store.base import Selection  # noqa: PLC0415
        from engine.store.opening import open_reader  # noqa: PLC0415

        wanted = Selection(sync=sync, states=tuple(State(one) for one in state), reason=reason, limit=limit)
        with open_reader(data_folder(read_config(config, secrets=False))) as reader:
            troubles = reader.list(wanted)
        for trouble in troubles:
            if json:
                say_json(_entry(trouble))
            else:
                say(_line(trouble))
        if not troubles and not json:
            say("nothing is in trouble")
        return 0


def _entry(trouble: Trouble) -> Entry:
    return Entry(
        id=trouble.id,
        event_id=str(trouble.position),
        message_id=trouble.message_id,
        sync=trouble.sync or None,
        destination=trouble.destination or None,
        stage=trouble.stage,
        state=trouble.state,
        reason=trouble.reason,
        attempts=trouble.attempts,
        status=trouble.status or None,
        first_at=iso(trouble.first_at),
        last_at=iso(trouble.last_at),
    )


def _line(trouble: Trouble) -> str:
    where = f"{trouble.sync} → {trouble.destination}" if trouble.sync else f"source {trouble.source}"
    tried = f", {trouble.attempts} attempts" if trouble.attempts else ""
    head = f"{trouble.id}  {trouble.state:9} {trouble.stage}/{trouble.reason}{tried}  {where}  {trouble.message_id}"
    why = trouble.error.splitlines()
    return f"{head}\n    {iso(trouble.last_at)}  {why[0] if why else ''}"
