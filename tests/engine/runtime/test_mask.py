from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wsproto import frame_protocol

from engine.runtime.mask import _Masker, quicken


@given(st.binary(min_size=4, max_size=4), st.lists(st.binary(max_size=9)))
def test_the_quick_masker_does_what_wsproto_s_own_does(key: bytes, pieces: list[bytes]) -> None:
    quick = _Masker(key)
    whole = b"".join(pieces)
    plain = bytes(byte ^ key[i % 4] for i, byte in enumerate(whole))

    assert b"".join(bytes(quick.process(bytearray(piece))) for piece in pieces) == plain


def test_wsproto_masks_in_c_when_it_can() -> None:
    assert quicken()
    assert frame_protocol.XorMaskerSimple is _Masker
