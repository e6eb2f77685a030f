from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.store.sqlite import codec

HEX = st.text("0123456789abcdef", min_size=32, max_size=32)
KEYS = st.one_of(st.lists(HEX, min_size=1, max_size=50), st.lists(st.text(max_size=33), min_size=1, max_size=50))


@given(KEYS, st.data())
def test_an_open_set_comes_back(keys: list[str], data: st.DataObject):
    steps = data.draw(st.lists(st.integers(0, 2**40), min_size=len(keys), max_size=len(keys)))
    position, opened = 0, []
    for step, key in zip(steps, keys, strict=True):
        position += step
        opened.append((position, key))

    assert codec.open_of(codec.open_blob(tuple(opened))) == tuple(opened)


def test_an_empty_open_set_takes_no_bytes():
    assert (codec.open_blob(()), codec.open_of(b"")) == (b"", ())


def test_an_open_delivery_takes_17_bytes():
    opened = tuple((1_000_000 + at * 3, f"{at:032x}") for at in range(4096))

    assert 4096 * 17 < len(codec.open_blob(opened)) < 4097 * 17
