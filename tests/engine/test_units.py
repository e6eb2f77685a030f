from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.units import UNITS, Address, Backoff, Duration, Rate, Size, Start, Unit, Wait


@pytest.mark.parametrize(
    ("made", "value"),
    [
        (Duration("250ms"), 0.25),
        (Duration("5s"), 5.0),
        (Duration(" 1.5 m "), 90.0),
        (Duration("4h"), 14400.0),
        (Duration("3d"), 259200.0),
        (Duration("0s"), 0.0),
        (Duration(7.5), 7.5),
        (Wait("10s"), 10.0),
        (Size("17 B"), 17),
        (Size("2KB"), 2000),
        (Size("32 KiB"), 32768),
        (Size("1.5 MiB"), 1572864),
        (Size("20 GiB"), 20 << 30),
        (Size(5), 5),
        (Rate("50/s"), 50.0),
        (Rate("300 / m"), 5.0),
        (Rate("1800/h"), 0.5),
        (Rate(2.0), 2.0),
    ],
)
def test_text_with_a_unit_is_a_number(made: float, value: float) -> None:
    assert made == value


def test_a_backoff_is_two_durations() -> None:
    assert (Backoff("250ms..5m").base, Backoff("250ms..5m").cap) == (0.25, 300.0)


@pytest.mark.parametrize(
    ("text", "host", "port", "is_loopback"),
    [
        ("127.0.0.1:8321", "127.0.0.1", 8321, True),
        ("127.9.9.9:0", "127.9.9.9", 0, True),
        ("localhost:1", "localhost", 1, True),
        ("[::1]:80", "::1", 80, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),
        ("[::]:65535", "::", 65535, False),
        ("events.example:80", "events.example", 80, False),
    ],
)
def test_an_address_has_a_host_and_a_port(text: str, host: str, port: int, is_loopback: bool) -> None:  # noqa: FBT001
    address = Address(text)

    assert (address.host, address.port, address.is_loopback) == (host, port, is_loopback)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("latest", None),
        ("earliest", None),
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1970-01-02", 86400.0),
    ],
)
def test_a_start_is_a_word_or_a_time(text: str, at: float | None) -> None:
    assert Start(text).at == at


DURATION = 'expected a number and one of ms s m h d, as in "5s"'
SIZE = 'expected a number and one of B KB MB GB KiB MiB GiB TiB, as in "32 KiB"'
RATE = 'expected a number above 0, "/" and s, m or h, as in "50/s"'
ADDRESS = 'expected host:port with a port up to 65535, as in "127.0.0.1:8321"'
START = 'expected "latest", "earliest" or a time, as in "2025-01-31T12:00:00Z"'


@pytest.mark.parametrize(
    ("unit", "text", "error"),
    [
        (Duration, "", DURATION),
        (Duration, "5", DURATION),
        (Duration, "-5s", DURATION),
        (Duration, "5 sec", DURATION),
        (Duration, "٣s", DURATION),
        (Duration, "9" * 400 + "d", 'expected a number that is not that large, as in "5s"'),
        (Wait, "0ms", 'expected a duration above 0, as in "5s"'),
        (Size, "5", SIZE),
        (Size, "5kb", SIZE),
        (Size, "9" * 400 + "B", 'expected a number that is not that large, as in "32 KiB"'),
        (Rate, "50", RATE),
        (Rate, "0/s", RATE),
        (Rate, "50/d", RATE),
        (Rate, "9" * 400 + "/s", RATE),
        (Backoff, "5s", 'expected two durations with ".." between, as in "5s..5m"'),
        (Backoff, "5s..5m..1h", 'expected two durations with ".." between, as in "5s..5m"'),
        (Backoff, "5..5m", DURATION),
        (Backoff, "5m..5s", 'expected the shorter duration first, as in "5s..5m"'),
        (Address, "8321", ADDRESS),
        (Address, "::1:80", ADDRESS),
        (Address, "[x]:80", ADDRESS),
        (Address, "[1::2::3]:80", ADDRESS),
        (Address, "a:65536", ADDRESS),
        (Address, "a b:1", ADDRESS),
        (Start, "now", START),
    ],
)
def test_anything_else_is_told_what_was_expected(unit: type[Unit], text: str, error: str) -> None:
    with pytest.raises(ValueError) as caught:
        unit(text)

    assert str(caught.value) == error


@given(st.sampled_from([(Duration, "ms s m h d"), (Size, "B KB MB KiB GiB")]), st.integers(0, 5000), st.data())
def test_what_is_written_means_the_same(
    kind: tuple[type[Duration | Size], str], number: int, data: st.DataObject
) -> None:
    made = kind[0](f"{number}{data.draw(st.sampled_from(kind[1].split()))}")

    assert kind[0](made.written()) == pytest.approx(made)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (Duration("120s"), "2m"),
        (Duration("1500ms"), "1500ms"),
        (Duration(0), "0ms"),
        (Size("1024 KiB"), "1 MiB"),
        (Rate("300/m"), "5/s"),
        (Backoff("5s..5m"), "5s..5m"),
        (Address("[::1]:80"), "[::1]:80"),
        (Start("latest"), "latest"),
    ],
)
def test_what_is_written_is_short(made: Unit, text: str) -> None:
    assert made.written() == text


@pytest.mark.parametrize("unit", UNITS)
def test_the_pattern_for_editors_takes_the_example(unit: type[Unit]) -> None:
    assert re.search(unit.pattern, unit.example)
    assert unit(unit.example)
