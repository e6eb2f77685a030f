from __future__ import annotations

import pytest

from actors.console import words
from actors.console.charts import ceiling, chart
from actors.console.flow import BOX, picture
from engine.observe.status import DestinationStatus, SourceStatus, Status, SyncStatus

LINKS = {"source": "/sources/{}", "sync": "/syncs/{}", "destination": "/syncs#destination-{}"}


@pytest.mark.parametrize(("most", "top"), [(0, 1), (0.3, 0.5), (1, 1), (1.1, 2), (40, 50), (99, 100), (5001, 10000)])
def test_a_chart_ends_at_a_round_number(most, top):
    assert ceiling(most) == pytest.approx(top)


@pytest.mark.parametrize(
    ("values", "path", "area"),
    [
        ((), "", ""),
        ((1.0,), "M600.0 0.0h0", "M600.0 120 L600.0 0.0 L600.0 120 Z"),
        ((0.0, 1.0), "M598.0 120.0h0 L600.0 0.0", "M598.0 120 L598.0 120.0 L600.0 0.0 L600.0 120 Z"),
        ((1.0, None), "M598.0 0.0h0", "M598.0 120 L598.0 0.0 L598.0 120 Z"),
        ((1.0, None, 1.0), "M596.0 0.0h0 M600.0 0.0h0",
         "M596.0 120 L596.0 0.0 L596.0 120 Z M600.0 120 L600.0 0.0 L600.0 120 Z"),
    ],
)  # fmt: skip
def test_a_line_ends_now_and_breaks_where_there_is_nothing(values, path, area):
    (line,) = chart("Latency", "seconds", [("p50", "p50", values)]).lines

    assert (line.path, line.area) == (path, area)


def test_a_picture_joins_what_belongs_together():
    status = Status(
        running=True,
        last=0,
        used=0,
        free=0,
        sources=(SourceStatus(name="shop"),),
        syncs=(SyncStatus(name="a/b", source="shop", destination="crm"), SyncStatus(name="x" * 40, source="gone")),
        destinations=(DestinationStatus(name="crm", type="webhook", state="open"),),
    )

    made = picture(status, LINKS)

    assert [state for _, state in made.lines] == ["", "open"]
    assert {box.link for box in made.boxes} >= {"/syncs/a%2Fb", "/syncs#destination-crm"}
    assert max(len(box.label) for box in made.boxes) == 24
    assert all(0 <= box.y <= made.height - BOX[1] for box in made.boxes)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (words.age(None), words.NOTHING),
        (words.age(0.00181), "1.81 ms"),
        (words.age(17.52), "17.5 s"),
        (words.age(5400), "1.5 h"),
        (words.age(200000), "2.31 d"),
        (words.size(0), "0 B"),
        (words.size(671744), "656 KiB"),
        (words.size(3 << 40), "3 TiB"),
        (words.rate(0.0), "0"),
        (words.rate(3.25), "3.2"),
        (words.rate(1234.5), "1,234"),
        (words.said("closed"), "healthy"),
        (words.tone("a word of tomorrow"), words.HELD),
        (words.numbers([1.0, None, 0.25]), "1 - 0.25"),
        (words.moment(0.0), "1970-01-01 00:00:00"),
        (words.iso(1.5), "1970-01-01T00:00:01.500Z"),
        (words.lines({"a": 1, "b": None, "c": "", "d": {"x": [1]}}), [("a", "1"), ("d", '{"x":[1]}')]),
    ],
)
def test_figures_read_as_people_say_them(said, text):
    assert said == text
