"""The command line as a test runs it, in its own process; it starts no engine."""

from __future__ import annotations

from typing import Any

from engine.cli import House
from plugins import BUILTIN


def _no_engine(*_parts: Any) -> Any:
    raise AssertionError("this command starts no engine")


HOUSE = House(builtin=BUILTIN, tree=_no_engine)
