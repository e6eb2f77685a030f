"""The floor under trio: stock trio-websocket, one channel, one raw HTTP POST per event. No work, nothing durable.

What an engine on this stack could at best be. Speaks as much of the protocol as the generator needs: it acknowledges
what it has put in the channel. Arguments: the sink's port, and how many POSTs may be in flight. Prints ``port N``.
"""

from __future__ import annotations

import sys

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket


async def receive(request: WebSocketRequest, into: trio.MemorySendChannel[bytes]) -> None:
    """Read one connection: each frame into the channel, then its ack."""
    connection: WebSocketConnection = await request.accept(subprotocol="headrace.v1")
    count = 0
    try:
        await connection.send_message('{"type":"ready","source":"floor"}')
        while True:
            frame = await connection.get_message()
            await into.send(frame.encode() if isinstance(frame, str) else frame)
            count += 1
            await connection.send_message(f'{{"type":"ack","upto":{count}}}')
    except ConnectionClosed:
        return


async def post(port: int, from_: trio.MemoryReceiveChannel[bytes]) -> None:
    """Send each event as one request, over one kept connection."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    head = b"POST /in HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    async for body in from_:
        await stream.send_all(head % (port, len(body)) + body)
        reply = b""
        while not reply.endswith(b"{}"):
            reply += await stream.receive_some(4096)


async def main(sink: int, in_flight: int) -> None:
    """Serve until killed."""
    into, from_ = trio.open_memory_channel[bytes](1000)
    async with trio.open_nursery() as nursery:
        for _ in range(in_flight):
            nursery.start_soon(post, sink, from_.clone())
        server = await nursery.start(
            serve_websocket, lambda request: receive(request, into.clone()), "127.0.0.1", 0, None
        )
        print(f"port {server.port}", flush=True)


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), int(sys.argv[2]))
