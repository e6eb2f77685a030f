"""User code in a Python file: ``transform_events(events)``."""

from __future__ import annotations

import ast
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
        path: the file.
        name: how it is called in errors and tracebacks, for example ``functions/normalise.py``.
        secrets: what its code finds as ``SECRETS``.
        text: what is in it; None reads it.

    Raises:
        PluginError: the file cannot be read or run, or has no ``transform_events``; says where.
    """

    def __init__(self, path: Path, name: str, secrets: dict[str, str] | None = None, text: str | None = None) -> None:
        module = _loaded(path, name, secrets or {}, text)
        made = getattr(module, _ENTRY, None)
        if not callable(made):
            others = (key for key, value in vars(module).items() if callable(value))
            raise PluginError(f"{name} has no function {_ENTRY}(events)\n{did_you_mean(_ENTRY, others)}".strip())
        self._transform: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = made

    @staticmethod
    def check(path: Path, name: str, text: str | None = None) -> None:
        """Refuse a file that can be seen to be no Python, or to have no ``transform_events``; runs nothing of it.

        Raises:
            PluginError: says where.
        """
        try:
            found = _names(ast.parse(path.read_bytes() if text is None else text))
        except OSError as error:
            raise PluginError(f"{name} cannot be read: {error.strerror or error}") from error
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            place = f"{name}:{line}" if line else name
            raise PluginError(f"{place}: {getattr(error, 'msg', error)}") from error
        if _ENTRY not in found and "*" not in found:
            raise PluginError(f"{name} has no function {_ENTRY}(events)\n{did_you_mean(_ENTRY, found)}".strip())

    def transform(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what the file's function makes of *events*."""
        try:
            return self._transform(events)
        except SystemExit as error:
            raise RuntimeError(f"{_ENTRY} called exit({error.code!r}): raise an exception to fail an event") from error


def _names(tree: ast.Module) -> set[str]:
    """Return every name that a file may define at its top, ``*`` among them if another module decides."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.alias(name=name, asname=other):
                found.add(other or name)
            case _:
                pass
    return found


def _loaded(path: Path, name: str, secrets: dict[str, str], text: str | None) -> ModuleType:
    """Run the file, or *text* in its place, in a module of its own and return it."""
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    vars(module)["SECRETS"] = dict(secrets)
    linecache.checkcache(str(path))
    if text is not None:
        # Without a time of change it is kept: a traceback shows the lines that run, whatever the file says by now.
        linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))
    try:
        code = compile(path.read_bytes() if text is None else text, str(path), "exec", dont_inherit=True)
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
