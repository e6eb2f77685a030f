"""What may be made where. Who may import whom is import-linter's, in pyproject.toml."""

from __future__ import annotations

import ast
import fnmatch
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.support.house import OURS, ROOT, SHIPPED, files, module, nodes, tail, text, tree

MADE_IN = {
    # A nursery is where tasks begin: whoever reads these files knows every task there can be.
    "open_nursery": ("engine/runtime/*.py", "actors/tree.py"),
    "open_memory_channel": ("engine/runtime/channel.py",),
    # The channel graph is on one page, so that it can be seen (and is tested) to have no circle.
    "Inbox": ("actors/tree.py",),
    "Lanes": ("actors/tree.py",),
    "Supervisor": ("actors/tree.py",),
}
PURE = ("engine.errors", "engine.units", "engine.messages", "engine.wire", "engine.plugin", "engine.registry")
PURE_ROOMS = ("config", "lang", "plan")
ANNOTATED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.AnnAssign)
HEAVY = ("trio", "trio_websocket", "httpx", "h11", "sqlite3", "structlog", "jinja2")


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in nodes(path) if isinstance(node, ast.Call))


@pytest.mark.parametrize("made", MADE_IN)
def test_what_holds_the_house_together_is_made_in_one_place(made: str) -> None:
    elsewhere = [
        f"{path}:{call.lineno}"
        for path in files(*SHIPPED)
        for call in calls(path)
        if tail(call.func) == made and not any(fnmatch.fnmatch(str(path), room) for room in MADE_IN[made])
    ]
    assert elsewhere == [], f"{made} is made only in {', '.join(MADE_IN[made])}"


def imported(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [name.name for name in names]
        case ast.ImportFrom(module=str(name)):
            return [name]
        case _:
            return []


def test_trio_websocket_is_wrapped_in_one_file() -> None:
    users = {
        str(path)
        for path in files(*SHIPPED)
        for node in nodes(path)
        for name in imported(node)
        if name.partition(".")[0] == "trio_websocket"
    }
    assert users <= {"engine/runtime/frames.py"}


def test_imports_are_absolute() -> None:
    relative = [
        f"{path}:{node.lineno}"
        for path in files(*OURS)
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_every_file_postpones_its_annotations() -> None:
    without = [
        str(path)
        for path in files(*OURS)
        if any(isinstance(node, ANNOTATED) for node in nodes(path))
        if "from __future__ import annotations\n" not in text(path)
    ]
    assert without == []


def caught(handler: ast.ExceptHandler) -> set[str]:
    """Return the names a handler catches; all of them is BaseException, named or not."""
    named = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type] if handler.type else []
    return {tail(one) for one in named} or {"BaseException"}


def test_nobody_catches_what_he_cannot_name() -> None:
    # The command line takes a group apart to tell users what is theirs, and raises what is ours to repair.
    door = "engine/cli/__init__.py"
    found = [
        f"{path}:{node.lineno}"
        for path in files(*OURS)
        for node in nodes(path)
        if isinstance(node, ast.ExceptHandler)
        if caught(node) & ({"BaseException"} if str(path) == door else {"BaseException", "BaseExceptionGroup"})
    ]
    assert found == []


def test_nobody_swallows_a_cancellation() -> None:
    swallowed = [
        f"{path}:{node.lineno}"
        for path in files(*SHIPPED)
        for node in nodes(path)
        if isinstance(node, ast.ExceptHandler) and "Cancelled" in caught(node)
        if not any(isinstance(inner, ast.Raise) and inner.exc is None for inner in node.body)
    ]
    assert swallowed == []


def own_yields(function: ast.AsyncFunctionDef) -> bool:
    """Return whether the function itself yields, not one defined in it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Yield):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))
    return False


def test_there_are_no_async_generators() -> None:
    # An abandoned one is closed by the garbage collector, in no task. A context manager is closed by its `with`.
    found = [
        f"{path}:{node.lineno} {node.name}"
        for path in files(*SHIPPED)
        for node in nodes(path)
        if isinstance(node, ast.AsyncFunctionDef) and own_yields(node)
        if "asynccontextmanager" not in {tail(decorator) for decorator in node.decorator_list}
    ]
    assert found == []


def is_work(statement: ast.stmt) -> bool:
    """Return whether a statement of a module does more than name things."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):  # a docstring, the module's or a constant's
            return False
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return False
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return False
        case ast.Try(body=body, handlers=[ast.ExceptHandler(type=ast.Name(id="ImportError" | "ModuleNotFoundError"))]):
            return any(is_work(inner) for inner in body)
        case _:
            return isinstance(
                statement, ast.Expr | ast.For | ast.While | ast.With | ast.If | ast.Try | ast.AugAssign | ast.Delete
            )


def test_nothing_is_done_at_import() -> None:
    work = [f"{path}:{line.lineno}" for path in files(*SHIPPED) for line in tree(path).body if is_work(line)]
    assert work == []


def run(program: str, *arguments: str) -> str:
    """Run a program in an interpreter of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


WATCHED = """
import importlib, os, sys

def watch(event, arguments):
    writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes or event in {
        "socket.bind", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.fork", "os.mkdir", "os.remove",
        "sqlite3.connect", "_thread.start_new_thread",
    }:
        print(name, event, arguments)

for name in sys.argv[1:]:
    importlib.import_module(name)
# Once more, with what others do at import already done.
for name in sys.argv[1:]:
    sys.modules.pop(name, None)
sys.addaudithook(watch)
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_importing_everything_touches_nothing_outside() -> None:
    names = [module(path) for path in files(*SHIPPED) if path.name != "__main__.py"]
    assert run(WATCHED, *names) == ""


LOADED = """
import importlib, sys
*names, heavy = sys.argv[1:]
for name in names:
    importlib.import_module(name)
print(*[name for name in heavy.split() if name in sys.modules])
"""


def test_the_pure_rooms_load_no_loop_network_database_or_log() -> None:
    # import-linter sees our imports; this sees what the libraries we import bring along.
    rooms = [module(path) for room in PURE_ROOMS for path in files(f"engine/{room}")]
    assert run(LOADED, *PURE, *rooms, " ".join(HEAVY)).split() == []


def structs(of: str) -> list[type[msgspec.Struct]]:
    found = vars(importlib.import_module(of)).values()
    return [one for one in found if isinstance(one, type) and issubclass(one, msgspec.Struct) and one.__module__ == of]


@pytest.mark.parametrize("page", ["engine.messages", "engine.wire", "engine.config.schema"])
def test_what_crosses_a_border_is_frozen(page: str) -> None:
    assert [one.__name__ for one in structs(page) if not one.__struct_config__.frozen] == []


@pytest.mark.parametrize("page", ["engine.messages", "engine.wire", "engine.config.schema"])
def test_what_crosses_a_border_is_made_by_name(page: str) -> None:
    places = {one.__name__: inspect.signature(one).parameters.values() for one in structs(page)}
    assert [name for name, all_of in places.items() if any(one.kind is not one.KEYWORD_ONLY for one in all_of)] == []
