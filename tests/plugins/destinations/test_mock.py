from __future__ import annotations

import pytest
import trio

from engine.plugin import SettingsError, Verdict
from plugins.destinations.mock import Mock
from tests.support.deliveries import deliveries, delivery, made


async def attempts(mock, count):
    return [(await mock.send([delivery(number)]))[0] for number in range(1, count + 1)]


async def test_it_takes_everything_unless_told():
    mock = made(Mock)

    assert [item.verdict for item in await attempts(mock, 3)] == [Verdict.DELIVERED] * 3


async def test_statuses_go_round():
    items = await attempts(made(Mock, statuses=[200, 503, 400]), 4)

    assert [item.verdict for item in items] == [Verdict.DELIVERED, Verdict.RETRY, Verdict.ARCHIVE, Verdict.DELIVERED]
    assert [item.message for item in items] == ["", "status 503", "status 400", ""]
    assert items[2].reason == "rejected_400"


async def test_a_script_runs_once_and_its_last_step_stays():
    mock = made(Mock, script=[{"status": 503, "times": 2, "retry_after": 1.5}, {"status": 200}])

    items = await attempts(mock, 5)

    assert [item.verdict for item in items] == [Verdict.RETRY] * 2 + [Verdict.DELIVERED] * 3
    assert [item.retry_after for item in items] == [1.5, 1.5, None, None, None]


async def test_the_items_of_a_batch_may_fare_differently():
    mock = made(Mock, batch=5, script=[{"items": [200, 429]}])

    items = await mock.send(deliveries(3))

    assert [item.verdict for item in items] == [Verdict.DELIVERED, Verdict.RETRY, Verdict.DELIVERED]


@pytest.mark.parametrize(
    ("missing", "when_missing", "verdict", "reason"),
    [
        (True, "create", Verdict.RETRY, "status_503"),
        (True, "", Verdict.RETRY, "status_503"),
        (True, "update_only", Verdict.ARCHIVE, "object_missing"),
        (True, "skip", Verdict.DELIVERED, ""),
        (False, "update_only", Verdict.RETRY, "status_503"),
        (False, "skip", Verdict.RETRY, "status_503"),
    ],
)
async def test_an_object_that_is_missing_is_made_refused_or_skipped_as_the_event_type_says(
    missing, when_missing, verdict, reason
):
    mock = made(Mock, statuses=[503], objects_missing=missing)
    [item] = await mock.send([delivery(when_missing=when_missing)])

    assert (item.verdict, item.reason) == (verdict, reason)


async def test_a_reset_is_a_network_failure():
    mock = made(Mock, script=[{"reset": True}])

    with pytest.raises(ConnectionResetError, match=r"^reset by the mock's script$"):
        await mock.send(deliveries(1))


async def test_a_hang_ends_only_by_the_time_out(autojump_clock):
    mock = made(Mock, script=[{"hang": True}, {"status": 200}])

    with trio.move_on_after(3600.0) as scope:
        await mock.send(deliveries(1))

    assert scope.cancelled_caught
    assert (await mock.send(deliveries(1)))[0].verdict is Verdict.DELIVERED


async def test_answers_take_the_latency_and_a_step_s_own_instead(autojump_clock):
    mock = made(Mock, latency="1s", script=[{"status": 200}, {"status": 200, "latency": "250ms"}])
    start = trio.current_time()

    await attempts(mock, 1)
    after_one = trio.current_time()
    await attempts(mock, 1)

    assert after_one - start == pytest.approx(1.0)
    assert trio.current_time() - after_one == pytest.approx(0.25)


async def test_the_same_seed_gives_the_same_run(autojump_clock):
    async def seconds(seed):
        mock = made(Mock, latency="1s", jitter="1s", seed=seed)
        start = trio.current_time()
        await attempts(mock, 5)
        return pytest.approx(trio.current_time() - start)

    assert await seconds(7) == (await seconds(7)).expected
    assert await seconds(7) != (await seconds(8)).expected


async def test_it_remembers_the_last_attempts():
    mock = made(Mock, batch=2, script=[{"items": [200, 400]}, {"reset": True}, {"status": 200}])

    await mock.send(deliveries(2))
    with pytest.raises(ConnectionResetError):
        await mock.send(deliveries(1))
    await attempts(mock, 1)

    assert [(seen.answer, [each.position for each in seen.batch]) for seen in mock.seen] == [
        ("200,400", [1, 2]),
        ("reset", [1]),
        ("200", [1]),
    ]
    await attempts(mock, 1000)
    assert len(mock.seen) == 1000


def test_it_knows_objects_and_the_fields_of_a_purchase():
    fields = Mock.event_types["track_purchase"].fields

    assert Mock.knows_objects
    assert [name for name, field in fields.items() if field.required] == ["external_id", "price", "currency"]


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"statuses": [200], "script": [{}]}, "statuses: cannot be given beside script\n    keep one of them"),
        (
            {"script": [{}, {"hang": True, "reset": True}]},
            "script[1]: cannot both hang and reset\n    keep one of them",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(table, text):
    with pytest.raises(SettingsError) as caught:
        made(Mock, **table)

    assert str(caught.value) == text
