from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.lang.dates import iso, parse_time, to_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-01T00:00:00.500000", 0.5),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1970-01-01", 0.0),
        (" 1970-01-02T00:00:00Z ", 86400.0),
        ("2026-11-23T02:46:10.677473+00:00", 1795401970.677473),
        ("0001-01-01T00:00:00+23:59", -62135683140.0),
        ("yesterday", None),
        ("", None),
        ("1763865970", None),
    ],
)
def test_a_time_is_read_as_utc(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1763865970, 1763865970.0),
        (1763865970177, 1763865970.177),
        (-1, -1.0),
        ("-1763865970", -1763865970.0),
        ("20261123", 1795392000.0),
        (float("nan"), None),
        (1e20, None),
        (True, None),
        ([], None),
        (None, None),
    ],
)
def test_numbers_are_seconds_or_milliseconds(value, seconds):
    assert to_seconds(value) == seconds


@given(st.integers(min_value=-62_135_596_800_000, max_value=253_402_300_799_999))
def test_what_is_written_is_read_back_to_the_millisecond(milliseconds):
    text = iso(milliseconds / 1000)
    seconds = parse_time(text)

    assert seconds is not None
    assert round(seconds * 1000) == milliseconds
    assert len(text) == len("2026-11-23T02:46:10.177Z")
