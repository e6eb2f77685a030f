"""Sorted arrays of hashes: which positions may have a messageId, at 12 bytes each. Pure."""

from __future__ import annotations

import bisect
import sys
from array import array
from collections.abc import Iterable
from hashlib import blake2b

HASH = 8
"""Bytes of a hash."""
OFFSET = 4
"""Bytes of a position, counted from the array's first."""


def hash_of(message_id: str) -> int:
    """Return 64 bits of *message_id*; two ids share one in a million times never, so whoever finds one compares."""
    return int.from_bytes(blake2b(message_id.encode(errors="surrogatepass"), digest_size=HASH).digest(), "big")


def packed(entries: Iterable[tuple[int, int]]) -> bytes:
    """Return (hash, offset) pairs as bytes: all hashes, ascending, then their offsets; little-endian."""
    ordered = sorted(entries)
    hashes = array("Q", [one for one, _ in ordered])
    offsets = array("L" if array("L").itemsize == OFFSET else "I", [offset for _, offset in ordered])
    if sys.byteorder == "big":
        hashes.byteswap()
        offsets.byteswap()
    return hashes.tobytes() + offsets.tobytes()


def offsets_of(blob: bytes, wanted: int) -> list[int]:
    """Return the offsets in *blob* that have the hash *wanted*, ascending."""
    many = len(blob) // (HASH + OFFSET)
    hashes = array("Q")
    hashes.frombytes(blob[: many * HASH])
    if sys.byteorder == "big":
        hashes.byteswap()
    first, last = bisect.bisect_left(hashes, wanted), bisect.bisect_right(hashes, wanted)
    start = many * HASH
    return sorted(
        int.from_bytes(blob[start + at * OFFSET : start + (at + 1) * OFFSET], "little") for at in range(first, last)
    )
