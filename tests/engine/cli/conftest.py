from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from engine.cli import run
from tests.support.commands import HOUSE


class Said(NamedTuple):
    """What a command did: its exit code, and what it printed where."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    """Let no help text break where another machine would not."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def headrace(capsys, tmp_path, monkeypatch) -> Callable[..., Said]:
    """Return what runs a command in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)

    def call(*argv: str) -> Said:
        code = run(HOUSE, argv)
        return Said(code, *capsys.readouterr())

    return call


SHOP = """
[sources.shop]
write_keys = ["env:SHOP_KEY"]

[destinations.crm]
type = "webhook"
url = "https://crm.example/orders"
bearer = "env:CRM_TOKEN"

[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
name = "purchase"
filter = 'event = "Order Completed"'
[syncs.orders.event_types.mapping]
customer = "userId"
total = "{{ row['properties'].total | cast: 'number' }}"
[[syncs.orders.event_types]]
name = "other"
filter = 'type = "page" or type = "track"'
[syncs.orders.event_types.mapping]
customer = "userId"
"""


@pytest.fixture
def shop(tmp_path):
    """Return config.toml of a shop with one sync, in the folder the command runs in."""
    file = tmp_path / "config.toml"
    file.write_text(SHOP)
    return file
