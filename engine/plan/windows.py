"""Windows: durable counts, sums and distinct values per key, which fire once when they reach a threshold.

A window is a function of the log: its state is written in the transaction of the validator's cursor, and what comes
after the cursor is counted again from there. So neither a crash nor a second reading counts twice, and what fires does
so at the same event, with the same messageId.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from engine.config import schema
from engine.errors import LangError
from engine.lang.filters import Filter, compile_filter
from engine.lang.path import getter, parse
from engine.messages import Event
from engine.results import WindowState

PREFIX = "window:"
"""Begins the messageId of what a window fires; such an event is counted by no window."""
SWEEP = 60.0
"""Seconds between looks for states that are over."""
Key = tuple[str, str, float]
"""A window's name, a key's value, and the start of the stretch of time in epoch seconds."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class WindowPlan:
    """One window, compiled.

    Attributes:
        name: as in config.toml.

    Args:
        name: as in config.toml.
        table: its table.

    Raises:
        LangError: with the key in front, for example ``key: …``.
    """

    def __init__(self, name: str, table: schema.Window) -> None:
        self.name = name
        self._table = table
        self._every = float(table.every)
        self._filter: Filter | None = _compiled("filter", table.filter, compile_filter) if table.filter else None
        self._key = _compiled("key", table.key, _reference)
        self._value = _compiled("value", table.value, _reference) if table.value else None
        if (table.measure == "count") == bool(table.value):
            hint = "leave value out" if table.value else 'add value = "properties.cost"'
            raise LangError(f"measure: '{table.measure}' {'takes no' if table.value else 'needs a'} value", hint)

    def counted(self, body: dict[str, Any]) -> tuple[str, float | int] | None:
        """Return the key and what the event adds (for distinct: a hash of the value), or None if it does not count."""
        if self._filter and not self._filter.test(body):
            return None
        key = self._key(body)
        if key is None or key is msgspec.UNSET or isinstance(key, (dict, list)):
            return None
        value: Any = 1 if self._value is None else self._value(body)
        if self._table.measure == "sum":
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            return (_text(key), value) if is_number else None
        if self._table.measure == "distinct":
            if value is None or value is msgspec.UNSET:
                return None
            return _text(key), int.from_bytes(hashlib.blake2b(_encode(value), digest_size=8).digest(), "big")
        return _text(key), 1

    def start(self, received_at: float) -> float:
        """Return when the stretch began that *received_at* lies in; stretches are counted from 1970."""
        return received_at // self._every * self._every

    def over(self, state: WindowState, now: float) -> bool:
        """Return whether nothing can be counted in *state* any more: two stretches later, should clocks be set."""
        return state.start + 2 * self._every < now

    def grown(self, state: WindowState, more: float) -> WindowState:
        """Return *state* after one more event; a state that has fired stays as it is."""
        if state.fired:
            return state
        if self._table.measure == "distinct":
            seen = state.seen if more in state.seen else (*state.seen, int(more))
            value = float(len(seen))
        else:
            seen, value = (), state.value + more
        fired = value >= self._table.threshold
        return msgspec.structs.replace(state, value=value, seen=() if fired else seen, fired=fired)

    def event(self, state: WindowState, cause: Event) -> dict[str, Any]:
        """Return the event that *state* fires, at the event that made it."""
        at = _iso(cause.received_at)
        who: dict[str, Any] = {key: cause.body[key] for key in ("userId", "anonymousId") if key in cause.body}
        return {
            "type": "track",
            "event": self._table.event,
            "messageId": f"{PREFIX}{self.name}:{state.key}:{_iso(state.start)}",
            **(who or {"anonymousId": f"{PREFIX}{self.name}"}),
            "properties": {
                "window": self.name,
                "key": state.key,
                "measure": self._table.measure,
                "value": state.value,
                "threshold": self._table.threshold,
                "start": _iso(state.start),
                "end": _iso(state.start + self._every),
                "cause": cause.message_id,
            },
            "timestamp": at,
            "originalTimestamp": at,
            "sentAt": at,
            "receivedAt": at,
        }


class Windows:
    """The windows of one source with their states; belongs to the tree.

    Args:
        plans: what is counted.
        states: as they were stored.
    """

    def __init__(self, plans: Sequence[WindowPlan], states: Iterable[WindowState] = ()) -> None:
        self.plans = {plan.name: plan for plan in plans}
        self.states: dict[Key, WindowState] = {
            (one.window, one.key, one.start): one for one in states if one.window in self.plans
        }
        self.sweep_at = 0.0

    def view(self) -> View:
        """Return where events can be counted without changing anything yet."""
        return View(self)

    def settle(self, view: View) -> None:
        """Make what was counted in *view* the state."""
        for key, state in view.changed.items():
            if state.gone:
                self.states.pop(key, None)
            else:
                self.states[key] = state


class View:
    """Counts a batch of events on top of the states.

    Attributes:
        changed: the states that are other than before.
    """

    def __init__(self, windows: Windows) -> None:
        self.changed: dict[Key, WindowState] = {}
        self._windows = windows
        self._latest = 0.0

    def count(self, event: Event) -> list[dict[str, Any]]:
        """Count *event*; return what fires."""
        if event.message_id.startswith(PREFIX):
            return []
        self._latest = max(self._latest, event.received_at)
        return [fired for plan in self._windows.plans.values() for fired in self._counted(plan, event)]

    def states(self) -> tuple[WindowState, ...]:
        """Return what to store: changed states, and those that are over, to be forgotten."""
        windows = self._windows
        if self._latest >= windows.sweep_at:
            windows.sweep_at = self._latest + SWEEP
            for key, state in windows.states.items():
                if windows.plans[state.window].over(state, self._latest):
                    self.changed[key] = msgspec.structs.replace(state, gone=True)
        return tuple(self.changed.values())

    def _counted(self, plan: WindowPlan, event: Event) -> Iterable[dict[str, Any]]:
        counted = plan.counted(event.body)
        if counted is None:
            return
        name, more = counted
        key = (plan.name, name, plan.start(event.received_at))
        state = self.changed.get(key) or self._windows.states.get(key)
        if state is None:
            state = WindowState(window=plan.name, key=name, start=key[2])
        grown = plan.grown(state, more)
        if grown is state:
            return
        self.changed[key] = grown
        if grown.fired:
            yield plan.event(grown, event)


def _compiled(where: str, text: str, compile_: Callable[[str], Any]) -> Any:
    try:
        return compile_(text)
    except LangError as error:
        raise LangError(f"{where}: {error.what}", error.hint, error.column) from None


def _reference(text: str) -> Callable[[Any], Any]:
    return getter(parse(text))


def _text(key: Any) -> str:
    return key if isinstance(key, str) else _encode(key).decode()


def _iso(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
