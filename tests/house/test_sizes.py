"""How large a thing may grow before it is two things."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

from tests.support.house import OURS, SHIPPED, files, nodes, tail, text

LONGEST_FILE = 400
LONGEST_SUITE = 500  # a suite is a list of promises, read one at a time
USUAL_FILE = 160
LONGEST_FUNCTION = 50
MOST_PARAMETERS = 6


def lines(path: Path) -> int:
    return len(text(path).splitlines())


def functions(*folders: str) -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    return (
        (path, node)
        for path in files(*folders)
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_a_file_is_read_in_one_sitting() -> None:
    long = {
        str(path): lines(path)
        for path in files(*OURS)
        if lines(path) > (LONGEST_SUITE if path.parts[0] == "tests" else LONGEST_FILE)
    }
    assert long == {}


def test_half_of_the_files_are_short() -> None:
    usual = statistics.median(lines(path) for path in files(*SHIPPED) if path.name != "__init__.py")
    assert usual <= USUAL_FILE, f"the median file has {usual:g} lines"


def test_a_function_fits_on_a_screen() -> None:
    long = {
        f"{path}:{node.lineno} {node.name}": length
        for path, node in functions(*SHIPPED, "bench", "examples", "tests/support")
        if (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    }
    assert long == {}


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return len([one for one in every if one.arg not in {"self", "cls"}])


def is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether each parameter is an option that somebody types."""
    return "command" in {tail(decorator) for decorator in node.decorator_list}


def test_what_belongs_together_is_passed_as_one_thing() -> None:
    many = {
        f"{path}:{node.lineno} {node.name}": parameters(node)
        for path, node in functions(*SHIPPED, "bench")
        if parameters(node) > MOST_PARAMETERS and not is_command(node)
    }
    assert many == {}
