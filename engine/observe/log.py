"""Log lines: JSON, one an event of the engine, names as ``noun.verb_past``. Nothing per customer event above debug."""

from __future__ import annotations

import logging
import os
import sys

import msgspec
import structlog

LEVEL = "HEADRACE_LOG"
"""The environment variable that names the lowest level shown: debug, info, warning, error."""

_encode = msgspec.json.Encoder(enc_hook=repr).encode


def set_up(level: str | None = None) -> None:
    """Write JSON lines to standard error.

    Args:
        level: the lowest that is shown; None takes HEADRACE_LOG, and ``info`` without it.
    """
    name = (level or os.environ.get(LEVEL, "info")).upper()
    lowest = logging.getLevelNamesMapping().get(name, logging.INFO)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )


def _render(_logger: object, _name: str, line: structlog.typing.EventDict) -> bytes:
    return _encode(line)
