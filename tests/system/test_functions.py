"""Functions that misbehave in one source delay nothing in another."""

from __future__ import annotations

import os
from pathlib import Path

import trio

from engine.client import connect
from tests.support.engine import Running
from tests.support.sink import Sink

CONFIG = """
functions = ["bad"]
[functions.bad]
file = "bad.py"
timeout = "300ms"
[sources.app]
write_keys = ["app-key"]
[destinations.crm]
type = "webhook"
url = "http://127.0.0.1:{port}/in"
allow_private = true
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
mapping = {{ n = "properties.n" }}
[syncs.others]
source = "app"
destination = "crm"
[[syncs.others.event_types]]
mapping = {{ n = "properties.n" }}
"""
FOREVER = "def transform_events(events):\n    while True: pass\n"
FINE = "def transform_events(events):\n    return events\n"


async def test_a_function_that_never_answers_delays_its_own_source_only_and_loses_nothing(
    tmp_path: Path, sink: Sink
) -> None:
    (tmp_path / "bad.py").write_text(FOREVER)
    engine = Running(tmp_path, CONFIG.format(port=sink.port))
    await engine.start()
    try:
        async with connect(engine.url, "key") as shop, connect(engine.url, "app-key") as app:
            for number in range(50):
                await shop.track("u1", "Seen", {"n": number}, messageId=f"s{number}")
                await app.track("u1", "Seen", {"n": 1000 + number}, messageId=f"a{number}")
            await shop.flush()
            await app.flush()
            with trio.fail_after(20):
                await sink.took(50)
            assert sink.taken == set(range(1000, 1050))
            status = await engine.status()
            [own] = [source for source in status.sources if source.name == "shop"]
            assert own.accepted == 50
            assert own.passed == 0
    finally:
        engine.kill()
    (tmp_path / "bad.py").write_text(FINE)
    try:
        await engine.start()
        status = await engine.settled()
        [own] = [source for source in status.sources if source.name == "shop"]
        assert own.passed + own.failed == 50
        assert len(sink.taken) == 50 + own.passed
    finally:
        engine.kill()


async def test_no_process_of_a_function_outlives_an_engine_that_is_killed(tmp_path: Path, sink: Sink) -> None:
    pipe = tmp_path / "pid"
    os.mkfifo(pipe)
    (tmp_path / "bad.py").write_text(
        "import os\ndef transform_events(events):\n    with open('pid', 'w') as pipe:\n"
        "        pipe.write(str(os.getpid()))\n    while True: pass\n"
    )
    engine = Running(tmp_path, CONFIG.format(port=sink.port).replace("300ms", "60s"))
    await engine.start()
    try:
        async with connect(engine.url, "key") as shop:
            await shop.track("u1", "Seen", {"n": 1})
            await shop.flush()
        watched = os.pidfd_open(int(await trio.to_thread.run_sync(pipe.read_text)))
    finally:
        engine.kill()
    with trio.fail_after(20):
        await trio.lowlevel.wait_readable(watched)
    os.close(watched)
