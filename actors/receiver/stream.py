"""One WebSocket connection: what comes is submitted, and what became durable is said.

Both happen without a turn of their own while nobody has to wait: frames are submitted in the turn of the task that
reads them, and acks are sent by the commit's own call. A full store, a quota, a full window or a client that takes
nothing bring the slow way back: the stream's task that receives and waits, and the speaker.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec
import trio

from actors.receiver.acks import Acks, Turn
from actors.receiver.doors import Door
from actors.receiver.frames import UNREADABLE, Frame, read
from actors.receiver.intake import MOST, Intake, chunks
from engine import wire
from engine.errors import ProtocolError, StoreError, StoreFull
from engine.runtime.bell import Bell
from engine.runtime.beside import Beside
from engine.runtime.websocket import Closed, TooLarge, WebSocket

DRAIN: Final = 64
"""Frames taken in one go, before others have their turn."""
AGAIN: Final = 1.0
"""Seconds between two looks at a store that is full."""
HELLO: Final = 10.0
"""Seconds a client has to show its key."""

PING: Final = 30.0
"""Seconds without a word after which a client is asked whether it is still there."""
PONG: Final = 20.0
"""Seconds it has to answer; a network that swallows everything is noticed by nothing else."""
PATIENCE: Final = 20.0
"""Seconds a client is slowed down at a time, to keep to its quota; one that needs more is told so. Below the clients'
own patience for an ack."""

_SHOW_KEY: Final = (
    'show a write key: Basic or Bearer authorization, ?writeKey=, or a first frame {"type":"hello","writeKey":"…"}'
)


class Guest(msgspec.Struct, frozen=True, kw_only=True):
    """What the handshake said.

    Attributes:
        write_key: as it was shown, or None.
        ip: the client's address if it is a browser.
        origin: where its page is from, if it is a browser.
    """

    write_key: str | None
    ip: str | None = None
    origin: str | None = None


class _TooMuch(Exception):
    """A client sends far more than it may."""


class Stream:
    """Serves one open WebSocket until it is over.

    Args:
        socket: open.
        guest: who it is.
        intake: what it submits to.
        ready: what to say first, when the source is known.
    """

    def __init__(self, socket: WebSocket, guest: Guest, intake: Intake, ready: wire.Ready) -> None:
        self._socket = socket
        self._guest = guest
        self._intake = intake
        self._ready = ready
        self._acks = Acks()
        self._said = 0
        self._about = self._full = False  # to say something; to be kept from it, by a client that takes nothing
        self._news = Bell()
        self._progress = Bell()
        self._reading = trio.CancelScope()
        self._taken = 0
        self._failure: BaseException | None = None
        self._door: Door | None = None
        self._parting = (wire.DRAINING, "draining; connect again")

    async def run(self) -> None:
        """Serve until either side ends it; what is then undecided, the client will send again."""
        try:
            async with Beside() as nursery:
                nursery.start_soon(self._speak)
                code, reason = await self._read()
                if code != wire.FAILED:
                    await self._all_said()
            await self._socket.close(code, reason)
        except Closed:
            pass

    def drain(self) -> None:
        """Read no more, send the last acks, close; returns at once."""
        self._reading.cancel()

    def recheck(self) -> None:
        """Close if the key that was shown opens another door now, or none."""
        if self._door is not None and self._intake.door_for(self._guest.write_key) is not self._door:
            self._parting = (wire.KEY, "no source has this write key any more")
            self._reading.cancel()

    async def _read(self) -> tuple[int, str]:
        """Read until there is a reason to close, and return it."""
        with self._reading:
            door = await self._meet()
            if isinstance(door, str):
                return wire.KEY, door
            try:
                return wire.PROTOCOL, await self._follow(door)
            except StoreError as error:
                self._failure = error
            except _TooMuch as error:
                return wire.QUOTA, str(error)
            except TooLarge as error:
                return wire.TOO_LARGE, error.reason
        if self._failure is not None:
            return wire.FAILED, "the store has failed; what is not acknowledged is not accepted"
        return self._parting

    async def _meet(self) -> Door | str:
        """Return what the client's key opens, after telling it so; or why it may not come in."""
        if self._guest.write_key is None:
            with trio.move_on_after(HELLO):
                key = _hello(await self._socket.receive())
                self._guest = msgspec.structs.replace(self._guest, write_key=key)
        door = self._intake.door_for(self._guest.write_key)
        if door is None:
            return _SHOW_KEY if self._guest.write_key is None else "no source has this write key"
        if not door.origins.allow(self._guest.origin):
            return "pages of this origin may not send here"
        if door.plan.doorway.kind is not None:
            return "the write key is not for SDKs, see the type of its source"
        await self._socket.send(_text(msgspec.structs.replace(self._ready, source=door.plan.name)))
        self._door = door
        return door

    async def _heard(self) -> str | bytes:
        """Return the next message; ask a client that says nothing whether it is there.

        Raises:
            Closed: it is not.
        """
        while True:
            taken = self._taken
            with trio.move_on_after(PING):
                return await self._socket.receive()
            if self._taken == taken:
                await self._socket.ping(PONG)

    async def _follow(self, door: Door) -> str:
        """Submit what comes, until a frame does not parse; return its fault."""
        socket, window = self._socket, self._ready.window
        message: str | bytes | None = await self._heard()
        if message is not None and _hello(message) is not None:
            message = socket.receive_nowait()
        while True:
            while message is not None:
                frames, fault, message = self._frames(message)
                for chunk in chunks(frames):
                    await self._submit(door, chunk)
                if fault:
                    return fault
                while self._acks.undecided >= window:
                    await self._progress.wait()
                message = message or socket.receive_nowait()
            socket.divert(partial(self._take, door))
            message = await self._heard()

    def _frames(self, message: str | bytes | None) -> tuple[list[Frame], str, str | bytes | None]:
        """Return *message* and those behind it as frames, the fault of the one that is none, and what is left over."""
        frames: list[Frame] = []
        while message is not None and len(frames) < DRAIN:
            try:
                frames.append(read(message, self._guest.ip))
            except ProtocolError as error:
                return frames, str(error), None
            message = self._socket.receive_nowait() if len(frames) < DRAIN else None
        return frames, "", message

    def _take(self, door: Door, messages: list[str | bytes]) -> int:
        """Submit *messages* at once, if nothing has to wait for it; return how many were."""
        self._taken += 1
        limited = self._guest.origin is None and self._intake.has_quota(self._guest.write_key)
        if limited or self._reading.cancel_called or self._acks.undecided >= self._ready.window:
            return 0
        try:
            frames = [read(message, self._guest.ip) for message in messages]
            if sum(len(frame.items) for frame in frames) <= MOST:
                self._enter(door, frames)
                return len(messages)
        except (ProtocolError, StoreFull):
            return 0  # whoever receives finds the same, and can wait or close
        except StoreError as error:
            self._failure = error
            self._reading.cancel()
        return 0

    async def _submit(self, door: Door, frames: list[Frame]) -> None:
        """Submit *frames* as soon as the store has room; that the client waits meanwhile is all it learns."""
        await self._keep_quota(sum(len(frame.items) for frame in frames))
        while True:
            try:
                count = self._enter(door, frames)
            except StoreFull:
                await self._intake.clock.sleep(AGAIN)
                continue
            break
        if count == MOST:
            await trio.lowlevel.checkpoint()  # the rest of a big frame: others have their turn as well

    def _enter(self, door: Door, frames: list[Frame]) -> int:
        """Submit *frames*; return how many elements they have.

        Raises:
            StoreFull: there is no room now; nothing was submitted.
            StoreError: the store has failed for good.
        """
        turn = Turn()
        verdict = self._intake.submit(door, frames, partial(self._decide, turn))
        self._acks.open(turn, verdict.count, verdict.refused)
        if not verdict.waits:
            turn.decided = True
        if turn.decided and self._acks.decide(turn):
            self._say()
        return verdict.count

    async def _keep_quota(self, events: int) -> None:
        """Wait until *events* more are within the key's quota, if it has one and no browser shows it.

        Raises:
            _TooMuch: it would take too long.
        """
        if self._guest.origin is not None:
            return
        while wait := self._intake.wait(self._guest.write_key, events):
            if wait > PATIENCE:
                raise _TooMuch(f"the write key has used up its quota; come again in {wait:.0f} s")
            await self._intake.clock.sleep(wait)

    def _decide(self, turn: Turn, error: BaseException | None) -> None:
        if error is not None:
            self._failure = error
            self._reading.cancel()
        elif self._acks.decide(turn) and not self._about:
            self._about = True
            self._intake.after_commit(self._say)

    def _say(self) -> None:
        """Send an ack of all that is decided, now or, while the client takes nothing, as soon as it does."""
        self._about = False
        if self._full:
            return
        ack = self._acks.take()
        if ack is None or self._socket.closed_code is not None:
            return  # to send into a close that is under way would cut it short
        self._said = ack.upto
        self._full = not self._socket.post(_text(ack))
        if self._full:
            self._news.ring()
        self._progress.ring()

    async def _speak(self) -> None:
        """Wait for a client that takes nothing: what is decided meanwhile goes with the next ack."""
        while True:
            await self._news.wait()
            try:
                await self._socket.flush()
            except Closed:
                self._reading.cancel()
                return
            self._full = False
            self._progress.ring()
            self._say()

    async def _all_said(self) -> None:
        """Wait until every element read is acknowledged, if it can still be."""
        while (self._full or self._said < self._acks.read) and self._failure is None:
            if self._socket.closed_code is not None:
                return
            await self._progress.wait()


def _hello(message: str | bytes) -> str | None:
    """Return the write key if *message* is a hello."""
    try:
        if isinstance(message, str):
            return msgspec.json.decode(message, type=wire.Hello).write_key
        return msgspec.msgpack.decode(message, type=wire.Hello).write_key
    except UNREADABLE:
        return None


def _text(answer: wire.Answer) -> str:
    return msgspec.json.encode(answer).decode()
