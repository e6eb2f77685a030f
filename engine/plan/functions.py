"""What user functions make of a source's events, and which event each outcome belongs to.

Events travel as JSON between functions: every call gets copies of its own, so one that writes into its events and then
raises leaves nothing behind for the halves that are tried next.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from engine.messages import Result
from engine.plugin import Function

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
_sorted_encode = msgspec.json.Encoder(order="deterministic").encode

_LONGEST_TRACE = 10_000


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One event between two functions.

    Attributes:
        position: of the event that went into the first function and that this one belongs to.
        message_id: its identity, unique among the pieces of a call.
        raw: the event, as JSON.
    """

    position: int
    message_id: str
    raw: bytes


class Functions:
    """A source's functions, one after the other.

    Args:
        source: the source's name, the head of the ids of events that a function makes from nothing.
        steps: the functions, in order.
    """

    def __init__(self, source: str, steps: Sequence[Function]) -> None:
        self._source = source
        self._steps = tuple(steps)

    def transform(self, events: Iterable[tuple[int, dict[str, Any]]]) -> list[Result]:
        """Return one result per (position, normalised event), in order.

        What comes out belongs to the event whose messageId it has. The second time an id comes out it is
        ``<messageId>#1``, and so on, and belongs to the same event. An event with an id that did not go in keeps it,
        one without an id is called ``<source>:<hash of its content>``; both belong to the event that came out before
        them, or to the first. An event of which nothing comes out was dropped.
        """
        pieces = [Piece(position=at, message_id=event["messageId"], raw=_encode(event)) for at, event in events]
        outcomes: dict[int, list[bytes]] = {piece.position: [] for piece in pieces}
        failures: dict[int, str] = {}
        for step in self._steps:
            pieces = self._applied(step, pieces, failures)
            pieces = [piece for piece in pieces if piece.position not in failures]
        for piece in pieces:
            outcomes[piece.position].append(piece.raw)
        return [_result(position, raws, failures.get(position)) for position, raws in outcomes.items()]

    def _applied(self, step: Function, pieces: list[Piece], failures: dict[int, str]) -> list[Piece]:
        """Return what *step* makes of *pieces*; where it raises, of each half, down to the event that is to blame."""
        if not pieces:
            return []
        try:
            return self._identified(pieces, step.transform([_decode(piece.raw) for piece in pieces]))
        except Exception as error:  # noqa: BLE001 - user code may raise anything
            if len(pieces) == 1:
                failures[pieces[0].position] = user_trace(error, step)
                return []
        middle = len(pieces) // 2
        return self._applied(step, pieces[:middle], failures) + self._applied(step, pieces[middle:], failures)

    def _identified(self, pieces: list[Piece], events: Any) -> list[Piece]:
        """Return the events as pieces: each with an id of its own and the position it belongs to."""
        if not isinstance(events, list):
            raise TypeError(f"a function returns a list of events, this one returned {_kind(events)}")
        owners = {piece.message_id: piece.position for piece in pieces}
        names = _Names(piece.message_id for piece in pieces)
        position, made = pieces[0].position, []
        for event in events:
            if not isinstance(event, dict):
                raise TypeError(f"a function returns a list of events (objects), in this one is {_kind(event)}")
            wanted = self._wanted(event)
            position = owners.get(wanted, position)
            name = names.unique(wanted)
            if event.get("messageId") != name:
                event = {**event, "messageId": name}  # noqa: PLW2901 - the same event, named
            made.append(Piece(position=position, message_id=name, raw=_encode(event)))
        return made

    def _wanted(self, event: dict[str, Any]) -> str:
        """Return the id that *event* came out with, or one made from its content."""
        wanted = event.get("messageId")
        if wanted is None or wanted == "":
            return f"{self._source}:{hashlib.blake2b(_sorted_encode(event), digest_size=16).hexdigest()}"
        if not isinstance(wanted, str):
            raise TypeError(f"a messageId is text, in an event that came out it is {_kind(wanted)}")
        return wanted


class _Names:
    """Gives each event of one call an id that no other has."""

    def __init__(self, known: Iterable[str]) -> None:
        self._known = set(known)
        self._used: set[str] = set()
        self._counts: dict[str, int] = {}

    def unique(self, wanted: str) -> str:
        """Return *wanted* the first time, then ``wanted#1``…; never an id that another event came in with."""
        name = wanted
        while name in self._used or (name is not wanted and name in self._known):
            # Counting on from where it stopped: a function may return one event ten thousand times.
            self._counts[wanted] = count = self._counts.get(wanted, 0) + 1
            name = f"{wanted}#{count}"
        self._used.add(name)
        return name


def user_trace(error: Exception, step: Function) -> str:
    """Return the traceback without our own frames and the plugin's, at most 10,000 characters of its end."""
    ours = {__file__, getattr(sys.modules[type(step).__module__], "__file__", "")}
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in ours:
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace, chain=False))
    return text.strip()[-_LONGEST_TRACE:]


def _result(position: int, raws: list[bytes], failure: str | None) -> Result:
    if failure is not None:
        return Result(position=position, outcome="failed", error=failure)
    return Result(position=position, outcome="passed" if raws else "dropped", events=tuple(raws))


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
