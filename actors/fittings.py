"""Small parts that the tree is put together from."""

from __future__ import annotations

import random
import ssl
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec
import structlog

from actors.receiver.intake import Terms
from engine.messages import Passed, Stretch
from engine.plan import DestinationPlan, Plan, SourcePlan
from engine.plan.replaying import Beside
from engine.plugin import Filed
from engine.runtime.breaker import Thresholds
from engine.runtime.channel import Inbox
from engine.runtime.mark import Mark
from engine.runtime.supervisor import ChildEvent
from engine.runtime.tls import server_context
from engine.store.switched import Switches

log = structlog.get_logger()


def wires(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield (feeder, fed) for every channel of *plan*: what the tree opens and the children's outlets use."""
    yield "retry", "archiver"
    for name, source in plan.sources.items():
        yield f"reader.{name}" if file_plugin(source) else "receiver", f"validator.{name}"
        yield f"validator.{name}", "archiver"
    for name, sync in plan.syncs.items():
        yield f"validator.{sync.source}", f"router.{name}"
        yield f"router.{name}", f"sender.{sync.destination}"
        yield f"router.{name}", "archiver"
    for name in plan.destinations:
        yield "retry", f"sender.{name}"
        yield f"sender.{name}", "archiver"


def events_in(stretch: Stretch) -> int:
    """Return what a stretch weighs in an inbox; one without events still takes a place."""
    return len(stretch.events) or 1


def reached(routed: Mapping[str, Mark], offers: Mapping[str, Inbox[Passed]]) -> dict[str, int]:
    """Return how far each sync has read, with what its router has in hand; what waits for that is in the log as well.

    So it is let go of: whoever asks changes what a router that comes by will find.
    """
    for inbox in offers.values():
        inbox.forget()
    return {
        name: max([mark.position, *(held.upto for held in offers[name].held)])
        for name, mark in routed.items()
        if name in offers
    }


def beside(routed: Mapping[str, Mark], offers: Mapping[str, Inbox[Passed]], switches: Switches) -> Beside:
    """Return what a replay asks the tree."""
    return Beside(off=switches.filtered, reached=partial(reached, routed, offers))


def terms(plan: Plan) -> Terms:
    """Return what the intake keeps to."""
    limits = plan.config.receiver.limits
    return Terms(max_event=int(limits.event), deliver_after_commit=plan.config.deliver_after_commit)


def thresholds(plan: DestinationPlan) -> Thresholds:
    """Return when a destination's breaker opens."""
    return Thresholds(
        consecutive=plan.breaker.failures, ratio=plan.breaker.ratio, probe_every=float(plan.breaker.probe)
    )


def file_plugin(source: SourcePlan) -> type[Filed] | None:
    """Return what makes events of a source's file, or None if it has none."""
    kind: Any = source.doorway.kind
    return kind if hasattr(kind, "item") else None


def tls(plan: Plan) -> ssl.SSLContext | None:
    """Return the receiver's certificate, or None if it speaks in the clear."""
    shown = plan.config.receiver.tls
    return None if shown is None else server_context(plan.loaded.folder / shown.cert, plan.loaded.folder / shown.key)


def new_id(chance: random.Random) -> str:
    """Return a messageId."""
    return f"{chance.getrandbits(128):032x}"


def tell(event: ChildEvent) -> None:
    """Log what happened to a child; a death with its traceback."""
    say = {"died": log.error, "down": log.error, "restarting": log.warning, "cancelled": log.warning}
    facts = {key: value for key, value in msgspec.structs.asdict(event).items() if value and key != "what"}
    say.get(event.what, log.debug)(f"actor.{event.what}", **facts)
