from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.config.load import Loaded, load
from engine.errors import ConfigError
from engine.plan import compile_plan
from engine.plan.explain import explain
from engine.plan.telling import as_text
from tests.support.plans import HEAD, NOW, REGISTRY

BASE = """
contract = "c"
[contracts.c]
[[contracts.c.events]]
type = "identify"
schema = {}
[syncs.s]
source = "shop"
destination = "crm"
event_types = [{ type = "purchase" }]
"""
TEXT = HEAD.replace('write_keys = ["key"]', 'write_keys = ["key"]\ncontract = "c"') + BASE.replace(
    'contract = "c"\n', "", 1
)

WORDS = st.sampled_from(
    [
        "value", "variable", "each", "as", "from", "default", "when_missing", "template", "merge", "object",
        "id", "price", "userId", "properties.total", "sync.name", "{{ row.x | cast: 'number' }}", "{{ item.a }}",
        "fail", "null", "x..y", "a[0].b", "properties", "type", "items", "required", "$ref", "string", "enum", "#/a",
    ]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
PIECES = ["event", "=", '"A"', "and", "or", "not", "(", ")", "in", ",", "1", "exists(", "userId", ">", "length("]
GOOD = ["", "event = 'A'", "not properties.total > 1", "type in ('track', 1) and userId = 1"]
FILTERS = st.sampled_from(GOOD) | st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join)
SCHEMAS = st.sampled_from(
    [{}, {"required": ["userId"]}, {"properties": {"properties": {"properties": {"total": {"type": "string"}}}}}]
) | st.dictionaries(WORDS, JSON, max_size=4)
EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "identify", "page", "x"])},
    optional={"event": JSON, "userId": JSON, "properties": JSON, "context": JSON, "messageId": JSON, "sentAt": JSON},
)


def loaded_with(mapping: Any, filter_: str, schema: Any, match: str) -> Loaded:
    """Return a configuration that no TOML file could be made to hold by hand."""
    loaded = load(Path("config.toml"), env={}, read_file=lambda _path: TEXT.encode())
    sync = loaded.config.syncs["s"]
    kinds = tuple(
        msgspec.structs.replace(sync.event_types[0], mapping=mapping, filter=text, type="custom", name=name)
        for text, name in ((filter_, "first"), ("", "last"))
    )
    event = msgspec.structs.replace(loaded.config.contracts["c"].events[0], schema=schema)
    contract = msgspec.structs.replace(loaded.config.contracts["c"], events=(event,))
    config = msgspec.structs.replace(
        loaded.config,
        syncs={"s": msgspec.structs.replace(sync, event_types=kinds, match=match)},
        contracts={"c": contract},
    )
    return msgspec.structs.replace(loaded, config=config)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(WORDS, JSON, max_size=4),
    FILTERS,
    SCHEMAS,
    st.sampled_from(["first", "all"]),
    EVENTS,
)
def test_whatever_is_configured_compiles_or_is_told_and_no_event_raises(
    mapping: dict[str, Any], filter_: str, schema: dict[str, Any], match: str, event: dict[str, Any]
) -> None:
    try:
        plan = compile_plan(loaded_with(mapping, filter_, schema, match), REGISTRY)
    except ConfigError:
        return

    explained = explain(plan, event, source=None, at=NOW)

    assert as_text(explained)
    assert {walk.fate for walk in explained.syncs} <= {"deliver", "filtered", "blocked", "archived"}
