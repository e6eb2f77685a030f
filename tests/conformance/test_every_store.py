from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.store.opening import open_store
from tests.conformance.store import *  # noqa: F403 - the suite
from tests.support.stores import Disk, OpenedStore


@pytest.fixture(params=["memory", "sqlite"])
async def opened_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenedStore]:
    disk = Disk()
    opened = OpenedStore(lambda: open_store(request.param, tmp_path, reserve=1000, free=lambda: disk.free), disk)
    await opened.open()
    yield opened
    await opened.store.aclose()
