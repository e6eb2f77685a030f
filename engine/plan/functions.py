"""What user functions make of a source's events, and which event each outcome belongs to.

Events travel as JSON between functions: every call gets copies of its own, so one that writes into its events and then
raises leaves nothing behind for the halves that are tried next.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from engine.messages import Result
from engine.plugin import Function
from engine.results import Hello, Said, kept_print, user_trace

if TYPE_CHECKING:
    from engine.runtime.hosted import Callers

T = TypeVar("T")

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
_sorted_encode = msgspec.json.Encoder(order="deterministic").encode


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


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One function of a source.

    Attributes:
        name: as in config.toml.
        inline: runs in this process; or
        hello: runs in a process of its own.
        timeout: seconds a call may take, if it runs in a process of its own.
    """

    name: str = ""
    inline: Function | None = None
    hello: Hello | None = None
    timeout: float = 5.0


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What a source's functions ask for next: to run one of them.

    Attributes:
        step: which, counting from 0.
        raws: the events, as JSON.
        seconds: how long it may take.
    """

    step: int
    raws: tuple[bytes, ...]
    seconds: float


Fault = Literal["", "raised", "timeout", "died", "unusable"]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a call.

    Attributes:
        value: what the function returned.
        fault: how it failed; ``unusable`` if it could not even be loaded.
        error: a traceback, or a sentence.
        seconds: how long it took.
        printed: what an inline function printed.
    """

    value: Any = None
    fault: Fault = ""
    error: str = ""
    seconds: float = 0.0
    printed: str = ""


class Walked(msgspec.Struct, kw_only=True):
    """What came of a batch.

    Attributes:
        results: one for each event up to the first that goes back, in order.
        fault: text of the first call that did not answer, or "": the function may need attention.
    """

    results: list[Result] = []
    fault: str = ""


class _Walk:
    """The state of one batch on its way through the functions."""

    def __init__(self) -> None:
        self.failures: dict[int, tuple[str, str]] = {}
        self.back: set[int] = set()
        self.fault = ""

    def fail(self, piece: Piece, fault: Fault, error: str) -> None:
        reasons = {"timeout": "function_timeout", "died": "function_died"}
        self.failures[piece.position] = (reasons.get(fault, "function_failed"), error)


Asked = Generator[Call, Answer, T]
"""Asks for calls, is sent answers, and returns something."""


