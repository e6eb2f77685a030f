"""``headrace function``: what one function makes of one event, without an engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from engine.cli.common import AsJson, say, say_json
from engine.errors import HeadraceError, one_of

if TYPE_CHECKING:
    from engine.cli import House

KINDS = {".js": "javascript", ".py": "python"}
"""Suffix of a function's file, and the plugin that runs it."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What ``function test --json`` prints.

    Attributes:
        events: what came out; null if it failed.
        printed: what it printed or logged.
        error: its stack, or why it did not answer; null if all is well.
    """

    events: Any = None
    printed: str = ""
    error: str | None = None


def put(app: App, house: House) -> None:
    """Put ``function`` on *app*."""
    function = App(name="function", help="User code between contract and filters.")
    app.command(function)

    @function.command(name="test")
    def test(
        file: Annotated[Path, Parameter(help="The function's file: Python (.py) or JavaScript (.js).")],
        /,
        *,
        event: Annotated[Path, Parameter(help="A file with one event, or an array of them, as JSON.")],
        timeout: Annotated[float, Parameter(help="Seconds it may take.")] = 5.0,
        json: AsJson = False,
    ) -> int:
        """Run a function on an event, as the engine would: in a process of its own. Prints output, logs and stack.

        Example: headrace function test functions/normalise.py --event event.json

        Args:
            file: The function's file.
            event: A file with one event, or an array of them.
            timeout: Seconds it may take.
            json: Print JSON, for machines.
        """
        tried = _tried(file, _payload(event), timeout, house)
        if json:
            say_json(tried)
        else:
            _show(tried)
        return 1 if tried.error else 0


def _tried(file: Path, payload: bytes, timeout: float, house: House) -> Tried:
    """Run the function once.

    Raises:
        HeadraceError: the file is in no language that functions are written in.
    """
    from engine.registry import Registry  # noqa: PLC0415 - only where it is needed
    from engine.results import Hello  # noqa: PLC0415
    from engine.runtime.hosted import Died, Hosted, TimedOut, Unusable  # noqa: PLC0415

    if file.suffix not in KINDS:
        raise HeadraceError(f"{file} is not a file that functions are written in\n    {one_of(KINDS)}")
    plugin = Registry(house.builtin).place("functions", KINDS[file.suffix])
    hosted = Hosted(Hello(plugin=plugin, path=str(file.absolute()), name=str(file)), timeout)
    try:
        said = hosted.call(payload)
    except (TimedOut, Died, Unusable) as error:
        return Tried(error=str(error))
    finally:
        hosted.close()
    events = None if said.error else msgspec.json.decode(said.value)
    return Tried(events=events, printed=said.printed, error=said.error or None)


def _payload(file: Path) -> bytes:
    """Return the events of a file as a JSON array.

    Raises:
        HeadraceError: it cannot be read, or holds neither an event nor an array of them.
    """
    try:
        found = msgspec.json.decode(file.read_bytes())
    except OSError as error:
        raise HeadraceError(f"{file} cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HeadraceError(f"{file} is no JSON: {error}") from error
    events = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) for one in events):
        raise HeadraceError(f"{file} holds no event\n    an event is a JSON object; several stand in an array")
    return msgspec.json.encode(events)


def _show(tried: Tried) -> None:
    if tried.printed:
        say("printed:\n" + "\n".join(f"    {line}" for line in tried.printed.splitlines()))
    if tried.error:
        say(f"failed:\n    {tried.error.replace(chr(10), chr(10) + '    ')}")
    else:
        many = len(tried.events) if isinstance(tried.events, list) else 0
        say(f"{many} event{'' if many == 1 else 's'} came out")
        say(msgspec.json.format(msgspec.json.encode(tried.events), indent=2).decode())
