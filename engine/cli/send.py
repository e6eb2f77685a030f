"""``headrace send``: a file of events to a running engine."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter, Token

from engine.cli.common import DEFAULT, STDIN, AsJson, ConfigFile, counted, read_config, say, say_json, warn
from engine.errors import HeadraceError, Problem
from engine.units import Rate

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from engine.cli import House
    from engine.client.send import Listener, Progress, Readable, Target


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What ``send --json`` prints: read = bad + refused + acked.

    Attributes:
        file: as the user named it.
        read: lines, blank ones aside.
        bad: lines that are not JSON objects, and were not sent.
        refused: events that the receiver did not accept.
        acked: events that are durable at the receiver.
        resent: times an event was sent again, after a reconnect.
        seconds: how long it took.
    """

    file: str
    read: int
    bad: int
    refused: int
    acked: int
    resent: int
    seconds: float


def rate_of(_type: Any, tokens: Sequence[Token]) -> Rate:
    """Return a rate as it is written in config.toml; a bare number is one a second."""
    text = tokens[0].value
    return Rate(text if "/" in text else f"{text}/s")


AsRate = Annotated[Rate | None, Parameter(converter=rate_of, accepts_keys=False, n_tokens=1)]


def put(app: App, house: House) -> None:  # noqa: ARG001 - every command is put on alike
    """Put ``send`` on *app*."""

    @app.command(name="send")
    def send(  # noqa: PLR0913 - one option a wish
        file: Annotated[str, Parameter(help="One event as JSON a line; - reads standard input.")],
        /,
        *,
        config: ConfigFile = DEFAULT,
        url: Annotated[str, Parameter(show_default=False, help="The receiver, for example ws://127.0.0.1:8321.")] = "",
        key: Annotated[str, Parameter(show_default=False, help="The write key.")] = "",
        rate: Annotated[AsRate, Parameter(help="Events a second at most, for example 100/s.")] = None,
        connections: Annotated[int, Parameter(help="WebSocket connections; a user's events share one.")] = 1,
        seconds: Annotated[
            float | None,
            Parameter(show_default=False, help="Send the file again and again for so long, as new events."),
        ] = None,
        json: AsJson = False,
    ) -> int:
        """Send a file of events over WebSocket, and wait until every one is durable or refused.

        Receiver and write key are those of the configuration unless they are given.

        Example: headrace send events.ndjson --rate 100/s

        Args:
            file: One event as JSON a line.
            config: The configuration file.
            url: The receiver.
            key: The write key.
            rate: Events a second at most.
            connections: WebSocket connections.
            seconds: Send the file again and again for so long.
            json: Print a summary as JSON.
        """
        from engine.client.send import Target  # noqa: PLC0415 - with trio

        if connections < 1:
            raise HeadraceError(f"--connections {connections}: at least 1 is needed")
        where, shown = (url, key) if url and key else _configured(config, url, key)
        target = Target(url=where, write_key=shown, connections=connections, rate=rate, seconds=seconds)
        summary = send_file(file, target, progress=not json)
        if json:
            say_json(summary)
        else:
            say(_line(summary))
        return 1 if summary.bad or summary.refused else 0


def _configured(config: Path, url: str, key: str) -> tuple[str, str]:
    """Return url and key, what is not given from the configuration."""
    loaded = read_config(config, secrets=not key)
    listen = str(loaded.config.receiver.listen)
    if not url and listen.endswith(":0"):
        raise HeadraceError(f"{config}: the receiver takes any free port\n    say which with --url")
    host, _, port = listen.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - what it is told from
    sources = [source for source in loaded.config.sources.values() if source.write_keys]
    if not key and not sources:
        raise HeadraceError(f"{config}: there is no source with a write key\n    give a write key with --key")
    return url or f"ws://{host}:{port}", key or str(sources[0].write_keys[0])


def send_file(name: str, target: Target, *, progress: bool) -> Summary:
    """Send the file of that name, `STDIN` for standard input; show how far it is if *progress* and on a terminal.

    Raises:
        HeadraceError: the file cannot be read.
        ClientError: the receiver cannot be reached, or takes no more.
    """
    import time  # noqa: PLC0415 - with trio

    import trio  # noqa: PLC0415 - most commands need none

    from engine.client.send import send_lines  # noqa: PLC0415

    began = time.monotonic()
    with _opened(name) as (file, size), _listener(size, progress=progress) as listener:
        done = trio.run(send_lines, file, _named(name), target, listener)
    return Summary(
        file=name,
        read=done.read,
        bad=done.bad,
        refused=done.refused,
        acked=done.acked,
        resent=done.resent,
        seconds=round(time.monotonic() - began, 3),
    )


@contextmanager
def _opened(name: str) -> Iterator[tuple[Readable, int | None]]:
    """Open the file; yield it and its size in bytes, None if that is not known."""
    if name == STDIN:
        yield sys.stdin.buffer, None  # type: ignore[misc]  # typeshed knows it as BinaryIO; it is a BufferedReader
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise HeadraceError(f"cannot read {name}: {error.strerror}") from None
    with file:
        yield file, Path(name).stat().st_size or None


class _Telling:
    """Tells of lines that were lost, and of nothing else."""

    def moved(self, progress: Progress) -> None:
        """Take no note."""

    def lost(self, problem: Problem) -> None:
        """Tell it."""
        warn(str(problem))


class _Showing(_Telling):
    """Shows a bar besides."""

    def __init__(self, bar: Bar, size: int | None) -> None:
        self._bar = bar
        self._task = bar.add_task("sending", total=size, events=0, rate=0.0)

    def moved(self, progress: Progress) -> None:
        """Move the bar."""
        seconds = self._bar.tasks[0].elapsed or 0.0
        rate = progress.acked / seconds if seconds else 0.0
        self._bar.update(self._task, completed=progress.size, events=progress.acked, rate=rate)


@contextmanager
def _listener(size: int | None, *, progress: bool) -> Iterator[Listener]:
    """Yield who is told how it goes: a bar, if there is a terminal to draw it on."""
    if not (progress and sys.stderr.isatty()):
        yield _Telling()
        return
    from rich.console import Console  # noqa: PLC0415 - machines need none of it
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (BarColumn(), TextColumn("{task.fields[events]:,} acknowledged, {task.fields[rate]:,.0f}/s"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        yield _Showing(bar, size)


def _line(summary: Summary) -> str:
    rate = summary.acked / summary.seconds if summary.seconds else 0.0
    lost = [f"{count} {word}" for count, word in ((summary.refused, "refused"), (summary.bad, "not JSON")) if count]
    ends = ", ".join([f"{summary.acked} acknowledged", *lost])
    return f"{counted(summary.read, 'event')} in {summary.seconds:.1f} s ({rate:,.0f}/s): {ends}"


def _named(name: str) -> str:
    return "standard input" if name == STDIN else name
