from __future__ import annotations

import ssl
from functools import partial
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from engine.runtime.http_client import HttpClient, tls_context
from tests.support.exchange import (
    GOOD,
    OK,
    TWO,
    answer_then_hang_up_on_the_next,
    ask,
    closing,
    drip,
    ours,
    outcome,
    read_nothing,
    run,
    stall,
)
from tests.support.peer import Line, Peer, Script, replying


@pytest.fixture(scope="module")
def plain_tls() -> ssl.SSLContext:
    return tls_context()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"x_a": "b\r\nx-c: d"}, "the request line or a header has a character that HTTP does not allow"),
        ({"x a": "b"}, "the request line or a header has a character that HTTP does not allow"),
        ({"content-length": "9"}, "the request announces 9 bytes and has 2"),
        ({"transfer-encoding": "gzip"}, "the only transfer coding that can be sent is chunked"),
    ],
)
async def test_a_request_that_http_cannot_say_opens_no_connection(
    options: dict[str, Any], text: str, nursery: trio.Nursery, plain_tls: ssl.SSLContext
) -> None:
    # httpcore connects first, and lets h11's own error through when the length is wrong.
    peer: Peer = await nursery.start(Peer([replying(OK)]).serve)
    async with ours(plain_tls) as transport:
        with pytest.raises(httpx.LocalProtocolError) as caught:
            await transport.handle_async_request(ask(f"http://127.0.0.1:{peer.port}/", **options))

    assert str(caught.value) == text
    assert peer.connections == 0


async def test_a_request_is_sent_again_only_once(nursery: trio.Nursery, plain_tls: ssl.SSLContext) -> None:
    scripts = [answer_then_hang_up_on_the_next, closing(b"")]

    outcomes, peer = await run(nursery, ours(plain_tls), scripts, TWO)

    assert outcomes == [GOOD, "RemoteProtocolError"]
    assert peer.connections == 2


async def test_a_request_that_was_half_answered_is_not_sent_again(
    nursery: trio.Nursery, plain_tls: ssl.SSLContext
) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.say(OK)
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    outcomes, peer = await run(nursery, ours(plain_tls), [script, replying(OK)], TWO)

    assert outcomes == [GOOD, "RemoteProtocolError"]
    assert peer.connections == 1


async def test_a_request_is_not_sent_again_when_told_so(nursery: trio.Nursery, plain_tls: ssl.SSLContext) -> None:
    scripts = [answer_then_hang_up_on_the_next, replying(OK)]

    outcomes, _ = await run(nursery, ours(plain_tls, resend=False), scripts, TWO)

    assert outcomes == [GOOD, "RemoteProtocolError"]


async def test_a_body_beyond_its_bound_is_cut_and_the_connection_closed(
    nursery: trio.Nursery, plain_tls: ssl.SSLContext
) -> None:
    long = b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\n" + b"x" * 100
    peer: Peer = await nursery.start(Peer([replying(long), replying(OK)]).serve)

    async with ours(plain_tls, max_body=10) as transport:
        cut = await transport.handle_async_request(ask(f"http://127.0.0.1:{peer.port}/"))
        whole = await transport.handle_async_request(ask(f"http://127.0.0.1:{peer.port}/"))

        assert (await cut.aread(), cut.extensions["truncated"]) == (b"xxxxxxxxxx", True)
        assert (await whole.aread(), whole.extensions["truncated"]) == (b"ok", False)
    assert peer.connections == 2


