from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from engine.lang.keys import delivery_key


def test_a_key_is_the_same_in_every_process_and_version():
    assert delivery_key("shop", "m1", "orders", "purchase") == "7ceee423a01710d4929c8a06d83a2aea"


def test_every_part_makes_another_key():
    keys = [delivery_key(*parts) for parts in itertools.product("ab", repeat=4)]

    assert len(set(keys)) == 16
    assert all(len(key) == 32 and int(key, 16) >= 0 for key in keys)


NAMES = st.text("ab", max_size=2)
IDS = st.text("ab1\x1f", max_size=6)


@given(st.lists(st.tuples(NAMES, IDS, NAMES, NAMES), min_size=2, max_size=2, unique=True))
def test_no_message_id_can_look_like_another_delivery(parts):
    first, second = parts

    assert delivery_key(*first) != delivery_key(*second)


def test_a_lone_surrogate_is_no_reason_to_fail():
    assert len(delivery_key("shop", "\ud800", "orders", "purchase")) == 32
