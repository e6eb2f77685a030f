from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence

import httpx
import pytest
import trio
import trio.testing
import trustme

from engine.runtime.http_client import tls_context
from tests.support.exchange import (
    GOOD,
    OK,
    ask,
    ours,
    outcome,
    read_nothing,
    run,
    speaking_as,
    stock,
)
from tests.support.peer import Line, Peer, dead_port, replying


@pytest.fixture(scope="module")
def plain_tls() -> ssl.SSLContext:
    return tls_context()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = tls_context()
    authority.configure_trust(context)
    return context


async def test_a_peer_that_takes_nothing_ends_in_a_write_timeout(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, plain_tls: ssl.SSLContext
) -> None:
    # Not compared: httpcore leaks its body's iterator here, which the warnings filter makes an error.
    outcomes, _ = await run(nursery, ours(plain_tls), [read_nothing], [{"body": b"x" * 20_000_000}])

    assert outcomes == ["WriteTimeout"]


async def test_a_refused_connection_says_where_and_why(plain_tls: ssl.SSLContext) -> None:
    port = await dead_port()
    async with stock(plain_tls) as oracle:
        assert await outcome(oracle, ask(f"http://127.0.0.1:{port}/")) == "ConnectError"

    async with ours(plain_tls) as transport:
        with pytest.raises(httpx.ConnectError) as caught:
            await transport.handle_async_request(ask(f"http://127.0.0.1:{port}/"))

    assert str(caught.value) == f"cannot connect to 127.0.0.1:{port} (127.0.0.1: Connection refused)"
    assert caught.value.request.url.port == port


async def test_an_address_that_refuses_gives_way_to_the_next(nursery: trio.Nursery, plain_tls: ssl.SSLContext) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.2", "::1", "127.0.0.1"]

    peer: Peer = await nursery.start(Peer([replying(OK)]).serve)
    async with ours(plain_tls, resolve=resolve) as transport:
        assert await outcome(transport, ask(f"http://crm.example:{peer.port}/")) == GOOD


async def test_a_name_that_does_not_resolve_is_told(plain_tls: ssl.SSLContext) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with ours(plain_tls, resolve=resolve) as transport:
        with pytest.raises(httpx.ConnectError) as caught:
            await transport.handle_async_request(ask("http://crm.example/"))

    assert str(caught.value) == "crm.example does not resolve: Name or service not known"


async def test_a_scheme_that_is_not_http_is_refused(plain_tls: ssl.SSLContext) -> None:
    async with stock(plain_tls) as oracle:
        assert await outcome(oracle, ask("ftp://127.0.0.1/")) == "UnsupportedProtocol"

    async with ours(plain_tls) as transport:
        with pytest.raises(httpx.UnsupportedProtocol) as caught:
            await transport.handle_async_request(ask("ftp://127.0.0.1/"))

    assert str(caught.value) == "the URL must start with http:// or https://, not ftp://"


