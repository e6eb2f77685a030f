from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.lang.pacing import asked_wait, spent_wait

HOUR = 3600.0
NOW = 1795401970.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"content-type": "application/json"}, 0.0),
        # a field for each number: drafts up to 06, and Klaviyo
        ({"ratelimit-limit": "10", "ratelimit-remaining": "0", "ratelimit-reset": "7"}, 7.0),
        ({"ratelimit-remaining": "1", "ratelimit-reset": "7"}, 0.0),
        ({"ratelimit-remaining": "0"}, 0.0),
        # all in one: draft 07
        ({"ratelimit": "limit=100, remaining=0, reset=50"}, 50.0),
        ({"ratelimit": "limit=100, remaining=3, reset=50"}, 0.0),
        # quotas by name: from draft 08 on
        ({"ratelimit": '"default";r=0;t=30'}, 30.0),
        ({"ratelimit": '"default";r=50;t=30'}, 0.0),
        ({"ratelimit": '"burst";r=0;t=2, "daily";r=7;t=5000, "hourly";r=0;t=90'}, 90.0),
        ({"ratelimit": '"burst";r=0', "ratelimit-policy": '"daily";q=900;w=86400, "burst";q=9;w=60'}, 60.0),
        ({"ratelimit": '"burst";r=0', "ratelimit-policy": '"daily";q=900;w=86400'}, 0.0),
        # nobody's: seconds, a moment, or a moment in milliseconds
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "12"}, 12.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 30)}, 30.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) * 1000 + 4500)}, 4.5),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) - 30)}, 0.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1.5", "x-ratelimit-reset-after": "0.25"}, 0.25),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "3"}, 3.0),
        # the longest wait of all counts, and an hour at most
        ({"ratelimit": '"a";r=0;t=5', "x-ratelimit-remaining": "0", "x-ratelimit-reset": "9"}, 9.0),
        ({"ratelimit": '"daily";r=0;t=80000'}, HOUR),
        # what nobody can read asks for nothing
        ({"ratelimit": "none"}, 0.0),
        ({"ratelimit-remaining": "zero", "ratelimit-reset": "7"}, 0.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "soon"}, 0.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "-7"}, 0.0),
    ],
)
def test_a_quota_that_is_used_up_says_when_it_is_filled_again(headers, seconds):
    assert spent_wait(headers.items(), NOW) == seconds


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry-after": "30"}, 30.0),
        (503, {"retry-after": "30"}, 30.0),
        (429, {"retry-after": "Mon, 23 Nov 2026 02:46:20 GMT"}, 10.0),
        (429, {"retry-after": "30", "ratelimit-remaining": "0", "ratelimit-reset": "7"}, 30.0),
        (429, {"ratelimit-remaining": "0", "ratelimit-reset": "7"}, 7.0),
        (429, {}, 0.0),
        (429, {"retry-after": "soon"}, 0.0),
        (500, {"retry-after": "30"}, 0.0),
        (301, {"retry-after": "30"}, 0.0),
        (200, {"ratelimit-remaining": "0", "ratelimit-reset": "7"}, 0.0),
    ],
)
def test_who_refuses_may_ask_to_be_left_alone(status, headers, seconds):
    assert asked_wait(status, tuple(headers.items()), NOW) == seconds


@given(st.sampled_from(["ratelimit", "ratelimit-policy", "ratelimit-reset", "x-ratelimit-reset"]), st.text(max_size=60))
def test_what_nobody_can_read_never_raises(name, value):
    for rest in (value, f'"a";r=0;t={value}', f"remaining=0, reset={value}"):
        headers = (("x-ratelimit-remaining", "0"), ("ratelimit-remaining", "0"), ("ratelimit", rest), (name, value))

        assert 0.0 <= spent_wait(headers, NOW) <= HOUR


def test_quotas_may_come_in_several_lines() -> None:
    headers = [("ratelimit", '"burst";r=0'), ("ratelimit", '"daily";r=7;t=5000'), ("ratelimit-policy", '"daily";w=1')]

    assert spent_wait([*headers, ("ratelimit-policy", '"burst";q=9;w=60')], NOW) == 60.0