class Functions:
    """A source's functions, one after the other.

    Pure: `walk` says which function to call with what, and is told what came of it; who calls, and where the function
    runs, is the caller's business.

    Args:
        source: the source's name, the head of the ids of events that a function makes from nothing.
        steps: the functions, in order; one that is no `Step` runs inline.
    """

    def __init__(self, source: str, steps: Sequence[Step | Function]) -> None:
        self._source = source
        self.steps = tuple(step if isinstance(step, Step) else Step(inline=step) for step in steps)

    def walk(self, events: Iterable[tuple[int, dict[str, Any]]]) -> Asked[Walked]:
        """Take (position, normalised event) pairs through the functions; return one result per event, in order.

        What comes out belongs to the event whose messageId it has. The second time an id comes out it is
        ``<messageId>#1``, and so on, and belongs to the same event. An event with an id that did not go in keeps it,
        one without an id is called ``<source>:<hash of its content>``; both belong to the event that came out before
        them, or to the first. An event of which nothing comes out was dropped.

        A call that raises is taken apart in halves, down to the event that is to blame. One that does not answer is
        not: its events are tried singly, with a tenth of the time each and its whole time for all; what is then not
        tried goes back, so that results end before it.
        """
        pieces = [Piece(position=at, message_id=event["messageId"], raw=_encode(event)) for at, event in events]
        outcomes: dict[int, list[bytes]] = {piece.position: [] for piece in pieces}
        walk = _Walk()
        for index in range(len(self.steps)):
            pieces = yield from self._applied(index, pieces, walk)
            pieces = [piece for piece in pieces if piece.position not in walk.failures]
        for piece in pieces:
            outcomes[piece.position].append(piece.raw)
        upto = min(walk.back, default=None)
        results = [
            _result(position, raws, walk.failures.get(position))
            for position, raws in outcomes.items()
            if upto is None or position < upto
        ]
        return Walked(results=results, fault=walk.fault)

    def transform(self, events: Iterable[tuple[int, dict[str, Any]]]) -> list[Result]:
        """Run the functions over *events* here and now, waiting for each; see `walk`."""
        from engine.runtime.hosted import Callers  # noqa: PLC0415 - only where a command waits for functions

        with Callers([(step.hello, step.timeout) for step in self.steps]) as callers:
            return drive(self.walk(events), lambda call: self._called(call, callers)).results

    def inline(self, call: Call) -> Answer:
        """Run a function that is called inline; what it prints is kept, standard output belongs to the engine."""
        step = self.steps[call.step].inline
        assert step
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                answer = Answer(value=step.transform([_decode(raw) for raw in call.raws]))
            except Exception as error:  # noqa: BLE001 - user code may raise anything
                answer = Answer(fault="raised", error=user_trace(error, step, __file__))
        return msgspec.structs.replace(answer, printed=kept_print(printed)) if printed.tell() else answer

    def _called(self, call: Call, callers: Callers) -> Answer:
        if self.steps[call.step].inline:
            return self.inline(call)
        return heard(*callers.call(call.step, payload(call), call.seconds))

    def _applied(self, index: int, pieces: list[Piece], walk: _Walk) -> Asked[list[Piece]]:
        """Return what one function makes of *pieces*."""
        if not pieces:
            return []
        answer = yield self._call(index, pieces, self.steps[index].timeout)
        made, error = self._made(pieces, answer)
        if made is not None:
            return made
        if answer.fault == "unusable":
            walk.fault = walk.fault or error
            walk.back.update(piece.position for piece in pieces)
            return []
        if answer.fault in {"timeout", "died"}:
            walk.fault = walk.fault or error
        if len(pieces) == 1:
            walk.fail(pieces[0], answer.fault, error)
            return []
        if answer.fault in {"timeout", "died"}:
            return (yield from self._singly(index, pieces, walk))
        middle = len(pieces) // 2
        first = yield from self._applied(index, pieces[:middle], walk)
        return first + (yield from self._applied(index, pieces[middle:], walk))

    def _singly(self, index: int, pieces: list[Piece], walk: _Walk) -> Asked[list[Piece]]:
        """Try each of *pieces* alone, as long as the time lasts; at least the first event is decided."""
        done: list[Piece] = []
        left = timeout = self.steps[index].timeout
        inorder = sorted(pieces, key=lambda piece: piece.position)
        for piece in inorder:
            if left <= 0 and piece.position != inorder[0].position:
                walk.back.add(piece.position)
                continue
            answer = yield self._call(index, [piece], timeout / 10)
            left -= answer.seconds
            made, error = self._made([piece], answer)
            if made is None:
                walk.fail(piece, answer.fault, error)
            else:
                done += made
        return done

    def _call(self, index: int, pieces: Sequence[Piece], seconds: float) -> Call:
        return Call(step=index, raws=tuple([piece.raw for piece in pieces]), seconds=seconds)

    def _made(self, pieces: list[Piece], answer: Answer) -> tuple[list[Piece] | None, str]:
        """Return what came out, or None and why nothing did."""
        if answer.fault:
            return None, answer.error
        try:
            return self._identified(pieces, answer.value), ""
        except Exception as error:  # noqa: BLE001 - it returned what is no list of events
            return None, f"{type(error).__name__}: {error}"

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


def payload(call: Call) -> bytes:
    """Return a call's events as one JSON array."""
    return b"[" + b",".join(call.raws) + b"]"


def heard(said: Said | None, fault: Fault, error: str, seconds: float) -> Answer:
    """Return the answer of a function that runs in a process of its own.

    Args:
        said: what it said, or None if it did not answer.
        fault: why not, then.
        error: the same in words.
        seconds: how long it took.
    """
    if said is None:
        return Answer(fault=fault, error=error, seconds=seconds)
    if said.error:
        return Answer(fault="raised", error=said.error, seconds=seconds)
    try:
        return Answer(value=msgspec.json.decode(said.value), seconds=seconds)
    except msgspec.DecodeError:
        return Answer(fault="raised", error="what the function returned is no JSON", seconds=seconds)


def drive(walk: Asked[T], ask: Callable[[Call], Answer]) -> T:
    """Answer what *walk* asks until it returns."""
    try:
        call = next(walk)
        while True:
            call = walk.send(ask(call))
    except StopIteration as end:
        made: T = end.value
        return made


def _result(position: int, raws: list[bytes], failure: tuple[str, str] | None) -> Result:
    if failure is not None:
        reason, error = failure
        return Result(position=position, outcome="failed", error=error, reason=reason)
    return Result(position=position, outcome="passed" if raws else "dropped", events=tuple(raws))


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
