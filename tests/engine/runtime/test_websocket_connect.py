from __future__ import annotations

import ssl

import pytest
import trio
import trio.testing
import trustme
from websockets.server import ServerProtocol

from engine.runtime.websocket import Bounds, Closed, Refused, WebSocket, connect
from tests.support.exchange import speaking_as
from tests.support.frames import hold, visit
from tests.support.peer import Line, Peer, Script, dead_port


async def independent_echo(line: Line) -> None:
    """Serve with another library's protocol, which shares no code with ours, and echo what comes."""
    protocol = ServerProtocol(subprotocols=["headrace.v1"])  # type: ignore[list-item]
    greeted = False
    while data := await line.stream.receive_some():
        protocol.receive_data(bytes(data))
        for event in protocol.events_received():
            if not greeted:
                greeted = True
                line.requests.append(event.headers["Authorization"].encode())  # type: ignore[union-attr]
                protocol.send_response(protocol.accept(event))  # type: ignore[arg-type]
            elif event.opcode in {1, 2}:  # type: ignore[union-attr]
                (protocol.send_text if event.opcode == 1 else protocol.send_binary)(event.data)  # type: ignore[union-attr]
        for piece in protocol.data_to_send():
            if piece:
                await line.say(piece)
    protocol.receive_eof()


@pytest.mark.parametrize("secured", ["ws", "wss"])
async def test_it_speaks_with_another_library(secured: str, nursery: trio.Nursery) -> None:
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    tls = speaking_as(authority, "127.0.0.1") if secured == "wss" else None
    peer: Peer = await nursery.start(Peer([independent_echo], tls).serve)

    websocket = await connect(
        f"{secured}://127.0.0.1:{peer.port}/v1/stream?a=b",
        nursery=nursery,
        subprotocols=["headrace.v1"],
        headers=[("Authorization", "Bearer k")],
        tls=trusting,
    )
    heard = []
    for message in ("é", b"\x00" * 100_000, ""):
        await websocket.send(message)
        heard.append(await websocket.receive())
    await websocket.close(1000, "done")

    assert heard == ["é", b"\x00" * 100_000, ""]
    assert (websocket.subprotocol, websocket.closed_code) == ("headrace.v1", 1000)
    assert peer.requests == [b"Bearer k"]


async def test_our_two_ends_understand_each_other(nursery: trio.Nursery) -> None:
    heard: list[str | bytes] = []

    async def handler(websocket: WebSocket) -> None:
        heard.append(await websocket.receive())
        await websocket.close(4401, "unknown write key")

    client = await visit(nursery, handler)
    port = client.stream.socket.getpeername()[1]

    websocket = await connect(f"ws://127.0.0.1:{port}/", nursery=nursery)
    await websocket.send("hello")
    with pytest.raises(Closed) as caught:
        await websocket.receive()
    await websocket.close()

    assert heard == ["hello"]
    assert str(caught.value) == "closed with 4401: unknown write key"


def saying(reply: bytes) -> Script:
    async def script(line: Line) -> None:
        await line.request()
        await line.say(reply)

    return script


@pytest.mark.parametrize(
    ("reply", "status", "text"),
    [
        (b"HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nwrong key", 401, "the server answered 401"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "the server answered 200"),
        (b"", 0, "127.0.0.1 closed the connection during the handshake"),
        (b"HTTP/1.1 101 Ok\r\n\r\n", 0, "127.0.0.1 closed the connection during the handshake"),
        (b"220 mail.example ESMTP\r\n", 0, "127.0.0.1 closed the connection during the handshake"),
    ],
)
async def test_another_answer_than_101_is_a_refusal(
    reply: bytes, status: int, text: str, nursery: trio.Nursery
) -> None:
    peer: Peer = await nursery.start(Peer([saying(reply)]).serve)

    with pytest.raises(Refused) as caught:
        await connect(f"ws://127.0.0.1:{peer.port}/", nursery=nursery)

    assert (caught.value.status, str(caught.value)) == (status, text)
    assert caught.value.body == reply.partition(b"\r\n\r\n")[2]


async def test_no_answer_is_a_refusal_in_the_end(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    async def silent(line: Line) -> None:
        await trio.sleep_forever()

    peer: Peer = await nursery.start(Peer([silent]).serve)

    with pytest.raises(Refused) as caught:
        await connect(f"ws://127.0.0.1:{peer.port}/", nursery=nursery, bounds=Bounds(open=3))

    assert str(caught.value) == "127.0.0.1 did not answer in 3 s"


async def test_nobody_there_is_told(nursery: trio.Nursery) -> None:
    port = await dead_port()

    with pytest.raises(Refused) as caught:
        await connect(f"ws://127.0.0.1:{port}/", nursery=nursery)

    assert str(caught.value) == f"cannot connect to 127.0.0.1:{port} (127.0.0.1: Connection refused)"


async def test_a_scheme_that_is_not_websocket_is_told(nursery: trio.Nursery) -> None:
    with pytest.raises(Refused) as caught:
        await connect("http://127.0.0.1/", nursery=nursery)

    assert str(caught.value) == "the URL must start with ws:// or wss://, not http://"


async def test_a_server_that_goes_leaves_1006(nursery: trio.Nursery) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.receive()
        await websocket._drop()

    client = await visit(nursery, handler)
    websocket = await connect(f"ws://127.0.0.1:{client.stream.socket.getpeername()[1]}/", nursery=nursery)
    nursery.start_soon(hold, websocket._stream)

    await websocket.send("go")
    with pytest.raises(Closed) as caught:
        await websocket.receive()

    assert str(caught.value) == "closed with 1006"
