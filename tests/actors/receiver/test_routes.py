from __future__ import annotations

from typing import ClassVar

import pytest

from actors.receiver.routes import Routes
from engine.plugin import Post, Submission


class Letters:
    routes: ClassVar[tuple[tuple[str, str], ...]] = (
        ("POST", "/letters"),
        ("GET", "/letters"),
        ("GET", "/letters/{name}/stamp"),
    )

    def decode(self, post: Post) -> Submission:
        return Submission(write_key=None, items=())


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/letters", {"POST", "GET"}),
        ("/letters/", {"POST", "GET"}),
        ("/letters/a%20b/stamp", {"GET"}),
        ("/letters/a/stamp/", {"GET"}),
        ("/letters//stamp", set()),
        ("/letters/a/b/stamp", set()),
        ("/letters/a", set()),
        ("/", set()),
        ("*", set()),
    ],
)
def test_a_path_has_the_methods_of_its_routes(path: str, methods: set[str]) -> None:
    assert set(Routes([Letters()]).at(path)) == methods
