"""Durations, sizes, rates, addresses and times as people write them: text with a unit, a number to the engine."""

from __future__ import annotations

import datetime as dt
import ipaddress
import math
import re
from collections.abc import Mapping
from typing import ClassVar, Self, TypeAlias

_DURATION = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}
_PER = {"s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")
_RATE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*/\s*([smh])\s*")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):([0-9]{1,5})")
_PORTS = 65535


def _parse(text: str, units: Mapping[str, float], example: str) -> float:
    """Return the number of base units that *text* says, or raise ValueError with what was expected."""
    if not (match := _NUMBER.fullmatch(text)) or match[2] not in units:
        raise ValueError(f'expected a number and one of {" ".join(units)}, as in "{example}"')
    number = float(match[1]) * units[match[2]]
    if not math.isfinite(number):
        raise ValueError(f'expected a number that is not that large, as in "{example}"')
    return number


class Duration(float):
    """Seconds, written ``"250ms"``, ``"5s"``, ``"10m"``, ``"4h"`` or ``"3d"``."""

    __slots__ = ()
    example: ClassVar[str] = "5s"
    pattern: ClassVar[str] = r"^\s*[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)\s*$"

    def __new__(cls, text: str | float) -> Self:
        """Take text with a unit, or seconds.

        Raises:
            ValueError: says what was expected.
        """
        return super().__new__(cls, _parse(text, _DURATION, cls.example) if isinstance(text, str) else text)

    def written(self) -> str:
        """Return the shortest text that means the same."""
        return _shortest(self, _DURATION)


class Wait(Duration):
    """A duration above nothing: what it bounds could not happen otherwise."""

    __slots__ = ()

    def __new__(cls, text: str | float) -> Self:
        """Take text with a unit, or seconds.

        Raises:
            ValueError: says what was expected.
        """
        made = super().__new__(cls, text)
        if made <= 0:
            raise ValueError(f'expected a duration above 0, as in "{cls.example}"')
        return made


class Size(int):
    """Bytes, written ``"32 KiB"``, ``"4 MiB"`` or ``"20 GiB"``."""

    __slots__ = ()
    example: ClassVar[str] = "32 KiB"
    pattern: ClassVar[str] = r"^\s*[0-9]+(\.[0-9]+)?\s*(B|KB|MB|GB|KiB|MiB|GiB|TiB)\s*$"

    def __new__(cls, text: str | int) -> Self:
        """Take text with a unit, or bytes.

        Raises:
            ValueError: says what was expected.
        """
        return super().__new__(cls, int(_parse(text, _SIZE, cls.example)) if isinstance(text, str) else text)

    def written(self) -> str:
        """Return the shortest text that means the same."""
        return _shortest(self, _SIZE, " ")


class Rate(float):
    """A number a second, written ``"50/s"``, ``"300/m"`` or ``"1000/h"``."""

    __slots__ = ()
    example: ClassVar[str] = "50/s"
    pattern: ClassVar[str] = r"^\s*[0-9]+(\.[0-9]+)?\s*/\s*[smh]\s*$"

    def __new__(cls, text: str | float) -> Self:
        """Take text with a period, or a number a second.

        Raises:
            ValueError: says what was expected.
        """
        if not isinstance(text, str):
            return super().__new__(cls, text)
        match = _RATE.fullmatch(text)
        number = float(match[1]) / _PER[match[2]] if match else 0.0
        if not 0.0 < number < math.inf:
            raise ValueError(f'expected a number above 0, "/" and s, m or h, as in "{cls.example}"')
        return super().__new__(cls, number)

    def written(self) -> str:
        """Return the shortest text that means the same."""
        return f"{float(self):g}/s"


class Backoff(str):
    """Two durations, written ``"5s..5m"``: the longest wait before the second attempt, and the longest of all."""

    __slots__ = ()
    example: ClassVar[str] = "5s..5m"
    pattern: ClassVar[str] = rf"{Duration.pattern[:-1]}\.\.{Duration.pattern[1:]}"

    def __new__(cls, text: str) -> Self:
        """Take text.

        Raises:
            ValueError: says what was expected.
        """
        made = super().__new__(cls, text)
        if made.base > made.cap:
            raise ValueError(f'expected the shorter duration first, as in "{cls.example}"')
        return made

    def _half(self, index: int) -> float:
        """Return one of the two durations, in seconds."""
        halves = self.split("..")
        if len(halves) != 2:  # noqa: PLR2004 - two halves
            raise ValueError(f'expected two durations with ".." between, as in "{self.example}"')
        return Duration(halves[index])

    @property
    def base(self) -> float:
        """Seconds before the second attempt, at most."""
        return self._half(0)

    @property
    def cap(self) -> float:
        """Seconds between any two attempts, at most."""
        return self._half(1)

    def written(self) -> str:
        """Return the text itself."""
        return str(self)


