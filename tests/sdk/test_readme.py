"""The clients in the README, run as they stand there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.support.browser import Browser, Pages
from tests.support.engines import Engine
from tests.support.house import ROOT, blocks, page


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    (tmp_path / "engine").mkdir()
    running = Engine(tmp_path / "engine", "shop")
    yield running
    running.end()


def pointed(code: str, engine: Engine) -> str:
    """Return *code* with the address and the key of *engine*."""
    assert "127.0.0.1:8321" in code
    return code.replace("127.0.0.1:8321", f"127.0.0.1:{engine.port}").replace("my-write-key", "shop-key")


def test_the_python_client_delivers(engine: Engine, tmp_path: Path) -> None:
    (code,) = blocks(page("README.md"), "python")
    (tmp_path / "client.py").write_text(pointed(code, engine))
    environment = {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "client.py"], cwd=tmp_path, env=environment, check=True, timeout=30)

    assert [event["event"] for event in engine.accepted("shop")] == ["Order Completed"]


async def test_headrace_js_delivers(engine: Engine, tmp_path: Path, nursery: trio.Nursery) -> None:
    (code,) = blocks(page("README.md"), "html")
    (tmp_path / "shop.html").write_text(
        pointed(code, engine).replace("await headrace.flush();", "window.done = headrace.flush();")
    )
    (tmp_path / "profile").mkdir()
    pages: Pages = await nursery.start(Pages(pages=tmp_path).serve)
    async with Browser(tmp_path / "profile") as browser:
        await browser.show(f"{pages.origin}/pages/shop.html")
        await browser.run("window.done")

    assert [event["type"] for event in engine.accepted("shop")] == ["identify", "page", "track"]
