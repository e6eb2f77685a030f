"""A change that somebody made by hand, as a Struct: its JSON is an interface that others rely on."""

from __future__ import annotations

import msgspec


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """One change.

    Attributes:
        at: epoch seconds.
        who: by token, by a session of the console, or from this machine; with the address.
        what: what was asked, for example ``POST /syncs/orders/pause``.
        told: what was answered.
        failed: whether it was refused.
    """

    at: float
    who: str
    what: str
    told: str = ""
    failed: bool = False
