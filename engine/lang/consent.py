"""Who may have an event: its own ``integrations`` and ``context.consent``, as Segment's destinations read them. Pure.

Sources: Segment's "Filtering with the integrations object" (names match to the letter; ``All: false`` leaves out whom
it does not name) and "Consent in Segment Connections" (every category a destination is mapped to must be true; no
consent object, nothing is enforced; an empty one consents to nothing; consent comes before integrations).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

CONSENT = "consent"
"""The reason of a delivery to whose purpose the event does not consent."""
INTEGRATIONS = "integrations"
"""The reason of a delivery to a destination that the event's integrations leave out."""

_encode = msgspec.json.Encoder().encode


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one event says about who may have it.

    Attributes:
        integrations: names to whether they may; None if it says nothing.
        consent: categories to whether the person consents; None if it says nothing.
    """

    integrations: dict[str, bool] | None = None
    consent: dict[str, bool] | None = None

    def encoded(self) -> bytes:
        """Return it as short as a delivery carries it: b"" if it says nothing."""
        return b"" if self.integrations is None and self.consent is None else _encode(self)


NOTHING = Said()
"""What most events say: nothing is enforced."""
UNKNOWN = Said(integrations={"All": False}, consent={})
"""What stands for an event that is gone: nobody may have it whose leave is asked for."""

_decode = msgspec.json.Decoder(Said).decode


def said(body: dict[str, Any]) -> Said:
    """Return what a normalised event says.

    An integration is off only if it is ``false`` (an object holds options, and means on), a category is consented to
    only if it is ``true``; null counts as not there. Preferences that are not an object consent to nothing.
    """
    return Said(integrations=_switches(body.get("integrations")), consent=_preferences(body.get("context")))


def heard(encoded: bytes) -> Said:
    """Return what `Said.encoded` made bytes of."""
    return _decode(encoded) if encoded else NOTHING


class Demands(msgspec.Struct, frozen=True, kw_only=True):
    """What one destination asks of an event's leave.

    Attributes:
        integration: the name by which integrations call it; "" if none does.
        consent: categories that it serves; all of them must be consented to.
    """

    integration: str = ""
    consent: frozenset[str] = frozenset()

    def withheld(self, event: Said) -> str:
        """Return why the destination may not have an event: `CONSENT`, `INTEGRATIONS`, or "" if it may."""
        if self.consent and event.consent is not None and not all(map(event.consent.get, self.consent)):
            return CONSENT
        switches = event.integrations
        if not self.integration or switches is None:
            return ""
        on = switches.get(self.integration, switches.get("All", switches.get("all", True)))
        return "" if on else INTEGRATIONS

    def why(self, reason: str) -> str:
        """Return *reason* in words, for a person who looks for an event that did not come."""
        if reason == CONSENT:
            asked = " and ".join(sorted(self.consent))
            return f"the event's context.consent.categoryPreferences do not allow {asked}"
        return f"the event's integrations leave '{self.integration}' out"


def demands(integration: str, consent: Collection[str]) -> Demands | None:
    """Return what a destination asks for; None if it asks for nothing, so that nobody need look."""
    return Demands(integration=integration, consent=frozenset(consent)) if integration or consent else None


def _switches(value: Any) -> dict[str, bool] | None:
    if not isinstance(value, dict) or not value:
        return None
    return {name: each is not False for name, each in value.items() if each is not None}


def _preferences(context: Any) -> dict[str, bool] | None:
    consent = context.get("consent") if isinstance(context, dict) else None
    if not isinstance(consent, dict) or consent.get("categoryPreferences") is None:
        return None
    preferences = consent["categoryPreferences"]
    return {name: each is True for name, each in preferences.items()} if isinstance(preferences, dict) else {}
