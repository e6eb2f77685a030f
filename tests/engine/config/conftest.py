from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.config.load import load
from engine.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which the process is in: files in errors then have short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def told(folder: Path) -> Callable[..., str]:
    """Writes files (config.toml and others by name), loads them and returns what the user is told, "" for nothing."""

    def tell(config: str, env: dict[str, str] | None = None, **files: str) -> str:
        for name, text in {"config.toml": config, **files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        try:
            load("config.toml", env=env)
        except ConfigError as error:
            return str(error)
        return ""

    return tell
