"""HTTP/1.1 as a client sees it, without I/O: a request as bytes, and bytes as a reply."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import TypeAlias

import h11
import httpx
import msgspec

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Header names and values as they stand on the wire."""

MAX_HEAD = 100 * 1024
"""Bytes of a response head, at most; the same as httpcore's."""

# A whole head at once: one match costs less than one per header. A line break inside a value would read as the end of
# a header, so the breaks are counted too.
_HEAD = re.compile(
    rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+ [\x21-\x7e]+ HTTP/1\.1\r\n"
    rb"(?:[-!#$%&'*+.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*\r\n)*\r\n"
)

_PLAIN = re.compile(
    rb"HTTP/1\.1 ([2-9][0-9][0-9]) ([\t\x20-\x7e]*)\r\n"
    rb"((?:[-!#$%&'*+.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)+)\r\n"
)
_NO_BODY = frozenset({204, 304})


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One response, whole.

    Attributes:
        status: 200 to 999; interim responses (1xx) are skipped.
        reason: the reason phrase, or b"".
        headers: as sent, names in the peer's own case.
        body: after transfer coding, before content coding; at most `Reader.max_body` bytes.
        http_version: b"1.1" or b"1.0".
        truncated: the body was longer than that; the rest was not read.
        keep: the connection may carry another request.
    """

    status: int
    reason: bytes
    headers: RawHeaders
    body: bytes
    http_version: bytes
    truncated: bool
    keep: bool


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request, ready for the wire.

    Attributes:
        method: upper case, for example b"POST".
        data: head and body, to be written at once: two writes make two segments and wake the peer twice.
        close: the request says ``Connection: close``.
    """

    method: bytes
    data: bytes
    close: bool


def encode(method: bytes, target: bytes, headers: RawHeaders, body: bytes) -> Ask:
    """Return the request as bytes; a body with ``Transfer-Encoding: chunked`` becomes one chunk.

    Raises:
        httpx.LocalProtocolError: what HTTP cannot say: a line break in a header, no Host, a body whose length is not
            the one announced.
    """
    seen = {name.lower(): value for name, value in headers}
    if b"host" not in seen:
        raise httpx.LocalProtocolError("the request has no Host header")
    body = _framed(seen, body)
    lines = [method, b" ", target, b" HTTP/1.1\r\n"]
    for name, value in headers:
        lines += (name, b": ", value, b"\r\n")
    lines.append(b"\r\n")
    head = b"".join(lines)
    if head.count(b"\r\n") != len(headers) + 2 or not _HEAD.fullmatch(head):
        raise httpx.LocalProtocolError("the request line or a header has a character that HTTP does not allow")
    return Ask(method=method, data=head + body, close=b"close" in seen.get(b"connection", b"").lower())


def _framed(seen: dict[bytes, bytes], body: bytes) -> bytes:
    coding = seen.get(b"transfer-encoding")
    if coding is not None:
        if coding.lower() != b"chunked":
            raise httpx.LocalProtocolError("the only transfer coding that can be sent is chunked")
        return (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    announced = seen.get(b"content-length", b"0")
    if not announced.isdigit() or int(announced) != len(body):
        text = announced.decode("latin-1")
        raise httpx.LocalProtocolError(f"the request announces {text} bytes and has {len(body)}")
    return body


def plain_reply(data: bytes | bytearray, max_body: int) -> Reply | None:
    """Return the reply if *data* is the plainest there is and nothing else; None leaves it to h11.

    Plain is HTTP/1.1, a status with a body, one Content-Length that ends where *data* ends, no Transfer-Encoding and
    no Connection but keep-alive. Nearly every answer of a destination is, and h11 takes five times as long over it.
    What is not certain is not plain: whatever this accepts, h11 reads the same way (a test holds them together).
    """
    match = _PLAIN.match(data)
    if match is None or (status := int(match[1])) in _NO_BODY:
        return None
    body = data[match.end() :]
    length: bytes | None = None
    headers = []
    for line in match[3].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        value = value.strip(b" \t")
        headers.append((name, value))
        key = name.lower()
        if key == b"content-length":
            if length is not None:
                return None
            length = value
        elif key == b"transfer-encoding" or (key == b"connection" and value.lower() != b"keep-alive"):
            return None
    if length is None or length != b"%d" % len(body) or len(body) > max_body:
        return None
    return Reply(
        status=status,
        reason=match[2],
        headers=headers,
        body=bytes(body),
        http_version=b"1.1",
        truncated=False,
        keep=True,
    )


class Reader:
    """Reads the responses of one connection, one request at a time.

    What is not a plain reply goes through h11. h11 needs to know what was asked (a HEAD has no body, a close ends the
    connection), so it is told; the bytes it would have written are dropped, because `encode` makes them for less.

    Args:
        max_body: bytes of a body that are kept, at most.
    """

    def __init__(self, max_body: int) -> None:
        self.max_body = max_body
        self.received = False
        self._ask: Ask | None = None
        self._http = h11.Connection(our_role=h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._head: h11.Response | None = None
        self._body = bytearray()

    def begin(self, ask: Ask) -> None:
        """Note that *ask* is on its way; the connection must be new, or its last `Reply` have ``keep``."""
        self.received = False
        self._ask = ask

    def receive(self, data: bytes | bytearray) -> Reply | None:
        """Take in *data* (b"" is the end of the stream); return the reply once it is whole.

        Raises:
            httpx.RemoteProtocolError: not HTTP, a head above `MAX_HEAD`, or an end before the end of the message.
        """
        ask, self._ask = self._ask, None
        if ask is not None:
            if data and ask.method != b"HEAD" and not ask.close and (reply := plain_reply(data, self.max_body)):
                self.received = True
                return reply
            self._tell(ask)
        if data:
            self.received = True
        elif self._head is None:
            raise httpx.RemoteProtocolError("the server closed the connection without sending a response")
        self._http.receive_data(bytes(data))
        try:
            return self._next()
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error

    def _tell(self, ask: Ask) -> None:
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        self._head = None
        self._body = bytearray()
        self._http.send(_asked(ask.method, ask.close))
        self._http.send(h11.EndOfMessage())

    def _next(self) -> Reply | None:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > self.max_body:
                    return self._reply(whole=False)
            elif isinstance(event, h11.EndOfMessage):
                return self._reply(whole=True)
            elif isinstance(event, h11.Response):
                self._head = event
            elif not isinstance(event, h11.InformationalResponse):
                return None

    def _reply(self, *, whole: bool) -> Reply:
        head = self._head
        assert head is not None, "h11 gives a head before a body"
        # Bytes behind the end of a response answer nothing that was asked. Were they kept, they would be taken for the
        # answer to the next request, so the connection ends here.
        spare, ended = self._http.trailing_data
        done = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        return Reply(
            status=head.status_code,
            reason=head.reason,
            headers=head.headers.raw_items(),
            body=bytes(self._body[: self.max_body]),
            http_version=head.http_version,
            truncated=not whole,
            keep=whole and done and not spare and not ended,
        )


@functools.lru_cache(maxsize=64)
def _asked(method: bytes, close: bool) -> h11.Request:  # noqa: FBT001
    headers = [(b"Host", b"-")]
    if close:
        headers.append((b"Connection", b"close"))
    return h11.Request(method=method, target=b"/", headers=headers)
