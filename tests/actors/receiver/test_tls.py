from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import msgspec
import trio
import trustme

from engine.runtime.tls import server_context
from engine.runtime.websocket import connect
from engine.store.memory import MemoryStore
from engine.store.room import Room
from engine.wire import SUBPROTOCOL
from tests.support.doors import track
from tests.support.frames import hold
from tests.support.standing import Standing, acked, said


async def test_with_a_certificate_both_ways_in_speak_tls(nursery: trio.Nursery, tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    store = MemoryStore(Room(0, 0, lambda: 1 << 40))
    async with Standing(store, tls=server_context(tmp_path / "both.pem", tmp_path / "both.pem")) as running:
        async with httpx.AsyncClient(verify=trusting) as http:
            reply = await http.post(f"{running.url}/v1/t?writeKey=shop-key", json=track(1))
            settings = await http.get(f"{running.url}/v1/projects/shop-key/settings")
        socket = await connect(
            f"wss://{running.address}/v1/stream?writeKey=shop-key",
            nursery=nursery, subprotocols=[SUBPROTOCOL], tls=trusting,
        )  # fmt: skip
        nursery.start_soon(hold, socket._stream)
        await said(socket)
        await socket.send(msgspec.json.encode(track(2)).decode())
        assert await acked(socket, 1) == []

    assert reply.json() == {"success": True, "accepted": 1}
    assert settings.json()["integrations"]["Segment.io"]["protocol"] == "https"
    assert store.last == 2
