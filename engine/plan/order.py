"""What a sync's deliveries are ordered by: a field reference, and how long one may hold up the others of its key."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from engine.config import schema
from engine.config.lines import join
from engine.errors import LangError
from engine.lang.path import Getter, getter, parse
from engine.plan.problems import Problems
from engine.units import Duration


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """How a sync keeps the order of its deliveries.

    Attributes:
        get: reads the key out of an event.
        timeout: seconds for which one delivery may hold up the others of its key, not counting what is excused.
        archive_key: whether those that it held up are archived with it.
    """

    get: Getter
    timeout: float
    archive_key: bool

    def turn(self, body: dict[str, Any]) -> str:
        """Return 16 hex digits for the event's key; "" if it has none: missing, null, empty, no text and no number.

        A hash, since keys are often personal and are shown. Two keys with one hash would only wait for each other.
        """
        key = self.get(body)
        if isinstance(key, (int, float)) and not isinstance(key, bool):
            key = str(key)
        if not isinstance(key, str) or not key:
            return ""
        return blake2b(key.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def compile_order(name: str, table: schema.Sync, problems: Problems) -> Order | None:
    """Return how the sync *name* keeps order, or None if it does not, or with *problems* grown."""
    where = join("syncs", name)
    if not table.order_by:
        for key, usual in (("order_timeout", Duration("10m")), ("on_order_timeout", "release")):
            if getattr(table, key) != usual:
                problems.warn(f"{where}.{key}", "means nothing without order_by", "add order_by, or take this line out")
        return None
    try:
        get = getter(parse(table.order_by))
    except LangError as error:
        problems.lang(f"{where}.order_by", error)
        return None
    return Order(get=get, timeout=float(table.order_timeout), archive_key=table.on_order_timeout == "archive_key")
