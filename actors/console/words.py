"""Numbers, ages and states as people read them; what templates call. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from engine.observe.status import SAID
from engine.plan.explained import Shown

NOTHING: Final = "\N{EN DASH}"
"""What stands for a number that there is not."""
GOOD, BUSY, HELD, BAD = "good", "busy", "held", "bad"
TONES: Final = {
    "closed": GOOD, "running": GOOD, "passed": GOOD, "deliver": GOOD, "accepted": GOOD, "delivered": GOOD,
    "done": GOOD, "pending": BUSY, "waiting": BUSY,
    "half_open": BUSY, "restarting": BUSY, "starting": BUSY, "retrying": BUSY, "draining": BUSY,
    "paused": HELD, "disabled": HELD, "filtered": HELD, "duplicate": HELD, "discarded": HELD, "stopped": HELD,
    "open": BAD, "attention": BAD, "down": BAD, "blocked": BAD, "refused": BAD, "archived": BAD, "failed": BAD,
}  # fmt: skip
"""What colour a state has; it is always said in words beside."""


def number(value: float) -> str:
    """Return 1234567 as ``1,234,567``."""
    return f"{value:,.0f}"


def rate(value: float) -> str:
    """Return events a second, without digits that say nothing."""
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"  # noqa: PLR2004 - two digits are enough


def age(seconds: float | None) -> str:
    """Return how long something took or has waited, in one unit; an en dash for nothing."""
    if seconds is None:
        return NOTHING
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1000:.3g} ms" if seconds else "0 ms"


def size(count: float) -> str:
    """Return bytes in the unit that fits."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:  # noqa: PLR2004 - the step from unit to unit
            return f"{count:.3g} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1024
    return f"{count:,.4g} TiB"


def moment(at: float | None) -> str:
    """Return epoch seconds as a UTC time of day with its date."""
    return NOTHING if at is None else dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def clock(at: float) -> str:
    """Return epoch seconds as a UTC time of day."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%H:%M:%S.%f")[:-3]


def iso(at: float) -> str:
    """Return epoch seconds as machines read them, in UTC."""
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def tone(state: str) -> str:
    """Return what colour a state has."""
    return TONES.get(state, HELD)


def said(state: str) -> str:
    """Return a state as a person says it."""
    return SAID.get(state, state.replace("_", " "))


def pretty(value: Any) -> str:
    """Return a value as JSON over several lines."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def lines(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is set in a table, key by key; a value as JSON on one line."""
    return [(key, _short(value)) for key, value in values.items() if value not in (None, "", [], {}, ())]


def numbers(values: Sequence[float | None]) -> str:
    """Return numbers for the browser, separated by spaces; a hyphen where there is none."""
    return " ".join("-" if value is None else f"{value:.6g}" for value in values)


def wire(request: Shown) -> str:
    """Return a request as it goes over the wire, its JSON laid out."""
    lines = [f"{request.method} {request.url}", *(f"{name}: {value}" for name, value in request.headers.items())]
    if request.body is not None:
        lines += ["", request.body if isinstance(request.body, str) else pretty(request.body)]
    return "\n".join(lines)


def quoted(name: str) -> str:
    """Return *name* as one part of an address: a slash in it is quoted too, which Jinja's own filter leaves."""
    return quote(name, safe="")


def called(counted: str) -> str:
    """Return the name of an event as a contract's counts have it, after its call type; the call type if it has none."""
    kind, _, name = counted.partition(" ")
    return name or kind


def _short(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "number": number, "rate": rate, "age": age, "size": size, "moment": moment, "clock": clock, "iso": iso,
    "tone": tone, "said": said, "pretty": pretty, "lines": lines,
    "numbers": numbers, "wire": wire, "urlencode_all": quoted, "called": called,
}  # fmt: skip
