"""What the house tests walk over: every file of ours, read once."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHIPPED = ("engine", "actors", "plugins")
OURS = (*SHIPPED, "bench", "examples", "tests")


def files(*folders: str) -> list[Path]:
    """Return the Python files of *folders*, relative to the root, in order."""
    return sorted(path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py"))


@functools.cache
def text(path: Path) -> str:
    """Return what stands in a file, by its path from the root."""
    return (ROOT / path).read_text()


@functools.cache
def tree(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(text(path), str(path))


def nodes(path: Path) -> Iterator[ast.AST]:
    """Walk over everything in a file."""
    return ast.walk(tree(path))


def module(path: Path) -> str:
    """Return the dotted name a file is imported by."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tail(node: ast.expr) -> str:
    """Return the last name of a dotted expression: ``open_nursery`` of ``trio.open_nursery``; else ""."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=called) | ast.Subscript(value=called):
            return tail(called)
        case _:
            return ""


def page(name: str | Path) -> str:
    """Return what stands in a document, by its path from the root."""
    return (ROOT / name).read_text()


def blocks(written: str, *languages: str) -> list[str]:
    """Return what stands in the fenced blocks of these languages."""
    fenced = re.findall(r"^```(\w+)[^\n]*\n(.*?)^```", written, re.MULTILINE | re.DOTALL)
    return [body for language, body in fenced if language in languages]


def commands(written: str) -> list[str]:
    """Return what is to be typed, one command each: continued lines joined, prompts and what is printed left out."""
    typed: list[str] = []
    for block in blocks(written, "console"):
        typed += [line[2:] for line in block.replace("\\\n", " ").splitlines() if line.startswith("$ ")]
    for block in blocks(written, "bash"):
        typed += [line for line in block.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    return typed
