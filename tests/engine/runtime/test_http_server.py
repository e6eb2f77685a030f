from __future__ import annotations

import gzip

import msgspec
import pytest
import trio
import trio.testing

from engine.runtime.http_server import Limits, Request, Response, Upgrade
from engine.runtime.websocket import accept
from tests.support.frames import CLOSE, HANDSHAKE, TEXT, Client, closing, frame
from tests.support.serving import OK2, OK3, Server, ended, post, tell


@pytest.fixture
async def server(nursery: trio.Nursery) -> Server:
    started = Server(nursery)
    await started.start()
    return started


async def test_a_request_is_understood_and_answered(server: Server) -> None:
    reply = await server.tell(
        b"POST /v1/track%20x?a=b&c HTTP/1.1\r\nHost: x\r\nX-A: \xe9\r\nX-A: 2\r\nContent-Length: 2\r\n\r\n{}"
    )

    assert reply == OK2
    assert server.requests == [
        Request(
            method="POST",
            path="/v1/track%20x",
            query="a=b&c",
            headers=(("host", "x"), ("x-a", "é"), ("x-a", "2"), ("content-length", "2")),
            body=b"{}",
            peer="127.0.0.1",
        )
    ]
    assert server.requests[0].header("x-a") == "é"
    assert server.requests[0].header("x-b") is None


async def test_one_connection_carries_many_requests(server: Server) -> None:
    stream = await server.visit()

    assert [await tell(stream, post(body)) for body in (b"{}", b"{1}", b"{}")] == [OK2, OK3, OK2]


async def test_requests_that_come_at_once_are_answered_in_order(server: Server) -> None:
    assert await server.tell(post(b"{}") + post(b"{1}") + post(b"{}")) == OK2 + OK3 + OK2


async def test_a_request_in_single_bytes_is_understood(server: Server) -> None:
    stream = await server.visit()
    for byte in post(b"{1}")[:-1]:
        await stream.send_all(bytes([byte]))
        await trio.testing.wait_all_tasks_blocked()

    assert await tell(stream, b"}") == OK3


