"""What one statement holds: a few sizes, and not many bytes."""

from __future__ import annotations

import pytest

from engine.store.sqlite.writing import KEPT, SIZES, parts


def rows(count: int, size: int = 1000) -> list[tuple[int, bytes]]:
    return [(number, bytes(size)) for number in range(count)]


@pytest.mark.parametrize(
    ("count", "size", "lengths"),
    [
        (0, 1000, []),
        (1, 1000, [1]),
        (32, 1000, [32]),
        (47, 1000, [32, 15]),
        (50, 1000, [48, 2]),
        (255, 1000, [192, 48, 15]),
        (600, 100, [256, 256, 64, 24]),
        (20, KEPT // 4, [2, 4, 3, 2, 4, 2, 3]),  # 20, 10, 5, 2 fit; then 18, 9, 4; and so on
        (3, KEPT + 1, [1, 1, 1]),
    ],
)
def test_rows_are_cut_by_size_and_bytes(count: int, size: int, lengths: list[int]) -> None:
    assert [len(part) for part in parts(rows(count, size))] == lengths


@pytest.mark.parametrize("count", [1, 7, 31, 33, 63, 100, 257, 1000])
@pytest.mark.parametrize("size", [1, 3000, KEPT])
def test_no_row_is_left_out_and_every_part_is_a_known_size(count: int, size: int) -> None:
    found = parts(rows(count, size))

    assert [row for part in found for row in part] == rows(count, size)
    assert {len(part) for part in found} <= set(SIZES)
    assert all(len(part) == 1 or len(part) * size <= KEPT for part in found)


def test_rows_of_numbers_weigh_nothing() -> None:
    assert [len(part) for part in parts([("shop", 1)] * 40)] == [32, 8]
