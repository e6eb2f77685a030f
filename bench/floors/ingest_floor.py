"""The floor under ingest: stock trio-websocket and a bare h11 loop, each event decoded, nothing durable.

The argument says which: ``http`` or ``ws``. Prints ``port N``.
"""

from __future__ import annotations

import sys

import h11
import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

decode = msgspec.json.Decoder().decode


async def stream(request: WebSocketRequest) -> None:
    """Read one connection: decode each frame, acknowledge it."""
    connection = await request.accept(subprotocol="headrace.v1")
    count = 0
    try:
        await connection.send_message('{"type":"ready","source":"floor"}')
        while True:
            frame = decode(await connection.get_message())
            count += len(frame["batch"]) if "batch" in frame else 1
            await connection.send_message(f'{{"type":"ack","upto":{count}}}')
    except ConnectionClosed:
        return


async def posts(client: trio.SocketStream) -> None:
    """Answer one connection: decode each body, say that it was accepted."""
    connection = h11.Connection(our_role=h11.SERVER)
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await client.receive_some(65536)
            if not data:
                return
            connection.receive_data(bytes(data))
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            said = msgspec.json.encode({"success": True, "accepted": len(decode(body)["batch"])})
            body = b""
            head = h11.Response(status_code=200, headers=[("content-length", str(len(said)))])
            out = [connection.send(part) for part in (head, h11.Data(data=said), h11.EndOfMessage())]
            await client.send_all(b"".join(part for part in out if part))
            connection.start_next_cycle()


async def main(which: str) -> None:
    """Serve until killed."""
    async with trio.open_nursery() as nursery:
        if which == "ws":
            server = await nursery.start(serve_websocket, stream, "127.0.0.1", 0, None)
            port = server.port
        else:
            listeners = await nursery.start(trio.serve_tcp, posts, 0)
            port = listeners[0].socket.getsockname()[1]
        print(f"port {port}", flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
