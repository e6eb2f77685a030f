"""``headrace errors show``: one entry, all of it, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from engine.cli.common import DEFAULT, AsJson, ConfigFile, counted, data_folder, iso, read_config, say, say_json
from engine.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.messages import Attempt, Trouble


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: of the batch that the delivery was in."""

    at: str
    ms: float
    status: int | None
    error: str


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """What ``errors show --json`` prints.

    Attributes:
        event: as it was sent; null if neither entry nor log have it any more.
        payload: as it was mapped; null before the mapping.
        request, response: head and beginning of the body, as text; "" if there was none.
        due_at: of the next attempt; null if there will be none by itself.
        next: what to do.
        attempts: every one to this destination that had a delivery of this event in it, the oldest first.
    """

    id: str
    event_id: str
    message_id: str
    source: str
    sync: str | None
    event_type: str | None
    destination: str | None
    stage: str
    state: str
    reason: str
    next: str
    error: str
    trace: str
    tries: int
    received_at: str
    first_at: str
    last_at: str
    due_at: str | None
    key: str
    event: Any
    payload: Any
    request: str
    response: str
    attempts: tuple[Made, ...]


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
        from engine.store.opening import open_reader  # noqa: PLC0415 - with the store

        with open_reader(data_folder(read_config(config, secrets=False))) as reader:
            trouble = reader.get(id)
            if trouble is None:
                raise HeadraceError(f"there is no entry {id}\n    headrace errors list shows those that are kept")
            logged = None if trouble.event else reader.event(trouble.position)
            attempts = reader.attempts(trouble.position)
        whole = _whole(trouble, trouble.event or (logged.raw if logged else b""), attempts)
        if json:
            say_json(whole)
        else:
            say("\n".join(_lines(whole)))
        return 0


def _whole(trouble: Trouble, event: bytes, attempts: Sequence[Attempt]) -> Whole:
    from engine.observe.advice import advice  # noqa: PLC0415 - with the store

    return Whole(
        id=trouble.id,
        event_id=str(trouble.position),
        message_id=trouble.message_id,
        source=trouble.source,
        sync=trouble.sync or None,
        event_type=trouble.event_type or None,
        destination=trouble.destination or None,
        stage=trouble.stage,
        state=trouble.state,
        reason=trouble.reason,
        next=advice(trouble),
        error=trouble.error,
        trace=trouble.trace,
        tries=trouble.attempts,
        received_at=iso(trouble.received_at),
        first_at=iso(trouble.first_at),
        last_at=iso(trouble.last_at),
        due_at=iso(trouble.due_at) if trouble.due_at else None,
        key=trouble.key,
        event=_decoded(event),
        payload=_decoded(trouble.payload),
        request=trouble.request.decode("utf-8", "replace"),
        response=trouble.response.decode("utf-8", "replace"),
        attempts=tuple(
            Made(at=iso(one.at), ms=round(one.seconds * 1000, 1), status=one.status or None, error=one.error)
            for one in attempts
            if one.destination == trouble.destination
        ),
    )


def _decoded(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw) if raw else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw.decode("utf-8", "replace")


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
