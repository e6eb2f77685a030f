from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog
import trio
import trio.testing

JUMPS_AFTER = 0.002
"""Seconds of silence on real sockets after which trio's clock jumps: what was sent over loopback has come by then."""


@pytest.fixture(autouse=True)
def _quiet():
    """Let actors log errors only, so that a failing test's report shows what matters."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.reset_defaults()


@pytest.fixture
def jumping_clock(monkeypatch: pytest.MonkeyPatch) -> trio.testing.MockClock:
    """Return a clock that jumps when nobody does anything, not even the kernel for us; nothing is left to threads."""
    monkeypatch.setattr(trio.to_thread, "run_sync", _at_once)
    return trio.testing.MockClock(autojump_threshold=JUMPS_AFTER)


async def _at_once(call: Callable[..., Any], *arguments: Any, **_how: Any) -> Any:
    await trio.lowlevel.checkpoint()
    return call(*arguments)
