"""Names to addresses, and which addresses a destination may reach (the SSRF guard)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import httpx
import trio

Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Turns a host and a port into IP addresses, the preferred one first; raises OSError if it cannot."""

_PRIVATE_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host, unspecified
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; clouds answer with credentials here
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_PRIVATE_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments; holds Teredo, which hides an IPv4 address
        "2001:db8::/32",
        "3fff::/20",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class PrivateAddress(httpx.ConnectError):
    """A host that resolves to nothing but addresses a destination may not reach."""


def is_private(address: str) -> bool:
    """Return whether *address* is anything but a public unicast address.

    IPv4-mapped, 6to4 and NAT64 addresses are judged by the IPv4 address they carry. The networks are those of IANA's
    special-purpose address registries; they are listed here because ``ipaddress.is_global`` differs between the patch
    releases of Python.

    Args:
        address: an IPv4 or IPv6 address in text form; a scope (``%eth0``) is ignored.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = _embedded(ip)
        if inner is None:
            return ip not in _GLOBAL_V6 or any(ip in network for network in _PRIVATE_V6)
        ip = inner
    return any(ip in network for network in _PRIVATE_V4)


def _embedded(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


class SystemResolver:
    """Asks the operating system, in its order of preference (RFC 6724), for one name at a time.

    A lookup cannot be stopped: one that nobody waits for any more keeps its thread until the system gives it up. So the
    next of the same resolver waits for that thread, instead of taking one after the other of those that all share: a
    name server that hangs must not hold up anybody else.
    """

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(1)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of *host*, each once; one that is written in digits takes no thread.

        Raises:
            OSError: the name does not exist, or no answer came.
        """
        try:
            found = _asked(host, port, socket.AI_NUMERICHOST)
        except socket.gaierror:
            found = await trio.to_thread.run_sync(_asked, host, port, abandon_on_cancel=True, limiter=self._limiter)
        return tuple(dict.fromkeys(found))


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Ask the operating system once; see `SystemResolver`.

    Raises:
        OSError: the name does not exist, or no answer came.
    """
    return await SystemResolver()(host, port)


def _asked(host: str, port: int, flags: int = 0) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [str(sockaddr[0]) for *_, sockaddr in found]


def permitted(host: str, addresses: Sequence[str], *, allow_private: bool) -> Sequence[str]:
    """Return those of *addresses* that may be connected to.

    Raises:
        PrivateAddress: none is left; the text says which host, what it resolved to, and which key permits it.
    """
    if allow_private:
        return addresses
    public = [address for address in addresses if not is_private(address)]
    if public:
        return public
    found = ", ".join(addresses)
    raise PrivateAddress(
        f"{host} resolves to {found}, which is not a public address\n"
        "    set allow_private = true on this destination if it is meant to reach it"
    )
