"""The units of config.toml; they live in `engine.units`, because plugins' settings are written in them too."""

from __future__ import annotations

from engine.units import Backoff, Duration, Rate, Size

__all__ = ["Backoff", "Duration", "Rate", "Size"]
