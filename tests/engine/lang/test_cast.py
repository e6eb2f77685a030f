from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from engine.lang.cast import KINDS, CastError, cast, text_of


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("12.50", "number", 12.5),
        ("19.99", "number", 19.99),
        (" 12 ", "number", 12),
        ("-3", "number", -3),
        ("+3", "number", 3),
        (".5", "number", 0.5),
        ("1e3", "number", 1000.0),
        (7, "number", 7),
        (7.5, "number", 7.5),
        (True, "number", 1),
        ("12345678901234567890", "number", 12345678901234567890),
        ("12", "integer", 12),
        ("12.0", "integer", 12),
        (12.0, "integer", 12),
        (False, "integer", 0),
        (12.0, "string", "12"),
        (12.5, "string", "12.5"),
        (1e300, "string", "1e300"),
        (12, "string", "12"),
        (True, "string", "true"),
        ({"a": [1]}, "string", '{"a":[1]}'),
        ("é", "string", "é"),
        ("TRUE", "boolean", True),
        ("no", "boolean", False),
        (1, "boolean", True),
        (0.0, "boolean", False),
        (False, "boolean", False),
        ({"a": 1}, "object", {"a": 1}),
        ('{"a": 1}', "object", {"a": 1}),
        ([1], "array", [1]),
        ("[1, 2]", "array", [1, 2]),
        ("2026-11-23T02:46:10.177Z", "date", "2026-11-23T02:46:10.177Z"),
        ("2026-11-23T02:46:10+02:00", "date", "2026-11-23T00:46:10.000Z"),
        ("2026-11-23 02:46:10", "date", "2026-11-23T02:46:10.000Z"),
        ("2026-11-23", "date", "2026-11-23T00:00:00.000Z"),
        (0, "date", "1970-01-01T00:00:00.000Z"),
        (1763865970, "date", "2025-11-23T02:46:10.000Z"),
        (1763865970177, "date", "2025-11-23T02:46:10.177Z"),
        ("1763865970177", "date", "2025-11-23T02:46:10.177Z"),
        ("1763865970.5", "date", "2025-11-23T02:46:10.500Z"),
    ],
)
def test_a_value_becomes_what_was_asked_for(value, kind, expected):
    found = cast(value, kind)

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_null_and_missing_stay_as_they_are(kind):
    assert cast(None, kind) is None
    assert cast(UNSET, kind) is UNSET


@pytest.mark.parametrize(
    ("value", "kind", "error"),
    [
        ("abc", "number", 'cannot cast "abc" to a number'),
        ("", "number", 'cannot cast "" to a number'),
        ("1,234", "number", 'cannot cast "1,234" to a number'),
        ("1_000", "number", 'cannot cast "1_000" to a number'),
        ("0x10", "number", 'cannot cast "0x10" to a number'),
        ("nan", "number", 'cannot cast "nan" to a number'),
        ("inf", "number", 'cannot cast "inf" to a number'),
        ("1e400", "number", 'cannot cast "1e400" to a number: JSON has no infinity and no NaN'),
        (float("inf"), "number", "cannot cast inf to a number: JSON has no infinity and no NaN"),
        ("9" * 101, "number", f'cannot cast "{"9" * 59}… to a number'),
        ([1], "number", "cannot cast [1] to a number"),
        ("12.5", "integer", 'cannot cast "12.5" to an integer: it has a fraction'),
        ("x", "integer", 'cannot cast "x" to an integer'),
        ("maybe", "boolean", 'cannot cast "maybe" to a boolean'),
        (2, "boolean", "cannot cast 2 to a boolean"),
        ([], "boolean", "cannot cast [] to a boolean"),
        ("[1]", "object", 'cannot cast "[1]" to an object'),
        ("{", "object", 'cannot cast "{" to an object'),
        (1, "array", "cannot cast 1 to an array"),
        ("a", "array", 'cannot cast "a" to an array'),
        (
            "soon",
            "date",
            'cannot cast "soon" to a date: write ISO-8601, or seconds or milliseconds since 1970',
        ),
        (True, "date", "cannot cast true to a date: write ISO-8601, or seconds or milliseconds since 1970"),
        (1e300, "date", "cannot cast 1e300 to a date: write ISO-8601, or seconds or milliseconds since 1970"),
    ],
)
def test_what_cannot_be_cast_says_so(value, kind, error):
    with pytest.raises(CastError) as caught:
        cast(value, kind)

    assert str(caught.value) == error


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12), st.sampled_from(sorted(KINDS)))
def test_a_cast_gives_json_or_fails_by_name(value, kind):
    try:
        found = cast(value, kind)
    except CastError:
        return

    assert found == found  # noqa: PLR0124 - NaN is the one value that is not itself
    assert found not in {float("inf"), float("-inf")}


@pytest.mark.parametrize(("value", "text"), [(None, ""), (UNSET, ""), ([None, 1.0], "[null,1.0]"), (-0.0, "0")])
def test_text_of_a_value(value, text):
    assert text_of(value) == text
