from __future__ import annotations

import pytest

from actors.receiver.origins import Origins


@pytest.mark.parametrize(
    ("allowed", "origin", "answer"),
    [
        ([], "https://any.example", True),
        ([], None, True),
        (["https://shop.example"], None, True),
        (["https://shop.example"], "https://shop.example", True),
        (["https://shop.example/"], "HTTPS://Shop.Example", True),
        (["https://shop.example"], "http://shop.example", False),
        (["https://shop.example"], "https://shop.example.evil.test", False),
        (["https://shop.example"], "https://shop.example:8443", False),
        (["https://shop.example"], "https://shopxexample", False),
        (["https://*.shop.example"], "https://www.shop.example", True),
        (["https://*.shop.example"], "https://a.b.shop.example", True),
        (["https://*.shop.example"], "https://shop.example", False),
        (["https://*.shop.example"], "https://evil.test/x.shop.example", False),
        (["https://*.shop.example"], "https://evil.test:1.shop.example", False),
        (["http://localhost:3000", "https://shop.example"], "http://localhost:3000", True),
        (["https://shop.example"], "null", False),
    ],
)
def test_a_page_may_send_if_its_origin_is_listed(allowed: list[str], origin: str | None, answer: bool) -> None:  # noqa: FBT001
    assert Origins(allowed).allow(origin) is answer
