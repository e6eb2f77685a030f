from __future__ import annotations

import re
import ssl
from pathlib import Path

import httpx
import pytest
import trio
import trustme

from engine.errors import HeadraceError
from engine.runtime.http_server import Limits
from engine.runtime.tls import server_context
from tests.support.serving import Server


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def context(authority: trustme.CA, tmp_path: Path) -> ssl.SSLContext:
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    return server_context(tmp_path / "both.pem", tmp_path / "both.pem")


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return client


async def test_requests_come_over_tls_and_say_so(nursery, context, trusting) -> None:
    server = Server(nursery)
    await server.start(tls=context)
    async with httpx.AsyncClient(verify=trusting) as client:
        replies = [await client.post(f"https://127.0.0.1:{server.port}/", content=b"{}") for _ in range(2)]

    assert [reply.json() for reply in replies] == [{"got": 2}, {"got": 2}]
    assert [request.scheme for request in server.requests] == ["https", "https"]
    server.stop.set()


async def test_one_that_speaks_in_the_clear_is_let_go_and_harms_nobody(nursery, context, trusting) -> None:
    server = Server(nursery)
    await server.start(tls=context)
    stream = await server.visit()
    await stream.send_all(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
    while await stream.receive_some():
        pass
    async with httpx.AsyncClient(verify=trusting) as client:
        reply = await client.get(f"https://127.0.0.1:{server.port}/")

    assert (reply.status_code, server.crashes) == (200, [])
    server.stop.set()


async def test_a_handshake_that_never_ends_is_ended(nursery, context, autojump_clock) -> None:
    server = Server(nursery)
    await server.start(tls=context, limits=Limits(head_time=5.0))
    began = trio.current_time()
    stream = await server.visit()

    assert await stream.receive_some() == b""
    assert trio.current_time() - began == pytest.approx(5.0)
    server.stop.set()


def test_a_certificate_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(HeadraceError) as caught:
        server_context(tmp_path / "no.pem", tmp_path / "no.key")

    assert str(caught.value) == (
        f"cannot read {tmp_path}/no.pem: No such file or directory\n"
        "    see [receiver.tls]; paths are relative to config.toml"
    )


def test_what_is_no_certificate_is_told(tmp_path: Path) -> None:
    for name in ("cert", "key"):
        (tmp_path / name).write_text("hello")
    told = re.escape(f"{tmp_path}/cert and {tmp_path}/key are no certificate with its key: ")

    with pytest.raises(
        HeadraceError, match=rf"^{told}\w+\n    \[receiver\.tls\] cert takes the certificate and its chain"
    ):
        server_context(tmp_path / "cert", tmp_path / "key")
