from __future__ import annotations

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.runtime.http_wire import Ask, Reader, Reply, encode, plain_reply

POST = Ask(method=b"POST", data=b"", close=False)

NAMES = st.sampled_from(
    [b"Content-Length", b"content-length", b"Connection", b"Transfer-Encoding", b"X-A", b"x a", b""]
)
VALUES = st.sampled_from(
    [
        b"0",
        b"2",
        b"02",
        b"+2",
        b"2, 2",
        b" 2 ",
        b"3",
        b"",
        b"close",
        b"keep-alive",
        b"Keep-Alive, x",
        b"chunked",
        b"a\tb",
        b"\xe9",
        b"a\rb",
        b"\x00",
        b"\x7f",
    ]
)
LINES = st.tuples(
    NAMES,
    st.sampled_from([b":", b": ", b" :", b""]),
    VALUES,
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r\n "]),
)
STATUS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 200",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 204 X",
        b"HTTP/1.1 304 X",
        b"HTTP/1.1 100 X",
        b"HTTP/1.1 999  two  ",
        b"HTTP/1.1 20 X",
        b"http/1.1 200 OK",
        b"\r\nHTTP/1.1 200 OK",
    ]
)
BODIES = st.sampled_from([b"", b"ok", b"okk", b"2\r\nok\r\n0\r\n\r\n"])


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    lines = b"".join(b"".join(line) for line in draw(st.lists(LINES, max_size=4)))
    return draw(STATUS) + b"\r\n" + lines + b"\r\n" + draw(BODIES)


def by_h11(data: bytes) -> Reply | None:
    """Read *data* the long way: in two pieces nothing is plain."""
    reader = Reader(100)
    reader.begin(POST)
    reader.receive(data[:1])
    return reader.receive(data[1:])


@given(responses())
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok")
@example(b"HTTP/1.1 200 OK\r\nX-A:\r\nContent-Length:0\t\r\n\r\n")
def test_a_plain_reply_is_what_h11_reads(data: bytes) -> None:
    reply = plain_reply(data, 100)

    assert reply is None or reply == by_h11(data)


def test_an_ordinary_answer_is_plain() -> None:
    data = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"

    assert plain_reply(data, 100) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokk",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + b"x" * 101,
        b"HTTP/1.1 204 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nok",
    ],
)
def test_what_is_not_certain_is_left_to_h11(data: bytes) -> None:
    assert plain_reply(data, 100) is None


def test_a_request_is_one_piece() -> None:
    headers = [(b"Host", b"crm.example"), (b"Content-Length", b"2")]

    ask = encode(b"POST", b"/in?a=b", headers, b"{}")

    assert ask.data == b"POST /in?a=b HTTP/1.1\r\nHost: crm.example\r\nContent-Length: 2\r\n\r\n{}"


def test_a_body_of_unknown_length_is_one_chunk() -> None:
    headers = [(b"Host", b"crm.example"), (b"Transfer-Encoding", b"chunked")]

    assert encode(b"POST", b"/", headers, b"hello world").data.endswith(b"\r\n\r\nb\r\nhello world\r\n0\r\n\r\n")
    assert encode(b"POST", b"/", headers, b"").data.endswith(b"\r\n\r\n0\r\n\r\n")


HOST = (b"Host", b"h")


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        (b"POST", b"/", [HOST, (b"x", b"a\r\nb: c")]),
        (b"POST", b"/", [HOST, (b"x", b"a\nb")]),
        (b"POST", b"/", [HOST, (b"x", b"a\x00")]),
        (b"POST", b"/", [HOST, (b"x:y", b"a")]),
        (b"POST", b"/", [HOST, (b"", b"a")]),
        (b"POST", b"/ HTTP/1.1\r\nx: y", [HOST]),
        (b"POST", b"/ /", [HOST]),
        (b"PO ST", b"/", [HOST]),
        (b"", b"/", [HOST]),
    ],
)
def test_nothing_can_be_smuggled_into_a_head(method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(httpx.LocalProtocolError) as caught:
        encode(method, target, headers, b"")

    assert str(caught.value) == "the request line or a header has a character that HTTP does not allow"


def test_a_request_needs_a_host() -> None:
    with pytest.raises(httpx.LocalProtocolError) as caught:
        encode(b"GET", b"/", [], b"")

    assert str(caught.value) == "the request has no Host header"
