from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.lang.retry import RetryPolicy, Rules, Tried, Verdict, classify, exhausted, retry_after

HOUR = 3600.0
NOW = 1795401970.0


@pytest.mark.parametrize(
    ("status", "error", "verdict", "reason"),
    [
        (None, "ConnectError: refused", Verdict.RETRY, "network"),
        (None, "ReadTimeout: 10 s", Verdict.RETRY, "timeout"),
        (None, "ConnectError: ReadTimeout", Verdict.RETRY, "network"),
        (None, None, Verdict.RETRY, "network"),
        (200, None, Verdict.DELIVERED, ""),
        (204, None, Verdict.DELIVERED, ""),
        (299, None, Verdict.DELIVERED, ""),
        (301, None, Verdict.ARCHIVE, "rejected_301"),
        (400, None, Verdict.ARCHIVE, "rejected_400"),
        (401, None, Verdict.PAUSE, "rejected_401"),
        (403, None, Verdict.PAUSE, "rejected_403"),
        (404, None, Verdict.ARCHIVE, "rejected_404"),
        (408, None, Verdict.RETRY, "status_408"),
        (413, None, Verdict.SPLIT, "rejected_413"),
        (422, None, Verdict.ARCHIVE, "rejected_422"),
        (423, None, Verdict.RETRY, "status_423"),
        (425, None, Verdict.RETRY, "status_425"),
        (429, None, Verdict.RETRY, "status_429"),
        (500, None, Verdict.RETRY, "status_500"),
        (501, None, Verdict.ARCHIVE, "rejected_501"),
        (503, None, Verdict.RETRY, "status_503"),
        (505, None, Verdict.ARCHIVE, "rejected_505"),
        (599, None, Verdict.RETRY, "status_599"),
    ],
)
def test_every_status_has_one_verdict(status, error, verdict, reason):
    assert classify(status, error) == (verdict, reason)


@pytest.mark.parametrize(
    ("status", "verdict", "reason"),
    [
        (409, Verdict.RETRY, "status_409"),
        (501, Verdict.RETRY, "status_501"),
        (403, Verdict.ARCHIVE, "rejected_403"),
        (500, Verdict.ARCHIVE, "rejected_500"),
        (413, Verdict.ARCHIVE, "rejected_413"),
        (407, Verdict.PAUSE, "rejected_407"),
        (401, Verdict.PAUSE, "rejected_401"),
        (404, Verdict.ARCHIVE, "rejected_404"),
        (502, Verdict.RETRY, "status_502"),
        (200, Verdict.DELIVERED, ""),
        (None, Verdict.RETRY, "network"),
    ],
)
def test_a_destination_may_mean_a_status_otherwise(status, verdict, reason):
    rules = Rules(retry=frozenset({409, 501}), archive=frozenset({403, 413, 500}), pause=frozenset({407}))

    assert classify(status, None, rules) == (verdict, reason)


@pytest.mark.parametrize(
    ("attempt", "roll", "seconds"),
    [(1, 0.0, 0.0), (1, 0.5, 2.5), (2, 0.5, 5.0), (3, 0.5, 10.0), (7, 0.5, 150.0), (10_000, 0.5, 150.0)],
)
def test_the_wait_doubles_up_to_the_cap(attempt, roll, seconds):
    assert RetryPolicy().delay(attempt, roll) == seconds


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_never_longer_than_the_cap(attempt, roll):
    assert 0.0 <= RetryPolicy().delay(attempt, roll) <= RetryPolicy().cap


@pytest.mark.parametrize(
    ("attempts", "since_first", "excused", "age", "reason"),
    [
        (1, 0.0, 0.0, 0.0, ""),
        (50, 3.9 * HOUR, 0.0, 4 * HOUR, ""),
        (3, 4 * HOUR, 0.0, 4 * HOUR, "retries_exhausted"),
        (2, 4 * HOUR, 0.0, 4 * HOUR, ""),
        (2, 40 * HOUR, 0.0, 40 * HOUR, ""),
        (50, 5 * HOUR, 2 * HOUR, 5 * HOUR, ""),
        (50, 6 * HOUR, 2 * HOUR, 6 * HOUR, "retries_exhausted"),
        (1, 1.0, 0.0, 72 * HOUR, ""),
        (1, 1.0, 0.0, 72 * HOUR + 1, "too_old"),
        (50, 73 * HOUR, 73 * HOUR, 73 * HOUR, "too_old"),
    ],
)
def test_a_delivery_is_given_up_by_window_and_attempts_or_by_age(attempts, since_first, excused, age, reason):
    tried = Tried(attempts=attempts, first_at=NOW - since_first, excused=excused, received_at=NOW - age)

    assert exhausted(tried, RetryPolicy(), NOW) == reason


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("86400", HOUR),
        ("9" * 5000, HOUR),
        ("Mon, 23 Nov 2026 02:46:20 GMT", 10.0),
        ("Mon, 23 Nov 2026 02:46:20", 10.0),
        ("Mon, 23 Nov 2026 03:46:20 +0100", 10.0),
        ("Mon, 23 Nov 2026 02:00:00 GMT", 0.0),
        ("Mon, 23 Nov 2099 02:00:00 GMT", HOUR),
        ("Mon, 23 Nov 99999999999999999999 02:00:00 GMT", None),
        ("Mon, 99 Nov 2026 02:00:00 GMT", None),
        ("-1", None),
        ("1.5", 1.5),
        ("1.5.0", None),
        ("1,5", None),
        ("1e3", None),
        ("٣", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_an_hour(value, seconds):
    assert retry_after(value, NOW) == seconds


@given(st.text(alphabet="MonNov0123456789:,+- GT", max_size=40))
def test_an_unreadable_retry_after_never_raises(value):
    found = retry_after(value, NOW)

    assert found is None or 0.0 <= found <= HOUR
