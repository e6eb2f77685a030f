"""An engine of its own tells a webhook on a real socket what is wrong, once."""

from __future__ import annotations

from typing import Any

import msgspec
import trio

from engine.client import connect
from engine.messages import Reply
from engine.plugin import Secret
from engine.signing import Signer
from tests.support.engine import Running
from tests.support.peer import Line, Peer

ALERTS = """
[alerts]
url = "http://127.0.0.1:{port}/ops"
secret = "a-secret-of-ours"
allow_private = true
every = "50ms"
"""


class Ops:
    """Takes posts, and hands them to the test; the first of them is refused."""

    def __init__(self) -> None:
        self.peer = Peer(iter(lambda: self._take, None))
        self.refused = 0
        self._in, self._out = trio.open_memory_channel[bytes](100)

    async def _take(self, line: Line) -> None:
        request = await line.request()
        if not self.refused:
            self.refused += 1
            await line.say(b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n")
            return
        await line.say(b"HTTP/1.1 204 No Content\r\n\r\n")
        await self._in.send(request)

    async def told(self) -> tuple[dict[str, str], bytes]:
        with trio.fail_after(30):
            head, _, body = (await self._out.receive()).partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
        return {name.lower(): value for name, _, value in lines}, body


async def send(engine: Running, number: int) -> None:
    async with connect(engine.url, "key") as client:
        await client.track("u1", "Seen", {"n": number})
        await client.flush()


async def test_a_destination_that_refuses_us_is_told_by_a_signed_post_until_one_is_taken(nursery, engine_for, sink):
    ops = Ops()
    await nursery.start(ops.peer.serve)
    sink.judge = lambda _body: Reply(status=401)
    engine = engine_for(head=ALERTS.format(port=ops.peer.port))
    await engine.start()
    await send(engine, 1)
    headers, body = await ops.told()
    raised: dict[str, Any] = msgspec.json.decode(body)
    assert (raised["state"], raised["alert"], raised["subject"]) == ("raised", "destination_needs_attention", "crm")
    assert raised["text"].startswith("destination 'crm' needs attention: the destination refuses us (status 401)")
    assert Signer(Secret("a-secret-of-ours")).signed(headers.get, float(headers["webhook-timestamp"]), body)
    assert ops.refused == 1
