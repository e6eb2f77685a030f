from __future__ import annotations

from typing import Any

import pytest

from engine.plan.tracing import Decided, Traced
from engine.plan.whereabouts import whereabouts


def traced(fate: str = "passed", *syncs: Decided, **more: Any) -> Traced:
    return Traced(
        position=1, message_id="m1", source="shop", received_at=0.0, client="server", fate=fate, syncs=syncs, **more
    )


def at(sync: str, fate: str, reason: str = "", destination: str = "crm") -> Decided:
    return Decided(sync=sync, fate=fate, reason=reason, destination=destination)


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (traced("waiting"), "It is safe in the log and waits for source shop to read it; nothing was sent yet."),
        (
            traced("blocked", reason="undeclared_event"),
            "The contract of source shop stopped it: undeclared_event; nothing was sent.",
        ),
        (traced("dropped"), "A function of source shop left it out; nothing was sent."),
        (
            traced("failed", reason="function_timeout"),
            "Source shop failed on it: function_timeout; nothing was sent.",
        ),
        (traced(), "It passed source shop, and no sync takes events from there."),
        (
            traced(error="source 'shop' is not in the configuration any more"),
            "It was received, but source 'shop' is not in the configuration any more.",
        ),
        (traced("passed", at("orders", "delivered")), "It arrived at crm (sync orders)."),
        (traced("passed", at("orders", "waiting")), "It has not been read by sync orders yet."),
        (
            traced("passed", at("orders", "discarded", "rejected_400")),
            "It was discarded on its way to crm (sync orders): rejected_400.",
        ),
        (
            traced(
                "passed",
                at("a", "filtered", "no_event_type", ""),
                at("b", "delivered"),
                at("c", "pending", "parked"),
                at("d", "archived", "rejected_400"),
            ),
            (
                "It was archived on its way to crm (sync d): rejected_400; it waits to be sent to crm (sync c): another"
                " delivery of its key goes first; it arrived at crm (sync b); it was filtered by sync a: none of its"
                " event types takes it."
            ),
        ),
        (
            traced("passed", at("orders", "delivered"), at("orders", "delivered")),
            "It arrived at crm (sync orders).",
        ),
    ],
)
def test_where_an_event_is_and_why(one, sentence):
    assert whereabouts(one) == sentence
