"""A batch of JSON, taken apart without looking into its elements."""

from __future__ import annotations

import msgspec

from engine.plugin import ProtocolError
from engine.wire import MAX_ITEMS, has_too_many


def elements(batch: bytes) -> tuple[bytes, ...]:
    """Return the JSON of each element of the array *batch*.

    Raises:
        ProtocolError: it is no array, or has more than `MAX_ITEMS` elements.
    """
    try:
        if has_too_many(batch):
            raise ProtocolError(f"the batch holds more than {MAX_ITEMS:,} events")
        return tuple([bytes(raw) for raw in msgspec.json.decode(batch, type=list[msgspec.Raw])])
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the body is not what it should be: {error} - at `$.batch`") from error
