from __future__ import annotations

import json
import socket

import pytest
import trio

from engine.store.opening import open_store
from tests.support.stores import Disk, OpenedStore

PORTS = '[receiver]\nlisten = "127.0.0.1:{0}"\n[console]\nlisten = "127.0.0.1:{1}"\n'


@pytest.fixture
def well(shop, monkeypatch):
    """Return the configuration of a shop with what it needs, on ports that nobody has."""
    monkeypatch.setenv("SHOP_KEY", "key")
    monkeypatch.setenv("CRM_TOKEN", "token")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = PORTS.format(one.getsockname()[1], other.getsockname()[1])
    shop.write_text(ports + shop.read_text())
    return shop


async def _filled(folder) -> None:
    one = OpenedStore(lambda: open_store("sqlite", folder), Disk())
    await one.open()
    await one.fill(2000)
    await one.store.aclose()


def verdicts(said) -> dict[str, list[str]]:
    """Return the verdicts of each thing that was looked at."""
    found: dict[str, list[str]] = {}
    for one in json.loads(said.out):
        found.setdefault(one["what"], []).append(one["verdict"])
    return found


def test_a_healthy_folder_is_told_to_be_so(headrace, well, tmp_path):
    trio.run(_filled, tmp_path / "data")

    said = headrace("doctor")

    assert (said.code, said.err) == (0, "")
    assert "ok    store        data/headrace.db is whole, page by page\n" in said.out
    assert "bad" not in said.out
    assert headrace("doctor", "--deep").code == 0


def test_before_the_first_run_nothing_is_bad(headrace, well):
    assert headrace("doctor").code == 0


def test_a_configuration_that_cannot_run_is_all_it_tells(headrace, shop, monkeypatch):
    monkeypatch.delenv("SHOP_KEY", raising=False)
    monkeypatch.setenv("CRM_TOKEN", "token")

    said = headrace("doctor")

    assert said.code == 1
    assert [line for line in said.out.splitlines() if not line.startswith("ok")] == [
        "bad  config    config.toml:3: sources.shop.write_keys[0]: SHOP_KEY is not set",
        "      export SHOP_KEY=…",
    ]


def test_damage_is_found(headrace, well, tmp_path):
    trio.run(_filled, tmp_path / "data")
    file = tmp_path / "data" / "headrace.db"
    content = bytearray(file.read_bytes())
    middle = len(content) // 2 // 8192 * 8192
    content[middle : middle + 200] = b"\xa5" * 200
    file.write_bytes(content)

    said = headrace("doctor", "--json")

    assert said.code == 1
    assert "bad" in verdicts(said)["store"]


def test_a_port_that_somebody_has_is_told(headrace, well):
    port = int(well.read_text().split('"')[1].rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        said = headrace("doctor", "--json")

    assert said.code == 1
    assert verdicts(said)["ports"] == ["bad", "ok"]


def test_a_secret_that_others_may_read_is_told(headrace, well, tmp_path):
    (tmp_path / "token").write_text("t")
    (tmp_path / "token").chmod(0o644)
    well.write_text(well.read_text().replace("env:CRM_TOKEN", "file:token"))

    said = headrace("doctor", "--json")

    assert said.code == 1
    assert verdicts(said)["permissions"] == ["bad"]
