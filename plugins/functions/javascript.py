"""User code in a JavaScript file: ``transformEvents(events)``, in an engine of its own without network or files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import quickjs

from engine.errors import PluginError

_ENTRY = "transformEvents"
_MEMORY = 128 * 1024 * 1024
"""Bytes of JavaScript's own heap; what RudderStack and Jitsu give."""
_SECONDS = 5.0
_STACK = 1024 * 1024
_PLACE = re.compile(r"<(?:input|eval)>:([0-9]+)")

_BEFORE = """
globalThis.__lines = [];
globalThis.console = {};
for (const kind of ["log", "info", "warn", "error", "debug"]) {
    console[kind] = (...parts) => {
        if (__lines.length < 1000) {
            __lines.push(parts.map((part) => typeof part === "string" ? part : JSON.stringify(part)).join(" "));
        }
    };
}
"""
_AFTER = """
globalThis.__run = function __run(text) {
    __lines.length = 0;
    const made = transformEvents(JSON.parse(text));
    if (made && typeof made.then === "function") throw new TypeError("transformEvents must not be async");
    return JSON.stringify(made === undefined ? null : made);
};
"""


class ScriptError(Exception):
    """What a script threw.

    Attributes:
        trace: its own stack, with the file's name.
    """

    def __init__(self, trace: str) -> None:
        self.trace = trace
        super().__init__(trace.partition("\n")[0])


class JavaScript:
    """One file's ``transformEvents``; top-level code runs once, when it is made.

    A call that ran out of time or memory leaves nothing behind: the next one finds a fresh engine.

    Args:
        path: the file.
        name: how it is called in errors and stacks.
        secrets: what the script finds as ``SECRETS``.
        text: what is in it; None reads it.

    Raises:
        PluginError: the file cannot be read or run, or has no ``transformEvents``; says where.
    """

    def __init__(self, path: Path, name: str, secrets: dict[str, str] | None = None, text: str | None = None) -> None:
        self._name = name
        self._text = _read(path, name) if text is None else text
        self._secrets = secrets or {}
        self._fresh()

    @staticmethod
    def check(path: Path, name: str, text: str | None = None) -> None:
        """Refuse a file that can be seen to be no script, or to have no ``transformEvents``; runs nothing of it.

        Raises:
            PluginError: says where.
        """
        text = _read(path, name) if text is None else text
        try:
            quickjs.Context().eval(f"new Function({json.dumps(text)})")
        except quickjs.JSException as error:
            # Its text stands two lines below the head of the function that is never called.
            place = _PLACE.search(str(error))
            line = f":{max(int(place[1]) - 2, 1)}" if place else ""
            raise PluginError(f"{name}{line}: {str(error).partition(chr(10))[0]}") from None
        if _ENTRY not in text:
            raise PluginError(f"{name} has no function {_ENTRY}(events)")

    def transform(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what the script makes of *events*."""
        try:
            made = self._context.get("__run")(msgspec.json.encode(events).decode())
        except (quickjs.JSException, quickjs.StackOverflow) as error:
            # Without memory for an error object either, what is thrown is null.
            text = str(error)
            if text.strip() == "null":
                text = "InternalError: out of memory (or the script threw null)"
            self._say()
            if text.startswith("InternalError"):
                self._fresh()
            raise ScriptError(self._named(text)) from None
        self._say()
        found: list[dict[str, Any]] = msgspec.json.decode(made)
        return found

    def _fresh(self) -> None:
        self._context = context = quickjs.Context()
        context.set_memory_limit(_MEMORY)
        context.set_max_stack_size(_STACK)
        context.set_time_limit(_SECONDS)
        context.eval(_BEFORE)
        context.eval(f"globalThis.SECRETS = Object.freeze({json.dumps(self._secrets)})")
        try:
            context.eval(self._text)
            found = context.eval(f"typeof {_ENTRY}")
        except quickjs.JSException as error:
            raise PluginError(self._named(str(error))) from None
        if found != "function":
            raise PluginError(f"{self._name} has no function {_ENTRY}(events)")
        context.eval(_AFTER)

    def _say(self) -> None:
        """Print what the script logged."""
        for line in msgspec.json.decode(self._context.eval("JSON.stringify(__lines)")):
            print(line)  # noqa: T201 - whoever runs the function captures it

    def _named(self, text: str) -> str:
        """Return a stack without our own frame, with the file's name."""
        lines = [line for line in text.strip().splitlines() if "at __run (" not in line]
        return _PLACE.sub(rf"{self._name}:\1", "\n".join(lines))


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise PluginError(f"{name} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise PluginError(f"{name} is not UTF-8 text") from None
