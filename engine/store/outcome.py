"""How one request went, as the sender saw it. Pure."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Self

import msgspec

from engine.errors import PluginError
from engine.lang.pacing import asked_wait, spent_wait
from engine.lang.retry import LONGEST_WAIT, USUAL, Rules, Verdict, classify
from engine.messages import Delivery, Reply, Request
from engine.plugin import Item

KEPT = 10 * 1024
"""Bytes of a request and of a reply that a failure keeps."""
ABSENT = frozenset({"network", "timeout", "status_408", "status_429", "status_502", "status_503", "status_504"})
"""Reasons that speak of a service which is away, whatever was sent; a 500 may be what one event does to it."""

UNREADABLE = Item(
    verdict=Verdict.RETRY,
    reason="reply_unreadable",
    message="the destination said yes, and its plugin could not read what it said of each delivery",
)
"""Of each delivery of a reply with a good status that a plugin raises on, or miscounts: it may not have arrived."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One request and what came of it.

    Attributes:
        reply: its status is 0 if nothing came back, or if the destination does not speak HTTP.
        request: None if none was made.
        items: what the plugin said of each delivery; None lets the status decide for all.
        trace: the traceback of plugin code that failed before a request existed.
        rules: statuses that this destination means otherwise.
    """

    reply: Reply
    request: Request | None = None
    items: tuple[Item, ...] | None = None
    trace: str = ""
    rules: Rules = USUAL

    @classmethod
    def broken(cls, error: Exception) -> Self:
        """Return the outcome of a plugin that could make no request of its deliveries."""
        trace = "" if isinstance(error, PluginError) else "".join(traceback.format_exception(error)).strip()
        return cls(reply=Reply(error=f"no request could be made: {error}"), trace=trace, items=())

    @property
    def impossible(self) -> bool:
        """Whether there was no request, and never will be for these deliveries."""
        return self.items == () and self.request is None

    @property
    def verdict(self) -> tuple[Verdict, str]:
        """What the status says of the whole request, and its reason code."""
        if self.impossible:
            return Verdict.ARCHIVE, "request_failed"
        if not self.reply.status and not self.reply.error:
            return Verdict.DELIVERED, ""
        return classify(self.reply.status or None, self.reply.error, self.rules)

    @property
    def worst(self) -> Verdict:
        """What the outcome says of the destination itself: paused before failing before well."""
        if not self.items:
            return self.verdict[0]
        verdicts = {item.verdict for item in self.items}
        if Verdict.PAUSE in verdicts:
            return Verdict.PAUSE
        return Verdict.RETRY if verdicts == {Verdict.RETRY} else Verdict.DELIVERED

    def asked_wait(self, now: float) -> float:
        """Return the seconds for which the destination, refusing, asked to be left alone; 0.0 if it did not."""
        asked = (item.retry_after for item in self.items or ())
        items = max(
            (min(each, LONGEST_WAIT) for each in asked if each and each > 0), default=0.0
        )  # not for "not a number"
        return max(items, asked_wait(self.reply.status, self.reply.headers, now))

    def spent(self, now: float) -> float:
        """Return the seconds for which nothing should be sent, since a quota is used up; 0.0 if it is not."""
        return spent_wait(self.reply.headers, now)

    @property
    def absent(self) -> bool:
        """Whether it speaks against the destination whatever was sent: no reply, or the status of a service away."""
        reasons = {item.reason for item in self.items} if self.items else {self.verdict[1]}
        return reasons <= ABSENT

    def limited(self, now: float) -> bool:
        """Whether it only asked for less: it is alive, says when to come again, and is left alone until then."""
        reasons = {item.reason for item in self.items} if self.items else {self.verdict[1]}
        return reasons == {"status_429"} and self.asked_wait(now) > 0

    @property
    def refused(self) -> bool:
        """Whether a whole request met 401 or 403, without a word on which delivery it was."""
        return not self.items and self.verdict[0] is Verdict.PAUSE

    @property
    def divisible(self) -> bool:
        """Whether a batch should be sent in halves: too large, or refused without a word on which item is bad."""
        return not self.items and self.verdict[0] in {Verdict.SPLIT, Verdict.ARCHIVE}

    @property
    def fine(self) -> bool:
        """Whether everything arrived."""
        if self.items:
            return all(item.verdict is Verdict.DELIVERED for item in self.items)
        return self.verdict[0] is Verdict.DELIVERED

    @property
    def error(self) -> str:
        """What failed, in one line; "" if a reply came that says nothing of an error."""
        if self.reply.error or self.fine:
            return self.reply.error
        if self.reply.status:
            return f"status {self.reply.status}"
        said = (item.message for item in self.items or () if item.verdict is not Verdict.DELIVERED)
        return next(filter(None, said), "some deliveries failed")

    def verdicts(self, deliveries: Sequence[Delivery]) -> tuple[Item, ...]:
        """Return one item per delivery, each with its verdict and reason."""
        if self.items:
            return self.items
        verdict, reason = self.verdict
        return (Item(verdict=verdict, reason=reason, message=self.reply.error),) * len(deliveries)

    def ruled(self, rules: Rules) -> Outcome:
        """Return the outcome as *rules* read it, the items that have a status of their own, too."""
        items = self.items and tuple(_ruled(item, rules) for item in self.items)
        return msgspec.structs.replace(self, rules=rules, items=items)

    def sent(self) -> bytes:
        """Return the head and the beginning of the body of the request, as text; b"" if none was made."""
        if self.request is None:
            return b""
        lines = [f"{self.request.method} {self.request.url}", *(f"{k}: {v}" for k, v in self.request.headers)]
        return ("\n".join(lines).encode() + b"\n\n" + self.request.body[:KEPT])[:KEPT]

    def answered(self) -> bytes:
        """Return the head and the beginning of the body of the reply, as text; b"" if there was none."""
        if not self.reply.status:
            return b""
        lines = [str(self.reply.status), *(f"{key}: {value}" for key, value in self.reply.headers)]
        return ("\n".join(lines).encode() + b"\n\n" + self.reply.body[:KEPT])[:KEPT]


def _ruled(item: Item, rules: Rules) -> Item:
    special = rules.of(item.status)
    return msgspec.structs.replace(item, verdict=special[0], reason=special[1]) if special else item