async def test_a_chunked_body_is_put_together(server: Server) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert await server.tell(head + b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n") == OK3
    assert server.requests[0].body == b"abc"


async def test_a_gzipped_body_is_unpacked_whatever_its_content_type(server: Server) -> None:
    coded = gzip.compress(b"a") + gzip.compress(b"bc")

    reply = await server.tell(
        post(coded, headers=b"Content-Encoding: gzip\r\nContent-Type: application/x-www-form-urlencoded\r\n")
    )

    assert reply == OK3
    assert server.requests[0].body == b"abc"


async def test_a_client_that_waits_for_100_gets_it(server: Server) -> None:
    stream = await server.visit()
    head, _, body = post(b"{1}", headers=b"Expect: 100-continue\r\n").partition(b"\r\n\r\n")

    assert await tell(stream, head + b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert await tell(stream, body) == OK3


async def test_head_is_answered_without_a_body(server: Server) -> None:
    reply = await server.tell(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + post())

    assert reply == OK2.replace(b'{"got":2}', b"").replace(b"length: 2", b"length: 9") + OK2


async def test_204_has_neither_body_nor_length(server: Server) -> None:
    assert await server.tell(post(path=b"/empty") + post()) == b"HTTP/1.1 204 \r\n\r\n" + OK2


@pytest.mark.parametrize(
    "request_", [b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"]
)
async def test_a_client_that_stays_for_one_request_is_let_go(request_: bytes, server: Server) -> None:
    stream = await server.visit()

    reply = await tell(stream, request_)

    assert b"connection: close\r\n" in reply.lower()
    assert await ended(stream)


TARGETS = {
    b"http://x/a?b": ("/a", "b"),
    b"HTTP://x": ("/", ""),
    b"http://x?b=/": ("/", "b=/"),
    b"*": ("*", ""),
    b"//x/y": ("//x/y", ""),
    b"/a?b?c": ("/a", "b?c"),
}


@pytest.mark.parametrize("target", TARGETS)
async def test_every_form_of_a_target_names_a_path(target: bytes, server: Server) -> None:
    await server.tell(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)

    assert [(request.path, request.query) for request in server.requests] == [TARGETS[target]]


async def test_a_handler_that_fails_answers_500_and_harms_nobody_else(server: Server) -> None:
    reply = await server.tell(post(path=b"/crash?why") + post())

    assert b'{"code":"internal_error","message":"the server failed; it has been noted"}' in reply
    assert reply.endswith(OK2)
    assert [str(error) for error in server.crashes] == ["why"]


async def test_an_answer_that_http_cannot_say_harms_nobody_else(server: Server) -> None:
    assert await server.tell(post(path=b"/bad-header")) == b""

    assert [type(error).__name__ for error in server.crashes] == ["LocalProtocolError"]
    assert await server.tell(post()) == OK2


@pytest.mark.parametrize(
    ("sent", "pause", "code"),
    [
        (b"", 75, None),
        (b"GET / HT", 10, "the head of the request took longer than 10 s"),
        (post()[:-1], 30, "the body took longer than 30 s"),
    ],
)
async def test_a_client_that_takes_its_time_is_let_go(
    sent: bytes, pause: float, code: str | None, server: Server, autojump_clock: trio.testing.MockClock
) -> None:
    stream = await server.visit()
    start = trio.current_time()
    await stream.send_all(sent)

    reply = bytes(await stream.receive_some())

    assert trio.current_time() - start == pytest.approx(pause)
    assert reply.startswith(b"HTTP/1.1 408 ") if code else reply == b""
    assert not code or msgspec.json.decode(reply.partition(b"\r\n\r\n")[2]) == {"code": "timeout", "message": code}


async def test_a_client_that_reads_nothing_is_let_go(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    async def flood(request: Request) -> Response:
        return Response(status=200, body=b"x" * 50_000_000)

    server = Server(nursery)
    server.handler = flood  # type: ignore[method-assign]
    await server.start()
    stream = await server.visit()
    await stream.send_all(post())
    await trio.sleep(31)

    server.stop.set()
    await server.ended.wait()


async def test_a_full_house_lets_the_longest_idle_go(nursery: trio.Nursery) -> None:
    server = Server(nursery)
    await server.start(limits=Limits(connections=2))
    first, second = await server.visit(), await server.visit()
    await tell(first, post())
    await tell(second, post())

    third = await server.visit()

    assert await tell(third, post()) == OK2
    assert await ended(first)
    assert await tell(second, post()) == OK2


async def test_a_house_full_of_busy_clients_lets_new_ones_wait(nursery: trio.Nursery) -> None:
    server = Server(nursery)
    await server.start(limits=Limits(connections=1))
    busy = await server.visit()
    await busy.send_all(post(path=b"/wait"))
    await trio.testing.wait_all_tasks_blocked()
    late = await server.visit()
    await late.send_all(post())
    await trio.testing.wait_all_tasks_blocked()
    assert [request.path for request in server.requests] == ["/wait"]

    server.held.set()

    assert await busy.receive_some() == OK2
    assert await late.receive_some() == OK2


async def test_a_drain_finishes_what_is_under_way_and_lets_the_idle_go(server: Server) -> None:
    idle, fresh, busy = [await server.visit() for _ in range(3)]
    await tell(idle, post())
    await busy.send_all(post(path=b"/wait") + post())
    await trio.testing.wait_all_tasks_blocked()

    server.stop.set()

    assert await ended(idle)
    assert await ended(fresh)
    assert not server.ended.is_set()
    with pytest.raises(OSError, match="all attempts to connect"):
        await server.visit()
    server.held.set()
    assert await tell(busy, b"") == OK2.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    await busy.aclose()
    await server.ended.wait()
    assert [request.path for request in server.requests] == ["/v1/track", "/wait"]


async def test_an_upgrade_is_handed_on_with_what_came_with_it(nursery: trio.Nursery) -> None:
    heard: list[object] = []

    async def upgrade(upgrade: Upgrade) -> None:
        heard.append((upgrade.request.path, upgrade.request.query))
        websocket = await accept(upgrade.stream, upgrade.head, nursery=upgrade.nursery)
        heard.append(await websocket.receive())
        await websocket.close(4401)

    server = Server(nursery)
    await server.start(upgrade=upgrade)
    client = Client(await server.visit())
    # On a connection that was used before: only this request's own bytes may be replayed.
    assert await tell(client.stream, post()) == OK2

    head = await client.upgrade(then=frame(TEXT, b"early"))

    assert head.startswith(b"HTTP/1.1 101 ")
    assert await client.hear() == (CLOSE, closing(4401))
    await client.say(frame(CLOSE, closing(4401)))
    assert await client.hear() is None
    assert heard == [("/v1/stream", ""), "early"]
    assert server.crashes == []


async def test_an_upgrade_that_fails_harms_nobody_else(nursery: trio.Nursery) -> None:
    async def upgrade(upgrade: Upgrade) -> None:
        upgrade.nursery.start_soon(trio.sleep_forever)
        raise ValueError("in the upgrade")

    server = Server(nursery)
    await server.start(upgrade=upgrade)

    assert await server.tell(HANDSHAKE % b"") == b""
    assert [str(error) for error in server.crashes] == ["in the upgrade"]
    assert await server.tell(post()) == OK2


async def test_without_an_upgrader_the_request_is_one_like_any_other(server: Server) -> None:
    assert (await server.tell(HANDSHAKE % b"")).startswith(b"HTTP/1.1 200 ")
