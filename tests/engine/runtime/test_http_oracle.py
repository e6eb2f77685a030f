"""Our transport against httpx's own, over real sockets: the same peer, the same requests, the same outcome."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trio
import trio.testing
import trustme

from engine.runtime.http_client import tls_context
from tests.support.exchange import (
    CHUNKED,
    GOOD,
    OK,
    ONE,
    TWO,
    answer_then_hang_up_on_the_next,
    answer_then_reset_the_next,
    closing,
    half_then_stall,
    in_pieces,
    ours,
    refuse_before_the_body,
    reset,
    reset_in_the_body,
    run,
    speaking_as,
    stall,
    stock,
)
from tests.support.peer import Script, replying


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


SAME: dict[str, tuple[list[Script], list[dict[str, Any]]]] = {
    "three requests on one connection": ([replying(OK, OK, OK)], [{}, {}, {}]),
    "an idle connection that the peer closed": ([closing(OK), replying(OK)], TWO),
    "chunked": ([replying(CHUNKED + b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n", OK)], TWO),
    "chunked, with a trailer": ([replying(CHUNKED + b"1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n", OK)], TWO),
    "100 and 103 before the reply": (
        [replying(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + OK, OK)],
        TWO,
    ),
    "a body up to the end": ([closing(b"HTTP/1.1 200 OK\r\n\r\nto the end"), replying(OK)], TWO),
    "HTTP/1.0": ([closing(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), replying(OK)], TWO),
    "Connection: close in the reply": (
        [closing(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"), replying(OK)],
        TWO,
    ),
    "Connection: close in the request": ([replying(OK), replying(OK)], [{"connection": "close"}, {}]),
    "Connection: keep-alive in the reply": (
        [replying(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", OK)],
        TWO,
    ),
    "a reply in single bytes": ([in_pieces], ONE),
    "a body that stalls": ([half_then_stall], ONE),
    "no reply": ([stall], ONE),
    "a body cut short": ([closing(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")], ONE),
    "a chunk cut short": ([closing(CHUNKED + b"9\r\nhalf")], ONE),
    "chunks without an end": ([closing(CHUNKED + b"3\r\nabc\r\n")], ONE),
    "a head cut short": ([closing(b"HTTP/1.1 200 OK\r\nConte")], ONE),
    "a close instead of a reply": ([closing(b"")], ONE),
    "a reset instead of a reply": ([reset], ONE),
    "a reset in the body": ([reset_in_the_body], ONE),
    "a head of 20 KB": ([replying(b"HTTP/1.1 200 OK\r\nX: %b\r\nContent-Length: 0\r\n\r\n" % (b"x" * 20_000))], ONE),
    "a head of 200 KB": ([replying(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000)], ONE),
    "HEAD": ([replying(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n", OK)], [{"method": "HEAD", "body": None}, {}]),
    "GET": ([replying(OK)], [{"method": "GET", "body": None}]),
    "204": ([replying(b"HTTP/1.1 204 No Content\r\n\r\n", OK)], TWO),
    "304 with a length": ([replying(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\n\r\n", OK)], TWO),
    "a redirect is a reply": ([replying(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")], ONE),
    "an unknown status": ([replying(b"HTTP/1.1 799 \r\nContent-Length: 0\r\n\r\n")], ONE),
    "a status of no reason": ([replying(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")], ONE),
    "garbage": ([replying(b"hello, is this the mail server?\r\n\r\n")], ONE),
    "two lengths": ([replying(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")], ONE),
    "the same length twice": ([replying(b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab")], ONE),
    "a length that is none": ([replying(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n")], ONE),
    "a length and chunks": (
        [replying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")],
        ONE,
    ),
    "an unknown coding": ([replying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n")], ONE),
    "a folded header": ([replying(b"HTTP/1.1 200 OK\r\nX: a\r\n  b\r\nContent-Length: 0\r\n\r\n")], ONE),
    "a header in latin-1": ([replying(b"HTTP/1.1 200 OK\r\nX-N: \xe9 \r\nContent-Length: 0\r\n\r\n")], ONE),
    "a header given twice": ([replying(b"HTTP/1.1 200 OK\r\nX-N: 1\r\nx-n: 2\r\nContent-Length: 0\r\n\r\n")], ONE),
    "101 that nobody asked for": ([replying(b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n")], ONE),
    "413 before the body is read": ([refuse_before_the_body], [{"body": b"x" * 5_000_000}]),
}


@pytest.mark.parametrize("case", SAME)
async def test_it_does_what_httpx_does(
    case: str, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, plain_tls: ssl.SSLContext
) -> None:
    scripts, requests = SAME[case]

    expected, oracle = await run(nursery, stock(plain_tls), scripts, requests)
    found, peer = await run(nursery, ours(plain_tls), scripts, requests)

    assert found == expected
    assert peer.connections == oracle.connections
    assert len(peer.requests) == len(oracle.requests)


FORGED = OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"


DIFFERENT: dict[str, tuple[list[Script], list[object], list[object]]] = {
    # A peer that closes an idle connection in the moment of our request is the normal case, not a failed attempt.
    "a kept connection closed under the request": (
        [answer_then_hang_up_on_the_next, replying(OK)],
        [GOOD, "RemoteProtocolError"],
        [GOOD, GOOD],
    ),
    "a kept connection reset under the request": (
        [answer_then_reset_the_next, replying(OK)],
        [GOOD, "ReadError"],
        [GOOD, GOOD],
    ),
    # httpcore takes what follows a reply for the reply to the next request: a peer could answer before it is asked.
    "a second reply that nobody asked for": (
        [replying(FORGED, OK), replying(OK)],
        [GOOD, (200, [(b"Content-Length", b"6")], b"forged", b"HTTP/1.1")],
        [GOOD, GOOD],
    ),
}


@pytest.mark.parametrize("case", DIFFERENT)
async def test_it_differs_from_httpx_on_purpose(
    case: str, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, plain_tls: ssl.SSLContext
) -> None:
    scripts, expected, wanted = DIFFERENT[case]

    assert (await run(nursery, stock(plain_tls), scripts, TWO))[0] == expected
    assert (await run(nursery, ours(plain_tls), scripts, TWO))[0] == wanted


TLS: dict[str, tuple[list[Script], list[dict[str, Any]]]] = {
    name: SAME[name]
    for name in (
        "three requests on one connection",
        "an idle connection that the peer closed",
        "chunked",
        "Connection: close in the reply",
        "a body up to the end",
        "a body cut short",
        "a close instead of a reply",
        "a body that stalls",
        "no reply",
    )
}


@pytest.mark.parametrize("case", TLS)
async def test_over_tls_it_does_what_httpx_does(
    case: str,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    authority: trustme.CA,
    trusting: ssl.SSLContext,
) -> None:
    scripts, requests = TLS[case]
    server = speaking_as(authority, "127.0.0.1")

    expected, oracle = await run(nursery, stock(trusting), scripts, requests, server)
    found, peer = await run(nursery, ours(trusting), scripts, requests, server)

    assert found == expected
    assert peer.connections == oracle.connections
