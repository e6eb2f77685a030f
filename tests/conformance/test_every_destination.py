from __future__ import annotations

import itertools

import msgspec
import pytest

from engine.plugin import Secret
from plugins import BUILTIN
from plugins.destinations.webhook import Webhook
from tests.conformance.destination import Example, builtin, checks, direct_checks

URL = "https://crm.example/hooks/orders?team=growth"
EXAMPLES = {
    "webhook": Example(plugin=Webhook, table=lambda _: {"url": URL}),
    "webhook with a token": Example(
        plugin=Webhook,
        table=lambda _: {"url": URL, "method": "PUT", "bearer": Secret("t0ken-t0ken"), "secret": Secret("signing-k3y")},
    ),
    "webhook with a password": Example(
        plugin=Webhook,
        table=lambda _: {
            "url": URL,
            "basic": {"user": "ann", "password": Secret("pa55-word")},
            "headers": {"X-Team": Secret("t3am-key"), "Content-Type": Secret("application/vnd.api+json")},
        },
    ),
    "webhook with batches": Example(
        plugin=Webhook,
        table=lambda _: {
            "url": URL,
            "header": {"name": "X-Api-Key", "value": Secret("k3y-k3y-k3y")},
            "secret": Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            "batch": 100,
            "batch_bytes": "256 KiB",
        },
    ),
    "file": Example(
        plugin=builtin("file"),
        table=lambda place: {"path": str(place / "events.ndjson"), "rotate": "1 MiB", "rotate_every": "1d"},
        output=lambda place: (place / "events.ndjson").read_text(),
    ),
    "file of payloads": Example(
        plugin=builtin("file"),
        table=lambda place: {"path": str(place / "deep" / "events.ndjson"), "format": "payload", "batch": 2},
        output=lambda place: (place / "deep" / "events.ndjson").read_text(),
    ),
    "log": Example(plugin=builtin("log"), table=lambda _: {"stream": "stdout"}),
    "mock": Example(plugin=builtin("mock"), table=lambda _: {"statuses": [200], "batch": 10, "seed": 1}),
    "mock with a script": Example(
        plugin=builtin("mock"),
        table=lambda _: {"script": [{"status": 200, "times": 2, "retry_after": 1.5, "latency": "0s"}]},
    ),
}


def named(make):
    return [
        pytest.param(example, check, id=f"{name}: {check.__name__}")
        for name, example in EXAMPLES.items()
        for check in make(example)
    ]


def test_every_destination_that_is_shipped_has_an_example():
    assert {example.plugin for example in EXAMPLES.values()} == {builtin(name) for name in BUILTIN["destinations"]}


@pytest.mark.parametrize(("example", "check"), named(checks))
def test_destination(example, check, tmp_path):
    check(example, tmp_path)


@pytest.mark.parametrize(("example", "check"), named(direct_checks))
async def test_direct_destination(example, check, tmp_path):
    await check(example, tmp_path)


def test_the_checks_find_what_is_wrong(tmp_path):
    tries = itertools.count()

    class Backwards(Webhook):
        def request(self, batch, at):
            request = super().request(batch[::-1], at)
            return msgspec.structs.replace(
                request, headers=(*request.headers, ("Host", "x"), ("X-Try", str(next(tries))))
            )

        def verdicts(self, reply, batch):
            return []

    example = msgspec.structs.replace(EXAMPLES["webhook with batches"], plugin=Backwards, overhead=0)

    found = set()
    for check in checks(example):
        try:
            check(example, tmp_path)
        except AssertionError:
            found.add(check.__name__)

    assert found == {
        "its_request_is_pure",
        "its_request_can_be_sent",
        "its_request_keeps_the_order",
        "its_request_is_not_much_larger_than_its_payloads",
        "its_request_shows_every_key_in_order",
        "its_verdicts_are_one_each_or_none",
    }
