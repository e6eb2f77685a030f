from __future__ import annotations

from urllib.parse import unquote

import msgspec
import pytest
import trio
import trio.testing

import engine as headrace
from actors.console.answers import Endpoint, fitting
from actors.console.endpoints import ENDPOINTS
from actors.console.openapi import describe
from tests.support.consoles import Browser
from tests.support.grown import ORDERS, grow

ORDER = {"type": "track", "event": "Seen", "userId": "u", "properties": {"n": 7}}


@pytest.fixture
async def browser(nursery):
    engine = await grow(nursery, ORDERS)
    yield Browser(engine)
    engine.tree.stop_now()


@pytest.mark.parametrize(
    ("pattern", "path", "names"),
    [
        ("/status", "/status", {}),
        ("/syncs/{name}/pause", "/syncs/a%2Fb/pause", {"name": "a/b"}),
        ("/syncs/{name}/pause", "/syncs//pause", None),
        ("/syncs/{name}", "/syncs/a/b", None),
        ("/status", "/Status", None),
    ],
)
def test_a_path_fits_part_by_part(pattern, path, names):
    assert fitting(pattern, path, unquote) == names


def test_every_endpoint_is_described_once():
    paths = describe(ENDPOINTS, headrace.__version__)["paths"]

    assert sum(map(len, paths.values())) == len(ENDPOINTS)
    ids = [operation["operationId"] for path in paths.values() for operation in path.values()]
    assert len(set(ids)) == len(ids)


def references(part: object) -> list[str]:
    """Return every ``$ref`` within *part*."""
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [ref for inner in part.values() for ref in references(inner)]
    return [ref for inner in part for ref in references(inner)] if isinstance(part, list | tuple) else []


def test_every_reference_of_the_description_leads_somewhere():
    document = describe(ENDPOINTS, headrace.__version__)

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) - known == set()


PLAIN = [each for each in ENDPOINTS if each.method == "GET" and "{id}" not in each.path and each.path != "/events"]


@pytest.mark.parametrize("endpoint", PLAIN, ids=lambda each: each.path)
async def test_what_is_read_is_what_is_described(browser, endpoint: Endpoint):
    await browser.engine.send(2)
    path = endpoint.path.replace("{name}", "shop" if endpoint.path.startswith("/sources") else "orders")

    status, answer = await browser.rest("GET", path.replace("{message_id}", "m1"))

    assert status == 200
    msgspec.convert(answer, endpoint.out)


async def test_pausing_is_done_told_and_noted(browser):
    paused = await browser.rest("POST", "/syncs/orders/pause")
    status, changes = await browser.rest("GET", "/changes")

    assert paused == (200, {"message": "sync 'orders' is paused: its events wait in the store", "code": ""})
    assert browser.engine.tree.gates["orders"].shut
    assert (status, [(one["who"], one["what"], one["told"], one["failed"]) for one in changes]) == (
        200,
        [("this machine at 127.0.0.1", "POST /syncs/orders/pause", paused[1]["message"], False)],
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "answer"),
    [
        ("POST", "/syncs/nope/pause", None, 404, ("not_found", "there is no sync 'nope' in the running configuration")),
        ("GET", "/syncs/orders/pause", None, 405, ("method_not_allowed", "/syncs/orders/pause takes POST")),
        ("GET", "/nope", None, 404, ("not_found", "there is no GET /nope; see GET /api/v1/openapi.json")),
        ("GET", "/sources/shop/tap?limit=0", None, 400, ("invalid_request", "Expected `int` >= 1 - at `$.limit`")),
        (
            "GET",
            "/sources/nope/tap",
            None,
            404,
            ("not_found", "there is no source 'nope' in the running configuration"),
        ),
        ("POST", "/explain", {}, 400, ("invalid_request", "Object missing required field `event`")),
        (
            "POST",
            "/explain",
            {"event": ORDER, "source": "shoop"},
            400,
            ("not_possible", "no source 'shoop': did you mean 'shop'?"),
        ),
        (
            "POST",
            "/errors/discard",
            {"snyc": "orders"},
            400,
            ("invalid_request", "there is no field 'snyc' here: did you mean 'sync'?"),
        ),
        ("GET", "/sources/shop/looks?filter=type%20=", None, 400, None),
    ],
)
async def test_what_cannot_be_had_is_told(browser, method, path, body, status, answer):
    told = await browser.rest(method, path, body)

    assert told[0] == status
    if answer:
        assert (told[1]["code"], told[1]["message"]) == answer


async def test_a_change_that_was_refused_is_noted_too(browser):
    await browser.rest("POST", "/syncs/nope/pause")

    _, (change,) = await browser.rest("GET", "/changes")
    assert (change["what"], change["failed"]) == ("POST /syncs/nope/pause", True)


async def test_an_erasure_is_noted_at_its_beginning_and_its_end(browser):
    await browser.engine.send(2)
    await browser.engine.settled()
    body = {"kind": "userId", "value": "u"}
    while body.get("state") != "done":
        status, body = await browser.rest("POST", "/erase", body)
        assert status == 200

    changes = (await browser.rest("GET", "/changes"))[1]
    assert [one["told"] for one in changes] == [
        "2 events and 0 entries by userId are erased",
        "an erasure by userId has begun",
    ]


async def test_an_event_is_explained_and_nothing_is_sent(browser):
    status, told = await browser.rest("POST", "/explain", {"event": ORDER})

    assert status == 200
    assert [(walk["sync"], walk["fate"], walk["payload"]) for walk in told["syncs"]] == [
        ("orders", "deliver", {"n": 7})
    ]
    assert browser.engine.desk().calls == []
    assert (await browser.rest("GET", "/changes"))[1] == []


async def test_a_look_shows_what_every_sync_makes_of_an_event(browser):
    await browser.engine.send(3)

    _, looks = await browser.rest("GET", "/sources/shop/looks?limit=2")

    assert (looks["upto"], looks["skipped"]) == (3, 1)
    assert [(one["seen"]["n"], one["took"][0]["verdict"]) for one in looks["looked"]] == [
        (2, "deliver"),
        (3, "deliver"),
    ]


async def test_a_look_by_a_filter_shows_what_it_takes(browser):
    await browser.engine.send(3)

    _, looks = await browser.rest("GET", "/sources/shop/looks?filter=properties.n%20=%202")

    assert [one["seen"]["n"] for one in looks["looked"]] == [2]


async def test_who_waits_is_told_that_the_engine_stops(browser, nursery):
    answers: list[tuple[int, dict[str, str]]] = []

    async def wait() -> None:
        answers.append(await browser.rest("GET", "/sources/shop/tap?wait=60"))

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()

    browser.engine.tree.console.stop()
    await trio.testing.wait_all_tasks_blocked()

    assert answers == [(503, {"message": "the engine stops", "code": "draining"})]


async def test_changes_are_kept_over_a_restart_up_to_two_hundred(browser):
    for _ in range(101):
        await browser.rest("POST", "/syncs/orders/pause")
        await browser.rest("POST", "/syncs/orders/resume")

    changes = (await browser.rest("GET", "/changes"))[1]
    stored = await browser.engine.store.meta.get("audit")
    assert (len(changes), changes[0]["what"]) == (200, "POST /syncs/orders/resume")
    assert stored
    assert len(msgspec.json.decode(stored[0])) == 200


async def test_the_running_configuration_is_shown_without_its_secrets(browser):
    _, config = await browser.rest("GET", "/config")

    assert config["sources"]["shop"]["write_keys"] == ["***"]
