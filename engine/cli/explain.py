"""``headrace explain``: what would become of one event, step by step."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from engine.cli.common import DEFAULT, STDIN, AsJson, ConfigFile, read_plan, say, say_json, warn
from engine.errors import HeadraceError

if TYPE_CHECKING:
    from engine.cli import House


def put(app: App, house: House) -> None:
    """Put ``explain`` on *app*."""

    @app.command(name="explain")
    def explain(
        event: Annotated[str, Parameter(help="A file with one event as JSON; - reads standard input.")],
        /,
        *,
        config: ConfigFile = DEFAULT,
        source: Annotated[
            str, Parameter(show_default=False, help="The source it comes by, if there are several.")
        ] = "",
        json: AsJson = False,
    ) -> int:
        """Explain what would become of an event: contract, functions, filters, payload and request.

        Nothing is sent, no secret is looked up, and no engine needs to run.

        Example: headrace explain event.json --json

        Args:
            event: A file with one event as JSON.
            config: The configuration file.
            source: The source it comes by.
            json: Print JSON, for machines.
        """
        from engine.plan.explain import explain as explained  # noqa: PLC0415 - only where it is needed
        from engine.plan.telling import as_text  # noqa: PLC0415

        plan, _ = read_plan(config, house, secrets=False)
        given = read_event(event)
        if "event" in given and "type" not in given:
            warn("the event has no type: explained as POST /v1/track takes it, which adds type = track")
            given = {"type": "track", **given}
        told = explained(plan, given, source=source or None, at=time.time())
        if json:
            say_json(told)
        else:
            say(as_text(told))
        return 0


def read_event(name: str) -> dict[str, Any]:
    """Return the event in the file of that name, or on standard input for `STDIN`.

    Raises:
        HeadraceError: it cannot be read, or is not one JSON object.
    """
    try:
        raw = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except OSError as error:
        raise HeadraceError(f"cannot read {name}: {error.strerror}") from None
    try:
        event = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        hint = "an event is one JSON object; headrace send sends files of many"
        raise HeadraceError(f"{_named(name)}: not JSON: {error}\n    {hint}") from None
    if not isinstance(event, dict):
        raise HeadraceError(f"{_named(name)}: an event is a JSON object, this is {_kind(event)}")
    return event


def _named(name: str) -> str:
    return "standard input" if name == STDIN else name


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {list: "an array", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return kinds.get(type(value), "null")
