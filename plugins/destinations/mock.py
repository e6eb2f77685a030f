"""A destination that fails as it is told: for tests, demos, and trying out what a sick service would do to you."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar

import msgspec

from engine.plugin import (
    Delivery,
    Destination,
    Duration,
    EventType,
    Field,
    Item,
    Limits,
    Problem,
    Settings,
    SettingsError,
    Verdict,
    by_status,
)

_KEPT = 1000
"""Attempts that are remembered."""

Status = Annotated[int, msgspec.Meta(ge=200, le=599)]


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`script`: what one attempt, or several, come to."""

    status: Status = 200
    """As if this HTTP status had come back for the whole batch."""
    items: tuple[Status, ...] = ()
    """A status for each delivery of the batch, in order and over again; instead of `status`."""
    hang: bool = False
    """Never answer: the attempt ends with the destination's ``timeout``."""
    reset: bool = False
    """Break the connection."""
    times: Annotated[int, msgspec.Meta(ge=1)] = 1
    """For so many attempts."""
    retry_after: float | None = None
    """Seconds to be left alone for, as a 429 or 503 may say."""
    latency: Duration | None = None
    """How long these answers take; none given: the destination's own `latency`."""

    def title(self) -> str:
        """Return how lists call it: ``hang``, ``reset``, or its statuses."""
        if self.hang or self.reset:
            return "hang" if self.hang else "reset"
        return ",".join(map(str, self.items or (self.status,)))


class MockSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How it behaves."""

    statuses: tuple[Status, ...] = ()
    """One HTTP status for each attempt, over and over; none given: always 200."""
    script: tuple[Step, ...] = ()
    """One step after the other; the last one stays. Instead of `statuses`."""
    latency: Duration = Duration(0)
    """How long every answer takes."""
    jitter: Duration = Duration(0)
    """Up to so much longer, by chance."""
    seed: int = 0
    """Of that chance: the same seed gives the same run."""
    batch: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    """Deliveries in one attempt."""
    objects_missing: bool = False
    """As if no object were there: an event type with ``when_missing_object`` other than ``create`` changes nothing."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt that the mock was asked to make.

    Attributes:
        batch: what it held, in order.
        answer: what it came to: ``200``, ``200,400``, ``hang`` or ``reset``.
    """

    batch: tuple[Delivery, ...]
    answer: str


class Mock(Destination[MockSettings]):
    """Answers from a script instead of a network, as the engine would read such answers.

    Attributes:
        seen: the last 1000 attempts, oldest first.
    """

    Settings = MockSettings
    knows_objects = True
    limits = Limits(batch=1000, ordered_batch=True)
    event_types: ClassVar[Mapping[str, EventType]] = {
        "custom": EventType(label="Custom", help="Any JSON object."),
        "track_purchase": EventType(
            label="Track purchase",
            help="A purchase, with the fields that such services ask for.",
            fields={
                "external_id": Field(label="External id", type="string", help="Who bought.", required=True),
                "price": Field(label="Price", type="number", help="Of all together.", required=True),
                "currency": Field(
                    label="Currency",
                    type="string",
                    help="ISO 4217, three letters.",
                    required=True,
                    default="properties.currency",
                ),
                "products": Field(
                    label="Products", type="array", help="What was bought.", default="properties.products"
                ),
            },
        ),
    }

    def __init__(self, settings: MockSettings, name: str) -> None:
        """Begin the script.

        Raises:
            SettingsError: two scripts at once, or a step that is two things.
        """
        super().__init__(settings, name)
        if problems := list(_problems(settings)):
            raise SettingsError(problems)
        self.seen: deque[Seen] = deque(maxlen=_KEPT)
        self._steps = _steps(settings)
        self._chance = random.Random(settings.seed)  # noqa: S311 - no secret depends on it

    def bounds(self) -> Limits:
        """Return the limits with the batch that the settings ask for."""
        return msgspec.structs.replace(self.limits, batch=self.settings.batch)

    async def send(self, batch: Sequence[Delivery]) -> Sequence[Item]:
        """Do the next step of the script to *batch*.

        Raises:
            ConnectionResetError: a step with ``reset``.
        """
        import trio  # noqa: PLC0415 - who only checks a configuration needs no event loop

        step = next(self._steps)
        self.seen.append(Seen(batch=tuple(batch), answer=step.title()))
        await trio.sleep(self._latency(step))
        if step.hang:
            await trio.sleep_forever()
        if step.reset:
            raise ConnectionResetError("reset by the mock's script")
        statuses = itertools.cycle(step.items or (step.status,))
        return [self._item(each, status, step) for status, each in zip(statuses, batch, strict=False)]

    async def aclose(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _item(self, delivery: Delivery, status: int, step: Step) -> Item:
        """Return what the engine makes of *status*, unless the object is missing and shall not be made."""
        if self.settings.objects_missing and delivery.when_missing == "skip":
            return Item(verdict=Verdict.DELIVERED, message="skipped: there is no such object")
        if self.settings.objects_missing and delivery.when_missing == "update_only":
            return Item(verdict=Verdict.ARCHIVE, reason="object_missing", message="there is no such object to update")
        return msgspec.structs.replace(by_status(status), retry_after=step.retry_after)

    def _latency(self, step: Step) -> float:
        """Return seconds until this answer."""
        base = self.settings.latency if step.latency is None else step.latency
        return base + self._chance.random() * self.settings.jitter


def _problems(settings: MockSettings) -> Iterator[Problem]:
    """Yield what cannot work."""
    hint = "keep one of them"
    if settings.statuses and settings.script:
        yield Problem(where="statuses", what="cannot be given beside script", hint=hint)
    for number, step in enumerate(settings.script):
        if step.hang and step.reset:
            yield Problem(where=f"script[{number}]", what="cannot both hang and reset", hint=hint)


def _steps(settings: MockSettings) -> Iterator[Step]:
    """Yield a step for each attempt, for ever."""
    if not settings.script:
        return itertools.cycle([Step(status=status) for status in settings.statuses or (200,)])
    once = itertools.chain.from_iterable(itertools.repeat(step, step.times) for step in settings.script)
    return itertools.chain(once, itertools.repeat(settings.script[-1]))
