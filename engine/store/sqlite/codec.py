"""How Structs lie in columns."""

from __future__ import annotations

import itertools
import operator
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from engine.messages import Attempt, Envelope, Logged, Result, Trouble
from engine.results import WindowState
from engine.store.books import searched, weight
from engine.violated import Violated

OpenSet = tuple[tuple[int, str], ...]
"""(position, key) of deliveries, ascending."""

WIDTHS = ((0xFF, "B"), (0xFFFF, "H"), (0xFFFFFFFF, "I"), (0xFFFFFFFFFFFFFFFF, "Q"))
"""The highest number that each of struct's letters holds."""

OPEN_HEAD = struct.Struct("<cIQ")
"""The letter of the differences, how many there are, and the first position."""

KEY = 32
"""Hex digits of a delivery's key."""


class _Staged(msgspec.Struct):
    """What is wanted of a ledger row that is only looked at."""

    stage: str


_json = msgspec.json.Encoder()
_pack = msgspec.msgpack.Encoder()
_envelope = msgspec.json.Decoder(Envelope)
_trouble = msgspec.msgpack.Decoder(Trouble)
_staged = msgspec.msgpack.Decoder(_Staged)
_result = msgspec.msgpack.Decoder(Result)
_violated = msgspec.msgpack.Decoder(Violated)
_window = msgspec.msgpack.Decoder(WindowState)
_keys = msgspec.msgpack.Decoder(tuple[str, ...])
_attempts = msgspec.msgpack.Decoder(list[tuple[float, float, int, tuple[int, ...], str]])


def log_values(event: Logged, source: int) -> tuple[object, ...]:
    """Return a log row; the envelope is JSON, so that a person with a SQLite shell can read it."""
    envelope = event.envelope
    return event.position, source, envelope.received_at, _json.encode(envelope), event.raw


def logged(position: int, source: str, envelope: bytes, raw: bytes) -> Logged:
    """Return the event of a log row."""
    return Logged(position=position, source=source, raw=raw, envelope=_envelope.decode(envelope))


def envelope_of(blob: bytes) -> Envelope:
    """Return a log row's envelope."""
    return _envelope.decode(blob)


def result_values(result: Result) -> tuple[object, ...]:
    """Return a row of what a function made of an event."""
    return result.position, _pack.encode(result)


def result_of(blob: bytes) -> Result:
    """Return the result of a row."""
    return _result.decode(blob)


def trouble_values(trouble: Trouble) -> tuple[object, ...]:
    """Return a ledger row: the whole Struct as MessagePack, beside what rows are looked for by."""
    return (
        trouble.id,
        trouble.state.value,
        trouble.reason,
        trouble.source,
        trouble.sync,
        trouble.destination,
        trouble.position,
        trouble.received_at,
        trouble.last_at,
        trouble.due_at,
        searched(trouble),
        weight(trouble),
        trouble.turn,
        _pack.encode(trouble),
    )


def trouble_of(blob: bytes) -> Trouble:
    """Return the trouble of a ledger row."""
    return _trouble.decode(blob)


def stage_of(blob: bytes) -> str:
    """Return the stage of a ledger row; it has no column, since few look for it."""
    return _staged.decode(blob).stage


def violated_values(one: Violated) -> tuple[object, ...]:
    """Return a row of broken contracts: the whole Struct, beside what rows are looked for by."""
    return one.position, one.contract, one.at, one.source, one.type, one.name, _pack.encode(one)


def violated_of(blob: bytes) -> Violated:
    """Return what a row of broken contracts holds."""
    return _violated.decode(blob)


def window_values(state: WindowState) -> tuple[object, ...]:
    """Return a row of what a window has counted."""
    return state.window, state.key, state.start, _pack.encode(state)


def window_of(blob: bytes) -> WindowState:
    """Return the state of a row."""
    return _window.decode(blob)


def attempt_values(attempts: Iterable[Attempt]) -> list[tuple[object, ...]]:
    """Return one row per destination: the lowest and highest position, the first start, and the attempts packed."""
    rows: list[tuple[object, ...]] = []
    by_destination = operator.attrgetter("destination")
    for destination, group in itertools.groupby(sorted(attempts, key=by_destination), by_destination):
        packed = [(one.at, one.seconds, one.status, one.positions, one.error) for one in group]
        positions = [position for one in packed for position in one[3]]
        low, high = min(positions, default=0), max(positions, default=0)
        rows.append((destination, low, high, min(one[0] for one in packed), _pack.encode(packed)))
    return rows


def attempts_of(destination: str, blob: bytes) -> list[Attempt]:
    """Return the attempts of a row."""
    return [
        Attempt(destination=destination, at=at, seconds=seconds, status=status, positions=positions, error=error)
        for at, seconds, status, positions, error in _attempts.decode(blob)
    ]


def open_blob(opened: OpenSet) -> bytes:
    """Return an open set: positions as differences of the narrowest width that fits, keys as 16 bytes each.

    4,096 deliveries take about 68 KiB and 1 ms; every loop over them runs in C, since this is done four times a second
    for each sync. Keys that are not 32 hex digits are kept too, at the cost of their text.
    """
    if not opened:
        return b""
    positions = [position for position, _ in opened]
    keys = [key for _, key in opened]
    steps = list(map(operator.sub, positions[1:], positions))
    letter = next(letter for most, letter in WIDTHS if max(steps, default=0) <= most)
    head = OPEN_HEAD.pack(letter.encode(), len(steps), positions[0])
    return head + struct.pack(f"<{len(steps)}{letter}", *steps) + (_hex_keys(keys) or b"t" + _pack.encode(keys))


def open_of(blob: bytes) -> OpenSet:
    """Return the open set of a progress row."""
    if not blob:
        return ()
    letter, many, first = OPEN_HEAD.unpack_from(blob)
    form = f"<{many}{letter.decode()}"
    positions = itertools.accumulate(struct.unpack_from(form, blob, OPEN_HEAD.size), initial=first)
    rest = blob[OPEN_HEAD.size + struct.calcsize(form) :]
    return tuple(zip(positions, _keys_of(rest), strict=True))


def _hex_keys(keys: Sequence[str]) -> bytes | None:
    """Return keys of 32 lower-case hex digits as bytes, or None if one is something else."""
    if set(map(len, keys)) != {KEY}:
        return None
    text = "".join(keys)
    try:
        packed = bytes.fromhex(text)
    except ValueError:
        return None
    return b"h" + packed if packed.hex() == text else None


def _keys_of(rest: bytes) -> Sequence[str]:
    if rest[:1] == b"t":
        return _keys.decode(rest[1:])
    text = rest[1:].hex()
    return [text[at : at + KEY] for at in range(0, len(text), KEY)]


def json_text(value: str) -> bytes:
    """Return *value* as it stands in an envelope, with its quotes."""
    return _json.encode(value)


def json_list(values: Iterable[Any]) -> str:
    """Return values for ``IN (SELECT value FROM json_each(?))``: one statement for any number of them."""
    return _json.encode(list(values)).decode()
