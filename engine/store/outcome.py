"""How one request went, as the sender saw it. Pure."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Self

import msgspec

from engine.errors import PluginError
from engine.lang.retry import Verdict, classify, retry_after
from engine.messages import Delivery, Reply, Request
from engine.plugin import Item

KEPT = 10 * 1024
"""Bytes of a request and of a reply that a failure keeps."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One request and what came of it.

    Attributes:
        reply: its status is 0 if nothing came back, or if the destination does not speak HTTP.
        request: None if none was made.
        items: what the plugin said of each delivery; None lets the status decide for all.
        trace: the traceback of plugin code that failed before a request existed.
    """

    reply: Reply
    request: Request | None = None
    items: tuple[Item, ...] | None = None
    trace: str = ""

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
        return classify(self.reply.status or None, self.reply.error)

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
        """Return the seconds for which the destination asked to be left alone; 0.0 if it did not.

        Only 429 and 503 ask: other statuses with the header mean something else (RFC 9110, 10.2.3).
        """
        items = max((item.retry_after or 0.0 for item in self.items or ()), default=0.0)
        if self.reply.status not in {429, 503}:
            return items
        return max(items, retry_after(self.reply.header("retry-after") or "", now) or 0.0)

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

    def sent(self) -> bytes:
        """Return the head and the beginning of the body of the request, as text; b"" if none was made."""
        if self.request is None:
            return b""
        lines = [f"{self.request.method} {self.request.url}", *(f"{k}: {v}" for k, v in self.request.headers)]
        return ("\n".join(lines).encode() + b"\n\n" + self.request.body)[:KEPT]

    def answered(self) -> bytes:
        """Return the head and the beginning of the body of the reply, as text; b"" if there was none."""
        if not self.reply.status:
            return b""
        lines = [str(self.reply.status), *(f"{key}: {value}" for key, value in self.reply.headers)]
        return ("\n".join(lines).encode() + b"\n\n" + self.reply.body)[:KEPT]
