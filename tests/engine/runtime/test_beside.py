from __future__ import annotations

import pytest
import trio
import trio.testing

from engine.runtime.beside import Beside


async def test_a_task_ends_with_the_block() -> None:
    ended = trio.Event()

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with Beside() as nursery:
        nursery.start_soon(task)
        await trio.testing.wait_all_tasks_blocked()

    assert ended.is_set()


async def test_an_error_of_a_task_cancels_the_block_and_leaves_bare() -> None:
    async def task() -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError("no")

    with pytest.raises(ValueError, match=r"^no$"):
        async with Beside() as nursery:
            nursery.start_soon(task)
            await trio.sleep_forever()


async def test_an_error_of_the_block_leaves_bare() -> None:
    with pytest.raises(KeyError):
        async with Beside() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise KeyError("x")


async def test_two_errors_leave_together() -> None:
    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("task")

    with pytest.raises(ExceptionGroup) as caught:
        async with Beside() as nursery:
            nursery.start_soon(task)
            await trio.testing.wait_all_tasks_blocked()
            raise KeyError("block")

    assert {type(error) for error in caught.value.exceptions} == {ValueError, KeyError}


async def test_a_cancelled_block_stays_cancelled() -> None:
    with trio.move_on_after(0) as scope:
        async with Beside() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()

    assert scope.cancelled_caught


async def test_an_error_that_meets_a_cancelled_scope_leaves_bare_all_the_same() -> None:
    async def fails(scope: trio.CancelScope) -> None:
        try:
            await trio.sleep_forever()
        finally:
            scope.cancel()
            raise ValueError("no")

    with pytest.raises(ValueError, match=r"^no$"):
        async with Beside() as outer:
            outer.start_soon(trio.sleep_forever)
            with trio.CancelScope() as scope:
                async with Beside() as nursery:
                    nursery.start_soon(fails, scope)
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()
                    await trio.sleep_forever()
