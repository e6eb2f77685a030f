from __future__ import annotations

import math
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from engine.config.toml_text import as_toml

SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.datetimes(),
    st.dates(),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_what_is_written_is_read_back(table):
    assert tomllib.loads(as_toml(table)) == table


def test_infinity_is_written_as_toml_has_it():
    assert as_toml({"a": math.inf, "b": -math.inf}) == "a = inf\nb = -inf\n"


def test_tables_follow_the_values_of_their_parent():
    assert as_toml({"b": {"c": {"d": 1}}, "a": None, "list": [{"x": {"y": 1}}], "z": [1, {"k": 2}]}) == (
        "z = [1, { k = 2 }]\n\n[b.c]\nd = 1\n\n[[list]]\n\n[list.x]\ny = 1\n"
    )
