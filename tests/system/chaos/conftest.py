from __future__ import annotations

import logging

import pytest
import structlog
import trio.testing

JUMPS_AFTER = 0.003
"""Seconds of silence on real sockets after which trio's clock jumps: what was sent over loopback has come by then."""


@pytest.fixture(autouse=True)
def _quiet():
    """Let actors log errors only, so that a failing test's report shows what matters."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.reset_defaults()


@pytest.fixture
def jumping_clock() -> trio.testing.MockClock:
    """Return a clock that jumps when nobody does anything, not even the kernel for us."""
    return trio.testing.MockClock(autojump_threshold=JUMPS_AFTER)
