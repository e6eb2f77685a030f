"""User code in a Python file: ``transform_events(events)``, called inline, in the engine's own process."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.errors import PluginError, did_you_mean

_ENTRY = "transform_events"


class Python:
    """One file's ``transform_events``; module level code runs once, when the plan is made.

    The text is compiled as it is now: no bytecode cache stands between an edit and its effect.

    Args:
        path: the file to read.
        name: how it is called in errors and tracebacks, for example ``functions/normalise.py``.

    Raises:
        PluginError: the file cannot be read or run, or has no ``transform_events``; says where.
    """

    def __init__(self, path: Path, name: str) -> None:
        module = _loaded(path, name)
        made = getattr(module, _ENTRY, None)
        if not callable(made):
            others = (key for key, value in vars(module).items() if callable(value))
            raise PluginError(f"{name} has no function {_ENTRY}(events)\n{did_you_mean(_ENTRY, others)}".strip())
        self._transform: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = made

    def transform(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what the file's function makes of *events*."""
        try:
            return self._transform(events)
        except SystemExit as error:
            raise RuntimeError(f"{_ENTRY} called exit({error.code!r}): raise an exception to fail an event") from error


def _loaded(path: Path, name: str) -> ModuleType:
    """Run the file in a module of its own and return it."""
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    linecache.checkcache(str(path))
    try:
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        exec(code, vars(module))  # noqa: S102 - running the user's file is what this plugin is for
    except OSError as error:
        raise PluginError(f"{name} cannot be read: {error.strerror or error}") from error
    except SyntaxError as error:
        place = f"{name}:{error.lineno}" if error.lineno else name
        raise PluginError(f"{place}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        raise PluginError(f"{name}:{_line(error, path)}: {type(error).__name__}: {error}") from error
    return module


def _line(error: BaseException, path: Path) -> int:
    """Return the last line of *path* that the traceback passes."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] or 0 if lines else 0