class Address(str):
    """Where to listen, written ``"127.0.0.1:8321"``, ``"[::1]:8321"`` or ``"localhost:0"``."""

    __slots__ = ()
    example: ClassVar[str] = "127.0.0.1:8321"
    pattern: ClassVar[str] = r"^(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):[0-9]{1,5}$"

    def __new__(cls, text: str) -> Self:
        """Take text.

        Raises:
            ValueError: says what was expected.
        """
        match = _ADDRESS.fullmatch(text)
        if not match or int(match[2]) > _PORTS or not _is_host(match[1]):
            raise ValueError(f'expected host:port with a port up to {_PORTS}, as in "{cls.example}"')
        return super().__new__(cls, text)

    @property
    def host(self) -> str:
        """A name or an IP address, without brackets."""
        return self.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """0 takes a free one."""
        return int(self.rpartition(":")[2])

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it; no name is looked up, and only ``localhost`` counts as such."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def written(self) -> str:
        """Return the text itself."""
        return str(self)


class Network(str):
    """Addresses that belong together, written ``"10.0.0.0/8"``, ``"fd00::/8"``, or one alone as ``"192.0.2.7"``."""

    __slots__ = ()
    example: ClassVar[str] = "10.0.0.0/8"
    pattern: ClassVar[str] = r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"

    def __new__(cls, text: str) -> Self:
        """Take text.

        Raises:
            ValueError: says what was expected.
        """
        try:
            ipaddress.ip_network(text)
        except ValueError:
            raise ValueError(f'expected an IP address or a network, as in "{cls.example}"') from None
        return super().__new__(cls, text)

    def written(self) -> str:
        """Return the text itself."""
        return str(self)


class Start(str):
    """Where a new sync begins, written ``"latest"``, ``"earliest"`` or a time such as ``"2025-01-31T12:00:00Z"``."""

    __slots__ = ()
    example: ClassVar[str] = "2025-01-31T12:00:00Z"
    pattern: ClassVar[str] = r"^(latest|earliest|[0-9]{4}-[0-9]{2}-[0-9]{2}.*)$"

    def __new__(cls, text: str) -> Self:
        """Take text.

        Raises:
            ValueError: says what was expected.
        """
        made = super().__new__(cls, text)
        if text not in {"latest", "earliest"}:
            try:
                _ = made.at
            except ValueError:
                raise ValueError(f'expected "latest", "earliest" or a time, as in "{cls.example}"') from None
        return made

    @property
    def at(self) -> float | None:
        """Epoch seconds, or None for ``latest`` and ``earliest``; a time without an offset is UTC."""
        if self in {"latest", "earliest"}:
            return None
        time = dt.datetime.fromisoformat(self)
        return (time if time.tzinfo else time.replace(tzinfo=dt.UTC)).timestamp()

    def written(self) -> str:
        """Return the text itself."""
        return str(self)


Unit: TypeAlias = Duration | Size | Rate | Backoff | Address | Network | Start
"""Any of the types that are text with a meaning; each has ``example``, ``pattern`` and ``written()``."""

UNITS: tuple[type[Unit], ...] = (Duration, Size, Rate, Backoff, Address, Network, Start)
"""The same, to ask what a type is."""


def _is_host(text: str) -> bool:
    """Tell whether *text* can be listened on: what stands in brackets must be an IPv6 address."""
    try:
        return not text.startswith("[") or bool(ipaddress.IPv6Address(text[1:-1]).compressed)
    except ValueError:
        return False


def _shortest(number: float, units: Mapping[str, float], between: str = "") -> str:
    """Return *number* in the largest unit that needs no fraction; in the smallest with one if there is none."""
    for unit, size in sorted(units.items(), key=lambda item: -item[1]):
        if number and number % size == 0:
            return f"{int(number / size)}{between}{unit}"
    smallest = min(units, key=lambda unit: units[unit])
    return f"{number / units[smallest]:g}{between}{smallest}"
