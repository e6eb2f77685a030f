from __future__ import annotations

import copy
import hashlib
from typing import Any

import pytest

from engine.config.load import load
from engine.plan import compile_plan
from engine.registry import Registry
from plugins import BUILTIN
from tests.support.plans import logged
from tests.support.plans import problems_of as _problems_of


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


EVENT: dict[str, Any] = {
    "type": "track",
    "event": "Order Placed",
    "userId": "u1",
    "messageId": "m1",
    "properties": {
        "email": " Ada@Example.com ",
        "phone": "+49 (30) 1234",
        "total": 5,
        "a.b": 1,
        "tags": ["X", sha("y").upper()],
    },
}
HEAD = '[sources.shop]\nwrite_keys = ["k"]\nfunctions = ["f"]\n[functions.f]\n'


def plan_of(settings: str) -> Any:
    registry = Registry({**BUILTIN, "sources": {}}, entry_points=False)
    loaded = load("config.toml", env={}, read_file=lambda _: (HEAD + settings).encode())
    return compile_plan(loaded, registry)


def made(settings: str, *events: dict[str, Any]) -> list[dict[str, Any]]:
    source = plan_of(settings).sources["shop"]
    given = copy.deepcopy(list(events) or [EVENT])
    batch = [(logged({}, position=at), body) for at, body in enumerate(given, 1)]
    results = source.transform(batch)
    assert not any(result.error for result in results)
    return [
        event.body for (row, _), result in zip(batch, results, strict=True) for event in source.restored(row, result)
    ]


@pytest.mark.parametrize(
    ("settings", "field", "value"),
    [
        ('type = "redact"\nfields = ["properties.email"]', "email", sha("ada@example.com")),
        ('type = "redact"\nfields = ["properties.phone"]\nnormalise = "phone"', "phone", sha("49301234")),
        ('type = "redact"\nfields = ["properties.phone"]\nnormalise = "e164"', "phone", sha("+49301234")),
        ('type = "redact"\nfields = ["properties.email"]\nnormalise = "none"', "email", sha(" Ada@Example.com ")),
        ('type = "redact"\nfields = ["properties.tags"]', "tags", [sha("x"), sha("y")]),
        ('type = "redact"\nfields = ["properties.total"]', "total", sha("5")),
        ('type = "redact"\nfields = ["properties.email"]\nhow = "mask"', "email", "***"),
        ('type = "redact"\nfields = ["properties.email"]\nhow = "remove"', "email", None),
        ('type = "redact"\nfields = ["properties.a\\\\.b"]\nhow = "mask"', "a.b", "***"),
        ('type = "lists"\nblock_fields = ["properties.total", "none.such"]', "total", None),
        ('type = "lists"\nallow_fields = ["properties.total"]', "email", None),
        ('type = "lists"\nallow_fields = ["properties.total"]', "total", 5),
        ('type = "rename"\nfields = { "properties.total" = "properties.revenue" }', "revenue", 5),
        ('type = "rename"\nfields = { "properties.total" = "properties.revenue" }', "total", None),
    ],
)
def test_fields_are_redacted_listed_and_renamed(settings: str, field: str, value: Any) -> None:
    [body] = made(settings)

    assert body["properties"].get(field) == value
    assert body["userId"] == "u1"


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ('type = "lists"\nallow_events = ["Order Placed"]', ["Order Placed"]),
        ('type = "lists"\nallow_events = ["track"]\nblock_events = ["Seen"]', ["Order Placed"]),
        ('type = "lists"\nblock_events = ["track"]', []),
        ('type = "rename"\nevents = { "Order Placed" = "Order Completed" }', ["Order Completed", "Seen"]),
    ],
)
def test_events_are_listed_and_renamed(settings: str, names: list[str]) -> None:
    assert [body["event"] for body in made(settings, EVENT, {**EVENT, "event": "Seen", "messageId": "m2"})] == names


def test_a_sample_keeps_its_share_and_whole_users() -> None:
    events = [{"type": "page", "userId": f"u{n % 100}", "messageId": f"m{n}"} for n in range(1000)]
    kept = made('type = "sample"\nshare = 0.3\nby = "userId"', *events)

    assert 150 < len(kept) < 450
    assert all(sum(body["userId"] == user for body in kept) == 10 for user in {body["userId"] for body in kept})
    assert kept == made('type = "sample"\nshare = 0.3\nby = "userId"', *events)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ('type = "redact"\n', "4: functions.f: missing key 'fields'"),
        ('type = "redact"\nfields = ["a..b"]\n', "6: functions.f.fields[0]: 'a..b' is no reference to a field"),
        ('type = "redact"\nfields = ["a"]\nhwo = "mask"\n', "7: functions.f.hwo: unknown key"),
        ('type = "redakt"\n', "5: functions.f.type: there is no function type 'redakt'"),
        ('type = "python"\n', "5: functions.f.type: 'python' runs files"),
        ('type = "sample"\nshare = 2\n', "6: functions.f.share: "),
        ("", "4: functions.f: neither file nor type is given"),
    ],
)
def test_settings_that_cannot_work_are_told(settings: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.plans.REGISTRY", Registry({**BUILTIN, "sources": {}}, entry_points=False))

    [told] = _problems_of(HEAD + settings)

    assert told.startswith(problem)
