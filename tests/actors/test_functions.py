"""Functions that misbehave, in processes of their own and in real time, which is kept short."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from actors import functions
from actors.functions import Runner
from engine.messages import Result
from engine.plan import SourcePlan
from engine.runtime.clock import SystemClock
from tests.support.plans import logged, plan_of

TEXT = """
[sources.shop]
write_keys = ["k"]
functions = ["f"]
[functions.f]
file = "f.{suffix}"
timeout = "{timeout}"
memory = "64 MiB"
"""

Ran = Callable[..., Any]


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source: SourcePlan
        self.runner: Runner

    def load(self, body: str, suffix: str = "py", timeout: str = "500ms") -> None:
        head = "import os\nseen = []\ndef transform_events(events):\n" if suffix == "py" else ""
        (self.folder / f"f.{suffix}").write_text(head + body)
        self.source = plan_of(TEXT.format(suffix=suffix, timeout=timeout), folder=self.folder).sources["shop"]
        self.runner = Runner(self.source, SystemClock())

    async def run(self, many: int, start: int = 1) -> list[Result]:
        batch = [
            (logged({}, position=at), {"messageId": f"m{at}", "type": "track", "n": at})
            for at in range(start, start + many)
        ]
        return await self.runner.run(batch)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.runner.kill()


def outcomes(results: list[Result]) -> str:
    return "".join({"passed": "+", "dropped": "-", "failed": "!"}[result.outcome] for result in results)


async def test_one_event_of_a_hundred_that_raises_fails_alone(bench: Bench) -> None:
    bench.load("    return [{**event, 'x': 1 / (event['n'] - 42)} for event in events]\n")

    results = await bench.run(100)

    assert outcomes(results) == "+" * 41 + "!" + "+" * 58
    assert results[41].error.endswith("ZeroDivisionError: division by zero")


async def test_one_event_that_ends_the_process_fails_alone(bench: Bench) -> None:
    bench.load("    return [os._exit(1) if event['n'] == 3 else event for event in events]\n", timeout="5s")

    results = await bench.run(5)

    assert outcomes(results) == "++!++"
    assert (results[2].reason, results[2].error) == ("function_died", "the function's process exited with 1")


async def test_one_event_that_never_ends_fails_alone_and_what_was_not_tried_goes_back(bench: Bench) -> None:
    bench.load("    for event in events:\n        while event['n'] % 2: pass\n    return events\n")

    results = await bench.run(60)

    assert 1 < len(results) < 60
    assert outcomes(results) == ("!+" * 30)[: len(results)]
    assert results[0].reason == "function_timeout"


async def test_garbage_fails_every_event_with_the_reason(bench: Bench) -> None:
    bench.load("    return events[0]\n")

    results = await bench.run(3)

    assert outcomes(results) == "!!!"
    assert results[0].error == "TypeError: a function returns a list of events, this one returned a dict"


async def test_a_function_that_does_not_answer_needs_attention_until_it_does(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions, "PROBE", 0.3)
    bench.load(f"    while not os.path.exists({str(bench.folder / 'up')!r}): pass\n    return events\n")
    for start in (1, 2, 3):
        assert outcomes(await bench.run(1, start)) == "!"
    assert bench.runner.attention == "no answer within 0.5 s"

    with trio.move_on_after(1.0) as scope:
        await bench.run(2, 4)
    assert scope.cancelled_caught
    (bench.folder / "up").touch()

    assert outcomes(await bench.run(2, 4)) == "++"
    assert bench.runner.attention == ""


async def test_an_event_that_waits_alone_does_not_block_its_source_for_ever(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions, "PROBE", 0.05)
    bench.load("    while events[0]['n'] < 5: pass\n    return events\n")
    for start in (1, 2, 3):
        await bench.run(1, start)
    assert bench.runner.attention

    assert outcomes(await bench.run(1, 4)) == "!"
    assert outcomes(await bench.run(2, 5)) == "++"
    assert bench.runner.attention == ""


async def test_a_function_that_cannot_be_loaded_lets_no_event_fail(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions, "PROBE", 0.1)
    bench.load("    return events\n1 / 0\n")

    with trio.move_on_after(1.0) as scope:
        await bench.run(2)

    assert scope.cancelled_caught
    assert bench.runner.attention == "f.py:5: ZeroDivisionError: division by zero"


async def test_javascript_runs_as_hightouch_s_users_write_it(bench: Bench) -> None:
    bench.load(
        """
        function transformEvents(events) {
            return events
                .filter((event) => event.n !== 2)
                .flatMap((event) => event.n === 3 ? [event, { ...event, type: "identify" }] : [event]);
        }
        """,
        "js",
    )

    results = await bench.run(3)

    assert outcomes(results) == "+-+"
    assert len(results[2].events) == 2
