from __future__ import annotations

import pytest

from engine.runtime.forwarded import Proxies
from engine.runtime.http_message import Request


def request(peer: str, *headers: tuple[str, str]) -> Request:
    return Request(method="POST", path="/v1/t", query="", headers=headers, peer=peer)


@pytest.mark.parametrize(
    ("peer", "headers", "client", "scheme"),
    [
        ("10.0.0.1", [], "10.0.0.1", "http"),
        ("10.0.0.1", [("x-forwarded-for", "192.0.2.7")], "192.0.2.7", "http"),
        ("192.0.2.9", [("x-forwarded-for", "192.0.2.7")], "192.0.2.9", "http"),
        ("10.0.0.1", [("x-forwarded-for", "1.2.3.4, 192.0.2.7, 10.0.0.2")], "192.0.2.7", "http"),
        ("10.0.0.1", [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "192.0.2.7")], "192.0.2.7", "http"),
        ("10.0.0.1", [("x-forwarded-for", "10.0.0.3, 10.0.0.2")], "10.0.0.3", "http"),
        ("10.0.0.1", [("x-forwarded-for", "192.0.2.7, <script>, 10.0.0.2")], "10.0.0.2", "http"),
        ("10.0.0.1", [("x-forwarded-for", "192.0.2.7:4711"), ("x-forwarded-proto", "https")], "192.0.2.7", "https"),
        ("10.0.0.1", [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "gopher")], "192.0.2.7", "http"),
        ("10.0.0.1", [("forwarded", 'for="[2001:db8::7]:4711";proto=https;by=10.0.0.1')], "2001:db8::7", "https"),
        ("10.0.0.1", [("forwarded", "For=192.0.2.7, for=10.0.0.2")], "192.0.2.7", "http"),
        ("10.0.0.1", [("forwarded", "for=unknown;proto=https")], "10.0.0.1", "https"),
        ("10.0.0.1", [("forwarded", "for=192.0.2.7"), ("x-forwarded-for", "192.0.2.8")], "192.0.2.7", "http"),
        ("::ffff:10.0.0.1", [("x-forwarded-for", "192.0.2.7")], "192.0.2.7", "http"),
        ("", [("x-forwarded-for", "192.0.2.7")], "", "http"),
    ],
    ids=[
        "nothing said", "one hop", "nobody trusted", "what a client wrote first", "two headers", "proxies only",
        "no address", "scheme", "no scheme", "RFC 7239", "two hops of RFC 7239", "unknown", "both", "mapped",
        "no socket",
    ],
)  # fmt: skip
def test_a_request_is_from_the_last_that_no_trusted_proxy_has(peer, headers, client, scheme) -> None:
    seen = Proxies(["10.0.0.0/8"]).seen(request(peer, *headers))

    assert (seen.peer, seen.scheme) == (client, scheme)