async def test_a_body_without_a_length_is_sent_as_chunks(nursery: trio.Nursery, plain_tls: ssl.SSLContext) -> None:
    class Parts(httpx.AsyncByteStream):
        def __aiter__(self) -> Any:
            return _Iterator([b"ab", b"cde"])

    peer: Peer = await nursery.start(Peer([replying(OK)]).serve)
    async with ours(plain_tls) as transport:
        url = httpx.URL(f"http://127.0.0.1:{peer.port}/")
        headers = {"host": "x", "transfer-encoding": "chunked"}
        await transport.handle_async_request(httpx.Request("POST", url, headers=headers, stream=Parts()))

    assert peer.requests == [b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"]


class _Iterator:
    def __init__(self, parts: list[bytes]) -> None:
        self._parts = iter(parts)

    async def __anext__(self) -> bytes:
        try:
            return next(self._parts)
        except StopIteration:
            raise StopAsyncIteration from None


async def test_a_second_request_waits_for_the_first(nursery: trio.Nursery, plain_tls: ssl.SSLContext) -> None:
    peer: Peer = await nursery.start(Peer([replying(*[OK] * 5)]).serve)
    async with httpx.AsyncClient(transport=ours(plain_tls)) as client, trio.open_nursery() as together:
        for _ in range(5):
            together.start_soon(partial(client.post, f"http://127.0.0.1:{peer.port}/", content=b"{}"))

    assert (peer.connections, len(peer.requests)) == (1, 5)


async def test_a_request_that_waits_too_long_for_the_first_gives_up(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, plain_tls: ssl.SSLContext
) -> None:
    peer: Peer = await nursery.start(Peer([stall]).serve)
    slow = {"connect": 5.0, "read": 60.0, "write": 5.0, "pool": 5.0}
    url = f"http://127.0.0.1:{peer.port}/"
    async with ours(plain_tls) as transport:
        nursery.start_soon(outcome, transport, httpx.Request("GET", url, extensions={"timeout": slow}))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(httpx.PoolTimeout) as caught:
            await transport.handle_async_request(ask(url))

    assert str(caught.value) == "the connection was in use for 5.0 s"


async def test_a_cancelled_request_leaves_nothing_for_the_next(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, plain_tls: ssl.SSLContext
) -> None:
    async def late(line: Line) -> None:
        await line.request()
        await trio.sleep(1)
        await line.say(OK.replace(b"ok", b"NO"))

    peer: Peer = await nursery.start(Peer([late, replying(OK)]).serve)
    async with ours(plain_tls) as transport:
        with trio.move_on_after(0.5):
            await transport.handle_async_request(ask(f"http://127.0.0.1:{peer.port}/"))
        await trio.sleep(2)
        response = await transport.handle_async_request(ask(f"http://127.0.0.1:{peer.port}/"))

        assert await response.aread() == b"ok"


async def test_another_host_gets_another_connection(nursery: trio.Nursery, plain_tls: ssl.SSLContext) -> None:
    first: Peer = await nursery.start(Peer([replying(OK, OK)]).serve)
    second: Peer = await nursery.start(Peer([replying(OK)]).serve)
    async with ours(plain_tls) as transport:
        for port in (first.port, first.port, second.port):
            await transport.handle_async_request(ask(f"http://127.0.0.1:{port}/"))

    assert (first.connections, second.connections) == (1, 1)


async def test_loopback_is_refused_unless_permitted(nursery: trio.Nursery, plain_tls: ssl.SSLContext) -> None:
    peer: Peer = await nursery.start(Peer([replying(OK)]).serve)
    client = HttpClient(allow_private=False, timeout=5, tls=plain_tls)

    with pytest.raises(httpx.ConnectError) as caught:
        await client.send("POST", httpx.URL(f"http://127.0.0.1:{peer.port}/"), [], b"{}")

    assert str(caught.value) == (
        "127.0.0.1 resolves to 127.0.0.1, which is not a public address\n"
        "    set allow_private = true on this destination if it is meant to reach it"
    )
    assert peer.connections == 0


async def test_the_client_completes_the_headers_and_keeps_those_it_was_given(
    nursery: trio.Nursery, plain_tls: ssl.SSLContext
) -> None:
    peer: Peer = await nursery.start(Peer([replying(OK, OK)]).serve)
    client = HttpClient(allow_private=True, timeout=5, tls=plain_tls)
    url = httpx.URL(f"http://127.0.0.1:{peer.port}/a%20b?c=d")

    await client.send("POST", url, [("Content-Type", "application/json")], b"{}")
    await client.send("GET", url, [("User-Agent", "mine"), ("Host", "crm.example")])
    await client.aclose()

    assert peer.requests == [
        (
            b"POST /a%%20b?c=d HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-length: 2\r\naccept-encoding: identity\r\n"
            b"user-agent: headrace\r\naccept: */*\r\nContent-Type: application/json\r\n\r\n{}" % peer.port
        ),
        (
            b"GET /a%20b?c=d HTTP/1.1\r\naccept-encoding: identity\r\naccept: */*\r\n"
            b"User-Agent: mine\r\nHost: crm.example\r\n\r\n"
        ),
    ]


async def test_the_client_tells_what_was_answered(nursery: trio.Nursery, plain_tls: ssl.SSLContext) -> None:
    reply = b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\nslow"
    peer: Peer = await nursery.start(Peer([closing(OK), replying(reply)]).serve)
    client = HttpClient(allow_private=True, timeout=5, tls=plain_tls, max_body=3)
    url = httpx.URL(f"http://127.0.0.1:{peer.port}/")

    await client.send("POST", url, [], b"{}")
    answer = await client.send("POST", url, [], b"{}")
    await client.aclose()

    assert (answer.status, answer.header("retry-after"), answer.body) == (429, "3", b"slo")
    assert (answer.http_version, answer.truncated) == ("1.1", True)
    assert answer.headers == (("retry-after", "3"), ("content-length", "4"))


@pytest.mark.parametrize(
    ("script", "error", "phase"),
    [(drip, httpx.ReadTimeout, "read"), (read_nothing, httpx.WriteTimeout, "write")],
)
async def test_the_client_bounds_the_whole_exchange(
    script: Script,
    error: type[Exception],
    phase: str,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    plain_tls: ssl.SSLContext,
) -> None:
    peer: Peer = await nursery.start(Peer([script]).serve)
    client = HttpClient(allow_private=True, timeout=10, tls=plain_tls)

    with pytest.raises(error) as caught:
        await client.send("POST", httpx.URL(f"http://127.0.0.1:{peer.port}/"), [], b"x" * 20_000_000)

    assert str(caught.value) == f"127.0.0.1 took longer than 10 s ({phase})"
    await client.aclose()


async def test_the_client_says_when_it_sent_a_request_twice(nursery: trio.Nursery, plain_tls: ssl.SSLContext) -> None:
    peer: Peer = await nursery.start(Peer([answer_then_hang_up_on_the_next, replying(OK)]).serve)
    client = HttpClient(allow_private=True, timeout=5, tls=plain_tls)
    url = httpx.URL(f"http://127.0.0.1:{peer.port}/")

    answers = [await client.send("POST", url, [], b"{}") for _ in range(2)]
    await client.aclose()

    assert [answer.resent for answer in answers] == [False, True]
