"""``headrace errors show``: one entry, all of it, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from engine.cli.common import DEFAULT, AsJson, ConfigFile, counted, data_folder, read_places, say, say_json
from engine.errors import HeadraceError

if TYPE_CHECKING:
    from engine.observe.entries import Made, Whole


def put_show(errors: App) -> None:
    """Put ``show`` on ``errors``."""

    @errors.command(name="show")
    def show(
        id: Annotated[str, Parameter(help="An id, as errors list shows it.")],  # noqa: A002 - what a user types
        /,
        *,
        config: ConfigFile = DEFAULT,
        json: AsJson = False,
    ) -> int:
        """Show one entry: what you sent, the payload, request, response, every attempt, and what to do next.

        Example: headrace errors show 3-51c7a4f79b97

        Args:
            id: An id.
            config: The configuration file.
            json: Print JSON, for machines.
        """
        from engine.observe.entries import whole  # noqa: PLC0415 - with the store
        from engine.store.opening import open_reader  # noqa: PLC0415 - likewise

        with open_reader(data_folder(read_places(config))) as reader:
            trouble = reader.get(id)
            if trouble is None:
                raise HeadraceError(f"there is no entry {id}\n    headrace errors list shows those that are kept")
            logged = None if trouble.event else reader.event(trouble.position)
            attempts = reader.attempts(trouble.position)
        found = whole(trouble, trouble.event or (logged.raw if logged else b""), attempts)
        if json:
            say_json(found)
        else:
            say("\n".join(_lines(found)))
        return 0


def _lines(whole: Whole) -> list[str]:
    """Return the entry for a person, heading by heading."""
    where = f"{whole.sync} ({whole.event_type}) → {whole.destination}" if whole.sync else f"source {whole.source}"
    lines = [
        f"{whole.id}  {whole.state}  {whole.stage}/{whole.reason}  {where}",
        f"    message {whole.message_id}, position {whole.event_id}, received {whole.received_at}",
        f"    first trouble {whole.first_at}, last {whole.last_at}, {counted(whole.tries, 'attempt')}",
    ]
    lines += [f"    next attempt {whole.due_at}"] if whole.due_at else []
    lines += ["", f"next: {whole.next}"]
    for title, text in (
        ("what went wrong", "\n".join(part for part in (whole.error, whole.trace) if part)),
        ("what you sent", "" if whole.event is None else _pretty(whole.event)),
        ("payload", "" if whole.payload is None else _pretty(whole.payload)),
        ("request", whole.request),
        ("response", whole.response),
        ("attempts", "\n".join(map(_attempt, whole.attempts))),
    ):
        lines += ["", title, *(f"    {line}".rstrip() for line in text.splitlines())] if text else []
    return lines


def _attempt(one: Made) -> str:
    return f"{one.at}  {one.ms:g} ms  {one.status or 'no reply'}  {one.error}".rstrip()


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
