"""User code in processes of its own: real ones, so these tests take real time, which is kept short."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from engine.results import Hello
from engine.runtime.hand import Hand
from engine.runtime.hosted import Died, TimedOut, Unusable

PLUGIN = "plugins.functions.python:Python"


class Desk:
    """Makes hands for a function's text, and ends their processes."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "f.py"
        self.hands: list[Hand] = []

    def hand(self, body: str, *, memory: int = 64 << 20, **secrets: str) -> Hand:
        return self.hand_of(f"import os, sys\ndef transform_events(events):\n    {body}\n", memory, **secrets)

    def hand_of(self, text: str, memory: int = 64 << 20, **secrets: str) -> Hand:
        hello = Hello(plugin=PLUGIN, path=str(self.file), name="f.py", text=text, memory=memory, secrets=secrets)
        self.hands.append(Hand(hello))
        return self.hands[-1]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path)
    yield made
    for hand in made.hands:
        hand.kill()


async def asked(hand: Hand, *events: Any, seconds: float = 5.0) -> Any:
    said = await hand.call(msgspec.json.encode(events), seconds)
    assert said.error == ""
    return msgspec.json.decode(said.value)


async def test_a_function_answers_from_another_process(desk: Desk) -> None:
    hand = desk.hand("return [{'pid': os.getpid(), **event} for event in events]")

    first, second = await asked(hand, {"n": 1}), await asked(hand, {"n": 2})

    assert (first[0]["n"], second[0]["n"]) == (1, 2)
    assert first[0]["pid"] == second[0]["pid"] != os.getpid()


async def test_what_it_prints_comes_with_the_answer_and_its_secrets_are_all_it_sees(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_WRITE_KEY", "hidden")
    hand = desk.hand("print(SECRETS, os.environ.get('SHOP_WRITE_KEY')); return events", api="s3cret")

    said = await hand.call(b"[]", 5.0)

    assert said.printed == "{'api': 's3cret'} None\n"


async def test_what_it_raises_is_told_with_its_own_lines_only(desk: Desk) -> None:
    said = await desk.hand("return 1 / 0").call(b"[{}]", 5.0)

    assert said.error == (
        "Traceback (most recent call last):\n"
        f'  File "{desk.file}", line 3, in transform_events\n'
        "    return 1 / 0\n"
        "           ~~^~~\n"
        "ZeroDivisionError: division by zero"
    )


async def test_one_that_never_answers_is_ended_and_begun_anew(desk: Desk) -> None:
    hand = desk.hand("while events: pass\n    return [{'pid': os.getpid()}]")
    before = await asked(hand)

    with pytest.raises(TimedOut, match=r"^no answer within 0\.2 s$"):
        await asked(hand, {}, seconds=0.2)

    assert await asked(hand) != before


async def test_the_loop_turns_while_a_function_does_not_answer(desk: Desk) -> None:
    hand = desk.hand("while events: pass\n    return []")
    await asked(hand)
    turns = 0

    with trio.move_on_after(0.2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hand.call, b"[1]", 5.0)
            while True:
                await trio.sleep(0.001)
                turns += 1

    assert turns > 20


@pytest.mark.parametrize(
    ("body", "how"),
    [
        ("os._exit(3)", "the function's process exited with 3"),
        ("os.kill(os.getpid(), 9)", "the function's process was ended by signal 9"),
    ],
)
async def test_one_that_ends_its_process_is_told_and_begun_anew(desk: Desk, body: str, how: str) -> None:
    hand = desk.hand(f"{body} if events else 0\n    return []")

    with pytest.raises(Died) as caught:
        await asked(hand, {})

    assert str(caught.value) == how
    assert await asked(hand) == []


async def test_one_whose_process_ended_between_two_calls_is_begun_anew(desk: Desk) -> None:
    hand = desk.hand("return ['fine']")
    await asked(hand)
    assert hand._process
    hand._process.kill()
    await trio.to_thread.run_sync(hand._process.wait)

    assert await asked(hand) == ["fine"]


async def test_one_that_eats_memory_fails_alone(desk: Desk) -> None:
    hand = desk.hand("return [len('x' * (1 << 30))] if events else ['fine']")

    said = await hand.call(b"[{}]", 5.0)

    assert said.error.endswith("MemoryError")
    assert await asked(hand) == ["fine"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("return [{'a': object()}]", "TypeError: Encoding objects of type object is unsupported"),
        ("return ['x' * (1 << 20)] * 17", "ValueError: what came out is larger than 16,777,216 bytes"),
        ("sys.exit()", "RuntimeError: transform_events called exit(None): raise an exception to fail an event"),
    ],
)
async def test_garbage_fails_the_call_and_not_the_process(desk: Desk, body: str, error: str) -> None:
    said = await desk.hand(body, memory=512 << 20).call(b"[]", 5.0)

    assert said.error.rpartition("\n")[2] == error


async def test_a_text_that_cannot_be_loaded_says_why(desk: Desk) -> None:
    hand = desk.hand_of("x = 1 / 0\n")

    with pytest.raises(Unusable, match=r"^f\.py:1: ZeroDivisionError: division by zero$"):
        await asked(hand)


async def test_a_process_that_begins_anew_runs_the_text_it_was_given_whatever_the_file_says(desk: Desk) -> None:
    hand = desk.hand("return ['as it was']")
    desk.file.write_text("def transform_events(events):\n    return ['half")

    assert await asked(hand) == ["as it was"]
    hand.kill()
    assert await asked(hand) == ["as it was"]


async def test_its_process_ends_when_our_end_closes_even_in_a_loop(desk: Desk) -> None:
    hand = desk.hand("while events: pass\n    return []")
    await asked(hand)
    assert hand._process
    assert hand._stream
    await hand._stream.send_all(b"\0\0\0\3[1]")

    await hand._stream.aclose()

    with trio.fail_after(5):
        assert await trio.to_thread.run_sync(hand._process.wait) == 0
