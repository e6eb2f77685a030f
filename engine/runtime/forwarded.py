"""Who a request is really from, when it comes through a proxy that is trusted to say so."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import msgspec

from engine.runtime.http_message import Request

SCHEMES = frozenset({"http", "https"})


class Proxies:
    """The proxies that are believed; nobody else is, since anybody can write a header.

    Args:
        trusted: networks of the proxies, for example ``10.0.0.0/8``.
    """

    def __init__(self, trusted: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(each) for each in trusted]

    def seen(self, request: Request) -> Request:
        """Return *request* with the client's own address and scheme, if a trusted proxy passed it on.

        The address is the last in ``Forwarded`` (RFC 7239) or else ``X-Forwarded-For`` that no trusted proxy has:
        what stands before it was written by the client. One that is no address ends the search.
        """
        if not self._trusts(request.peer):
            return request
        hops = _forwarded(request) or _x_forwarded(request)
        peer, scheme = request.peer, request.scheme
        for address, said in reversed(hops):
            scheme = said or scheme
            if not address:
                break
            peer = address
            if not self._trusts(address):
                break
        return msgspec.structs.replace(request, peer=peer, scheme=scheme)

    def _trusts(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(ip, "ipv4_mapped", None)
        return any((mapped or ip) in network for network in self._networks)


def _forwarded(request: Request) -> list[tuple[str, str]]:
    """Return address and scheme of each hop in ``Forwarded``, the client's first; "" for what is not said."""
    hops = []
    for hop in _split(request, "forwarded"):
        said = {}
        for pair in hop.split(";"):
            name, _, value = pair.strip().partition("=")
            said[name.lower()] = value.strip('"')
        hops.append((_address(said.get("for", "")), _scheme(said.get("proto", ""))))
    return hops


def _x_forwarded(request: Request) -> list[tuple[str, str]]:
    """Return the same from ``X-Forwarded-For``; ``X-Forwarded-Proto`` is said of the last hop only."""
    hops = [(_address(hop), "") for hop in _split(request, "x-forwarded-for")]
    schemes = _split(request, "x-forwarded-proto")
    if schemes and hops:
        hops[-1] = (hops[-1][0], _scheme(schemes[-1]))
    return hops


def _split(request: Request, name: str) -> list[str]:
    whole = ",".join(value for key, value in request.headers if key == name)
    return [part.strip() for part in whole.split(",")] if whole else []


def _address(text: str) -> str:
    """Return the IP address in *text*, which may have brackets and a port, or "" if it is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _scheme(text: str) -> str:
    return text.lower() if text.lower() in SCHEMES else ""
