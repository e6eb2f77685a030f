from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.support.engine import Running
from tests.support.sink import Sink

SYNC = """
[destinations.crm]
type = "webhook"
url = "http://127.0.0.1:{port}/in"
allow_private = true
{more}
[syncs.orders]
source = "shop"
destination = "crm"
{sync}
[[syncs.orders.event_types]]
mapping = {{ n = "properties.n" }}
"""


@pytest.fixture
async def sink(nursery: trio.Nursery) -> Sink:
    """Return a destination that listens."""
    made = Sink()
    await nursery.start(made.run)
    return made


@pytest.fixture
def engine_for(tmp_path: Path, sink: Sink):
    """Return what makes an engine that delivers to the sink; it is gone when the test is."""
    made: list[Running] = []

    def make(more: str = "", *, head: str = "", sync: str = "", **options: str) -> Running:
        folder = tmp_path / f"engine{len(made)}"
        folder.mkdir()
        made.append(Running(folder, head + SYNC.format(port=sink.port, more=more, sync=sync), **options))
        return made[-1]

    yield make
    for engine in made:
        engine.kill()
