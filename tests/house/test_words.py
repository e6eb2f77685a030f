"""One idea, one word: the words that others use for our ideas do not appear in our names."""

from __future__ import annotations

import ast
import fnmatch
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.support.house import SHIPPED, files, nodes

# Not listed, since each also names something of ours or of the protocols we speak: message (what crosses a channel;
# messageId), connection (TCP), request (HTTP), path (field references, files), stage (of an error), filter, rule.
OURS_FOR = {
    "action": "event type",
    "condition": "filter",
    "consumer": "destination, or whoever receives",
    "dlq": "archive",
    "graph": "plan",
    "input": "source",
    "integration": "destination",
    "job": "delivery",
    "mailbox": "channel",
    "output": "destination",
    "pipeline": "sync",
    "producer": "source, or whoever sends",
    "queue": "channel",
    "queued": "waiting",
    "record": "event",
    "route": "sync",
    "row": "event",
    "selector": "field reference",
    "sink": "destination",
    "subscription": "sync",
    "target": "destination",
    "task": "delivery",
    "topology": "plan",
    "transform": "function or mapping",
    "transformation": "function",
    "udf": "function",
    "worker": "actor",
}


class Allowed(msgspec.Struct, frozen=True):
    """A word that means something else there.

    Attributes:
        word: of `OURS_FOR`.
        where: files, as a glob from the root.
        reason: what it means there.
    """

    word: str
    where: str
    reason: str


ALLOWED = (
    Allowed("row", "engine/store/*", "a row of a table"),
    Allowed("row", "engine/plan/*.py", "the ledger's row"),
    Allowed("row", "engine/runtime/breaker.py", "failures in a row"),
    Allowed("queue", "engine/store/base.py", "the store's role of that name: put, claim, settle"),
    Allowed("queue", "actors/*.py", "the store's role of that name"),
    Allowed("route", "engine/plan/*.py", "the verb: what the router asks a sync's plan, and its answer"),
    Allowed("route", "engine/plugin.py", "an HTTP method and path"),
    Allowed("route", "plugins/sources/*.py", "an HTTP method and path"),
    Allowed("route", "actors/receiver/*.py", "an HTTP method and path"),
    Allowed("integration", "engine/config/outward.py", "the name that an event's own `integrations` have for it"),
    Allowed("integration", "engine/lang/consent.py", "an event's own `integrations`, Segment's word"),
    Allowed("integration", "engine/messages.py", "an event's own `integrations`, Segment's word"),
    Allowed("integration", "engine/plugin.py", "an event's own `integrations`, Segment's word"),
    Allowed("integration", "actors/receiver/*.py", "an event's own `integrations`, Segment's word"),
    Allowed("target", "engine/lang/*.py", "the left side of a mapping"),
    Allowed("target", "engine/plan/event_types.py", "the left side of a mapping"),
    Allowed("target", "engine/config/contracts.py", "what a `$ref` points at"),
    Allowed("target", "engine/runtime/http_*.py", "RFC 9112's request-target"),
    Allowed("target", "engine/client/send.py", "where a file is sent to: an engine, not a destination"),
    Allowed("target", "engine/cli/*.py", "where a file is sent to"),
    Allowed("integration", "plugins/sources/*.py", "an event's own `integrations`, Segment's word"),
    Allowed("output", "engine/lang/*.py", "what a Liquid tag or output statement prints"),
    Allowed("task", "*", "trio's: `task_status` of a nursery's start"),
    Allowed("transform", "engine/plugin.py", "what a user's function is called: `transform_events`"),
    Allowed("transform", "engine/plan/*.py", "what a user's function is called: `transform_events`"),
    Allowed("transform", "plugins/functions/*.py", "what a user's function is called: `transform_events`"),
    Allowed("condition", "engine/runtime/*.py", "a child's: starting, running, restarting, stopped"),
)


def names(path: Path) -> Iterator[tuple[str, int]]:
    """Yield every name a file gives to something, and its own, with the line."""
    yield path.stem, 0
    for node in nodes(path):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno


def words(name: str) -> Iterator[str]:
    """Split ``claim_dueRows`` into claim, due, row: lower case, singular where that is a word of the list."""
    for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name):
        word = part.lower()
        yield word if word in OURS_FOR else word.removesuffix("s")


@functools.cache
def found() -> list[tuple[str, Path, str]]:
    """Return every listed word in a name, its file, and what to say of it."""
    return [
        (word, path, f"{path}:{line} {name}: we say {OURS_FOR[word]}")
        for path in files(*SHIPPED)
        for name, line in names(path)
        for word in words(name)
        if word in OURS_FOR
    ]


def test_names_use_the_words_of_the_house() -> None:
    strange = [
        told
        for word, path, told in found()
        if not any(one.word == word and fnmatch.fnmatch(str(path), one.where) for one in ALLOWED)
    ]
    assert strange == []


@pytest.mark.parametrize("allowed", ALLOWED, ids=lambda one: f"{one.word} in {one.where}")
def test_what_is_allowed_is_used(allowed: Allowed) -> None:
    assert any(word == allowed.word and fnmatch.fnmatch(str(path), allowed.where) for word, path, _ in found())


def test_a_file_does_not_repeat_the_name_of_its_folder() -> None:
    stutter = [
        str(path)
        for path in files(*SHIPPED)
        if {path.parent.name, path.parent.name.removesuffix("s")} & set(path.stem.split("_"))
    ]
    assert stutter == []
