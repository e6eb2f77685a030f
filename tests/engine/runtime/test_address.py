from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
import trio

from engine.runtime.address import PrivateAddress, SystemResolver, is_private, permitted, system_resolver

PUBLIC = [
    "93.184.216.34",
    "1.1.1.1",
    "172.32.0.1",
    "2606:4700::1111",
    "::ffff:1.1.1.1",
    "2002:101:101::1",
    "64:ff9b::1.1.1.1",
]
PRIVATE = {
    "loopback": ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1", "2002:7f00:1::1", "64:ff9b::7f00:1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fd00::1", "::ffff:10.0.0.1"],
    "link-local": ["169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe"],
    "carrier-grade NAT": ["100.64.0.1", "100.127.255.254"],
    "multicast": ["224.0.0.1", "239.1.1.1", "ff02::1", "ff0e::1"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "documentation and tests": ["192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "tunnels and the old": ["2001::1", "::127.0.0.1", "fec0::1", "64:ff9b:1::1", "240.0.0.1", "255.255.255.255"],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_reached(address: str) -> None:
    assert not is_private(address)


@pytest.mark.parametrize("address", [address for group in PRIVATE.values() for address in group])
def test_what_is_not_public_may_not_be_reached(address: str) -> None:
    assert is_private(address)


def test_only_the_public_addresses_of_a_name_are_used() -> None:
    assert permitted("crm.example", ["10.0.0.1", "1.1.1.1", "::1"], allow_private=False) == ["1.1.1.1"]


def test_a_name_that_leads_nowhere_public_says_where_it_leads() -> None:
    with pytest.raises(PrivateAddress) as caught:
        permitted("crm.example", ["10.0.0.1", "fd00::1"], allow_private=False)

    assert str(caught.value) == (
        "crm.example resolves to 10.0.0.1, fd00::1, which is not a public address\n"
        "    set allow_private = true on this destination if it is meant to reach it"
    )


def test_permission_lets_everything_through() -> None:
    assert permitted("crm.example", ["10.0.0.1"], allow_private=True) == ["10.0.0.1"]


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "017700000001"])
async def test_an_address_in_disguise_is_seen_as_what_it_is(host: str) -> None:
    assert await system_resolver(host, 80) == ("127.0.0.1",)


async def test_a_name_server_that_hangs_takes_one_thread_and_none_that_others_use(monkeypatch) -> None:
    hung, begun = threading.Event(), []

    def hang(host: str, *_port: Any, flags: int = 0, **_kind: Any) -> Any:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        begun.append(host)
        hung.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    resolve = SystemResolver()
    for _ in range(50):
        with trio.move_on_after(0.001):
            await resolve("crm.test", 80)

    assert begun == ["crm.test"]
    assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
    hung.set()
    with pytest.raises(socket.gaierror):
        await resolve("crm.test", 80)
