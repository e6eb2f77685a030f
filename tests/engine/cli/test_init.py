from __future__ import annotations

import getpass
import io
import stat
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from engine.store.opening import open_store
from tests.support.stores import event

URL = "url=http://127.0.0.1:1/in"


class Typed(io.StringIO):
    """A terminal on which these lines are typed."""

    def isatty(self) -> bool:
        return True


def made(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "config.toml").read_text())


def test_options_alone_make_a_configuration_that_checks(headrace: Callable[..., Any], tmp_path: Path) -> None:
    said = headrace("init", "--source", "shop", "--destination", "crm", "--type", "webhook", "--set", URL, "--yes")

    assert (said.code, said.err) == (0, "")
    config = made(tmp_path)
    key = config["sources"]["shop"]["write_keys"][0]
    assert config == {
        "sources": {"shop": {"write_keys": [key]}},
        "destinations": {"crm": {"type": "webhook", "url": "http://127.0.0.1:1/in", "allow_private": True}},
        "syncs": {
            "shop-crm": {
                "source": "shop",
                "destination": "crm",
                "event_types": [{"type": "custom", "mapping": {"event": "event", "user": "userId", "at": "timestamp"}}],
            }
        },
    }
    assert "preview, with a sample event:\n" in said.out
    assert "connection to crm: cannot connect to 127.0.0.1:1 (127.0.0.1: Connection refused)\n" in said.out
    assert said.out.endswith(
        f"the write key of 'shop' is {key}\n"
        "next: headrace run -c config.toml; then, in another terminal:\n"
        f"    curl -u {key}: http://127.0.0.1:8321/v1/track "
        '-d \'{"event": "Order Completed", "userId": "u1"}\'\n'
    )
    assert headrace("check").code == 0


def test_what_is_missing_is_named_all_at_once(headrace: Callable[..., Any], tmp_path: Path) -> None:
    said = headrace("init", "--source", "my shop", "--type", "webhook")

    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "source: 'my shop' is no name: letters, digits, - and _\n"
        "url: Where to; http or https, without a user or password in it.\n"
        "    say it with: --set url=VALUE\n"
        "sync: 'my shop-crm' is no name: letters, digits, - and _\n"
    )
    assert not (tmp_path / "config.toml").exists()


@pytest.mark.parametrize(
    ("argv", "err"),
    [
        (["--type", "webhok"], "type: there is no 'webhok'; did you mean 'webhook'?\n"),
        (["--set", "url"], "--set url: write KEY=VALUE, for example url=https://crm.example/in\n"),
    ],
)
def test_what_cannot_be_is_refused(headrace: Callable[..., Any], argv: list[str], err: str) -> None:
    said = headrace("init", "--yes", *argv)

    assert (said.code, said.out, said.err) == (1, "", err)


def test_settings_that_cannot_work_write_nothing(headrace: Callable[..., Any], tmp_path: Path) -> None:
    said = headrace("init", "--yes", "--set", "url=ftp://crm.example")

    assert said.code == 1
    assert said.err.startswith("this would be written, and cannot be run:\n\n# Headrace: one process")
    assert "crm: url: expected http:// or https://, got ftp:\n" in said.err
    assert not (tmp_path / "config.toml").exists()


def test_one_more_sync_leaves_what_is_there_as_it_is(headrace: Callable[..., Any], shop: Path, tmp_path: Path) -> None:
    before = "# ours\n" + shop.read_text() + "# the end\n"
    shop.write_text(before)
    shop.chmod(0o640)

    said = headrace("init", "--destination", "crm", "--sync", "pages", "--event", "page", "--event", 'A "B"', "--yes")

    assert (said.code, said.err) == (0, "")
    assert shop.read_text() == before + (
        '\n[syncs.pages]\nsource = "shop"\ndestination = "crm"\n'
        '[[syncs.pages.event_types]]\ntype = "custom"\nname = "page"\nfilter = \'type = "page"\'\n'
        '[syncs.pages.event_types.mapping]\nevent = "event"\nuser = "userId"\nat = "timestamp"\n'
        '[[syncs.pages.event_types]]\ntype = "custom"\nname = "a_b"\nfilter = \'event = "A \\"B\\""\'\n'
        '[syncs.pages.event_types.mapping]\nevent = "event"\nuser = "userId"\nat = "timestamp"\n'
    )
    assert stat.S_IMODE(shop.stat().st_mode) == 0o640
    assert headrace("init", "--sync", "pages", "--yes").err == (
        "there is a sync 'pages' already\n    give this one another name\n"
    )


def test_recorded_events_propose_event_types_and_mappings(
    headrace: Callable[..., Any], shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [
        {"type": "track", "event": "Order Completed", "userId": "u", "properties": {"total": 5, "coupon": "X"}},
        {"type": "track", "event": "Order Completed", "userId": "u", "properties": {"total": 7}},
        {"type": "page", "userId": "u"},
    ]

    async def fill() -> None:
        store = await open_store("sqlite", tmp_path / "data")
        done = trio.Event()
        events = [event(at, at=time.time(), raw=msgspec.json.encode(body)) for at, body in enumerate(bodies, 1)]
        store.append(events, lambda _: done.set())
        await done.wait()
        await store.aclose()

    trio.run(fill)
    # source, destination, sync, which events, write it?
    monkeypatch.setattr(sys, "stdin", Typed("\n\nmore\n1\ny\n"))
    said = headrace("init")

    assert said.code == 0
    assert "  1  Order Completed (2)\n  2  page (1)\n" in said.err
    assert made(tmp_path)["syncs"]["more"]["event_types"] == [
        {
            "type": "custom",
            "name": "order_completed",
            "filter": 'event = "Order Completed"',
            "mapping": {
                "event": "event",
                "user": "userId",
                "at": "timestamp",
                "total": "properties.total",
                "coupon": "properties.coupon",
            },
        }
    ]


def test_a_secret_that_is_typed_goes_to_a_file_of_its_own(
    headrace: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["t0ken", "env:SIGNING"])
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: next(answers))
    monkeypatch.setattr(sys, "stdin", Typed("shop\ncrm\nwebhook\nhttp://localhost:1/in\n\n\ny\n"))

    said = headrace("init")

    file = tmp_path / "secrets" / "crm-bearer"
    assert said.code == 0
    assert made(tmp_path)["destinations"]["crm"]["bearer"] == "file:secrets/crm-bearer"
    assert made(tmp_path)["destinations"]["crm"]["secret"] == "env:SIGNING"
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("t0ken", 0o600)
    assert "t0ken" not in said.out + said.err + (tmp_path / "config.toml").read_text()


def test_who_says_no_has_nothing_written(
    headrace: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Typed("\n\n\n\nn\n"))

    said = headrace("init", "--type", "log")

    assert (said.code, list(tmp_path.iterdir())) == (1, [])
    assert said.err.endswith("nothing was written\n")