async def test_the_name_in_the_url_is_the_one_the_certificate_must_carry(
    nursery: trio.Nursery, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    asked = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    server = speaking_as(authority, "crm.example")
    peer: Peer = await nursery.start(Peer([replying(OK)], server).serve)
    async with ours(trusting, resolve=resolve) as transport:
        assert await outcome(transport, ask(f"https://crm.example:{peer.port}/")) == GOOD

    assert asked == [("crm.example", peer.port)]


@pytest.mark.parametrize(
    ("trusted", "names", "text"),
    [
        (False, ("127.0.0.1",), "the certificate is not good: unable to get local issuer certificate"),
        (
            True,
            ("other.example",),
            "the certificate is not good: IP address mismatch, certificate is not valid for '127.0.0.1'",
        ),
    ],
)
async def test_a_certificate_that_is_not_good_is_told(
    trusted: bool,  # noqa: FBT001 - a column of the table
    names: tuple[str, ...],
    text: str,
    nursery: trio.Nursery,
    authority: trustme.CA,
    trusting: ssl.SSLContext,
    plain_tls: ssl.SSLContext,
) -> None:
    context = trusting if trusted else plain_tls
    peer: Peer = await nursery.start(Peer([replying(OK)] * 2, speaking_as(authority, *names)).serve)
    url = f"https://127.0.0.1:{peer.port}/"

    async with stock(context) as oracle:
        assert await outcome(oracle, ask(url)) == "ConnectError"
    async with ours(context) as transport:
        with pytest.raises(httpx.ConnectError) as caught:
            await transport.handle_async_request(ask(url))

    assert str(caught.value) == f"no TLS with 127.0.0.1: {text}"


async def test_a_server_without_tls_is_told(nursery: trio.Nursery, plain_tls: ssl.SSLContext) -> None:
    async def no_tls(line: Line) -> None:
        await line.stream.receive_some()
        await line.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await line.drain()

    peer: Peer = await nursery.start(Peer([no_tls] * 2).serve)
    url = f"https://127.0.0.1:{peer.port}/"

    async with stock(plain_tls) as oracle:
        assert await outcome(oracle, ask(url)) == "ConnectError"
    async with ours(plain_tls) as transport:
        with pytest.raises(httpx.ConnectError) as caught:
            await transport.handle_async_request(ask(url))

    assert str(caught.value) == "no TLS with 127.0.0.1: wrong version number"


async def test_a_handshake_that_stalls_ends_in_a_connect_timeout(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, plain_tls: ssl.SSLContext
) -> None:
    peer: Peer = await nursery.start(Peer([read_nothing] * 2).serve)
    url = f"https://127.0.0.1:{peer.port}/"

    async with stock(plain_tls) as oracle:
        assert await outcome(oracle, ask(url)) == "ConnectTimeout"
    async with ours(plain_tls) as transport:
        with pytest.raises(httpx.ConnectTimeout) as caught:
            await transport.handle_async_request(ask(url))

    assert str(caught.value) == "no connection to 127.0.0.1 in 5.0 s"


async def test_head_and_body_leave_in_one_write(nursery: trio.Nursery, plain_tls: ssl.SSLContext) -> None:
    reads = []

    async def script(line: Line) -> None:
        await line.request()
        reads.append(line.reads)
        await line.say(OK)

    await run(nursery, ours(plain_tls), [script], [{"body": b"x" * 600}])

    assert reads == [1]


async def test_a_connection_that_was_idle_for_long_is_not_used_again(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, plain_tls: ssl.SSLContext
) -> None:
    peer: Peer = await nursery.start(Peer([replying(OK, OK), replying(OK)]).serve)
    async with ours(plain_tls) as transport:
        for pause in (0, 29, 31):
            await trio.sleep(pause)
            await transport.handle_async_request(ask(f"http://127.0.0.1:{peer.port}/"))

    assert peer.connections == 2


LARGE = 6 << 20
"""Bytes of a body that no socket holds: Linux takes 4 MiB from who sends, whether the other reads or not."""
REFUSED = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"


async def refuse_and_hold(line: Line) -> None:
    """Refuse when the head has come, and neither read on nor close."""
    await line.head()
    await line.say(REFUSED)
    await trio.sleep_forever()


async def leave_and_hold(line: Line) -> None:
    """Say when the head has come that no answer will, and neither read on nor close."""
    await line.head()
    await line.hush()
    await trio.sleep_forever()


async def accept_and_read(line: Line) -> None:
    """Accept when the head has come, and read the rest only then."""
    await line.head()
    await line.say(OK)
    await line.request()
    await trio.sleep_forever()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_refusal_before_the_body_was_read_is_an_answer(
    scheme: str, nursery: trio.Nursery, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    server = speaking_as(authority, "127.0.0.1") if scheme == "https" else None
    peer: Peer = await nursery.start(Peer([refuse_and_hold, replying(OK)], server).serve)
    url = f"{scheme}://127.0.0.1:{peer.port}/"
    async with ours(trusting) as transport:
        refused = await transport.handle_async_request(ask(url, body=b"x" * LARGE))
        assert await outcome(transport, ask(url)) == GOOD

    assert refused.status_code == 413
    assert peer.connections == 2


async def test_an_end_before_the_body_was_read_is_told_at_once(
    nursery: trio.Nursery, plain_tls: ssl.SSLContext
) -> None:
    peer: Peer = await nursery.start(Peer([leave_and_hold]).serve)
    async with ours(plain_tls) as transport:
        outcome_of_it = await outcome(transport, ask(f"http://127.0.0.1:{peer.port}/", body=b"x" * LARGE))

    assert outcome_of_it == "RemoteProtocolError"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_who_accepts_before_the_body_was_read_gets_all_of_it(
    scheme: str, nursery: trio.Nursery, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    server = speaking_as(authority, "127.0.0.1") if scheme == "https" else None
    peer: Peer = await nursery.start(Peer([accept_and_read], server).serve)
    async with ours(trusting) as transport:
        assert await outcome(transport, ask(f"{scheme}://127.0.0.1:{peer.port}/", body=b"x" * LARGE)) == GOOD
        await transport.aclose()
        while not peer.requests:
            await trio.lowlevel.checkpoint()

    assert len(peer.requests[0]) > LARGE
