"""What a dashboard and an alert ask for is what an engine that has worked tells: every name, in a real scrape."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from engine.client import connect
from engine.messages import Reply
from tests.support.house import ROOT

PICKY = """
[syncs.never]
source = "shop"
destination = "crm"
[[syncs.never.event_types]]
filter = 'event = "Never"'
mapping = { n = "properties.n" }
"""
PATIENT = 'retry = { backoff = "50ms..500ms" }'
ASKING = ("deploy/grafana/dashboard.json", "deploy/prometheus/alerts.yml")
NAMED = re.compile(r"\b(?:headrace|process)_[a-z0-9_]+\b")


def scraped(address: str) -> tuple[str, str]:
    """Return content type and text of a scrape."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.getheader("content-type") or "", answer.read().decode()
    finally:
        connection.close()


def post(address: str, body: bytes) -> None:
    """Send one event that is refused."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("POST", "/v1/track", body, {"x-write-key": "key"})
        assert connection.getresponse().status == 400
    finally:
        connection.close()


def samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield name, labels and value of all that is in a scrape."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


async def test_every_metric_that_is_asked_for_is_told(engine_for, sink):
    first: set[bytes] = set()

    def judge(body: bytes) -> Reply:
        again = body in first
        first.add(body)
        return Reply(status=400 if b'"n":3}' in body else 200 if again or b'"n":2}' not in body else 503)

    sink.judge = judge
    engine = engine_for(PATIENT, head=PICKY)
    await engine.start()
    async with connect(engine.url, "key", buffer=100, roll=lambda: 0.1) as client:
        for number in range(1, 21):
            await client.track("u1", "Seen", {"n": number}, messageId=f"m{number}")
        await client.track("u1", "Seen", {"n": 1}, messageId="m1")
        await client.flush()
    await trio.to_thread.run_sync(post, engine.receiver, b'{"event": ""}')
    await engine.settled()

    kind, text = await trio.to_thread.run_sync(scraped, engine.console)

    assert kind.startswith("text/plain; version=")
    told = {name for name, _, _ in samples(text)}
    missing = {page: set(NAMED.findall((ROOT / page).read_text())) - told for page in ASKING}
    assert missing == {page: set() for page in ASKING}
    found = {(name, *sorted(labels.items())): value for name, labels, value in samples(text)}
    assert found["headrace_events_received_total", ("source", "shop")] == 20
    assert found["headrace_events_rejected_total", ("reason", "event_not_defined"), ("source", "shop")] == 1
    assert found["headrace_events_duplicate_total", ("source", "shop")] == 1
    assert found["headrace_delivered_total", ("sync", "orders")] == 19
    assert found["headrace_retried_total", ("sync", "orders")] == 1
    assert found["headrace_archived_total", ("reason", "rejected_400"), ("sync", "orders")] == 1
    assert found["headrace_end_to_end_latency_seconds_count", ("sync", "orders")] == 18  # at the first attempt
    for stage in ("durable", "validated", "routed", "sent"):
        assert found["headrace_stage_latency_seconds_count", ("stage", stage)] > 0
    assert [value for name, _, value in samples(text) if name == "headrace_books_residual"] == [0, 0, 0]


@pytest.mark.parametrize("page", ASKING)
def test_something_is_asked_for(page):
    assert len(set(NAMED.findall((ROOT / page).read_text()))) > 8
