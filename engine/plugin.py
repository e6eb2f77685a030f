"""The contract a plugin author imports: what to declare, what is called when, what to raise.

A destination that speaks HTTP is data plus two pure functions (`Translator`); it makes no I/O, so that dry runs,
``explain``, the console and tests can show the exact request. Time comes in as an argument. One that does not speak
HTTP makes its attempts itself (`Direct`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar, runtime_checkable

import msgspec

from engine.errors import LangError, PluginError, Problem, ProtocolError, SettingsError, SignatureError
from engine.lang.path import getter, parse
from engine.lang.retry import Verdict, classify
from engine.messages import Delivery, Reply, Request
from engine.units import Duration, Size

__all__ = [
    "Delivery",
    "Destination",
    "Direct",
    "Duration",
    "EventType",
    "Field",
    "FieldType",
    "Filed",
    "Function",
    "Item",
    "Limits",
    "PluginError",
    "Post",
    "Problem",
    "ProtocolError",
    "Reply",
    "Request",
    "Secret",
    "Settings",
    "SettingsError",
    "Shaped",
    "SignatureError",
    "Size",
    "Source",
    "Submission",
    "Translator",
    "Verdict",
    "by_status",
    "idempotency_key",
    "reader",
]

FieldType = Literal["any", "string", "number", "integer", "boolean", "object", "array"]


class Secret(str):
    """A value that is never printed: its repr is ``***``.

    In a plugin's settings it marks what is given as ``env:NAME`` or ``file:PATH`` and is redacted everywhere.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """Hide the value."""
        return "'***'"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root of every plugin's settings: subclass it with ``frozen=True, kw_only=True, forbid_unknown_fields=True``.

    Each field needs a default or is required; the docstring under it is its documentation.
    """


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field that a destination knows in an event type.

    Attributes:
        default: the mapping that is used when the user gives none, or UNSET.
        choices: the only values it may have; empty for any.
    """

    label: str
    type: FieldType = "any"
    help: str = ""
    required: bool = False
    default: Any = msgspec.UNSET
    choices: tuple[Any, ...] = ()


class EventType(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of thing that a destination takes.

    Attributes:
        fields: by name; a payload may have others only if ``open``.
        properties_field: where ``properties_column`` puts the event's properties; "" for the payload itself.
    """

    label: str
    help: str = ""
    fields: Mapping[str, Field] = {}
    open: bool = True
    properties_field: str = ""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a destination takes at most.

    Attributes:
        batch: deliveries in one request.
        batch_bytes: payload bytes in one request, summed.
        rate: requests a second, or None for no limit.
        ordered_batch: promises that the items of one request are applied in order, and none behind one that failed: of
            those with one `order_by` key, a request then holds several.
    """

    batch: int = 1
    batch_bytes: int = 1 << 20
    rate: float | None = None
    ordered_batch: bool = False


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """How one delivery of a batch fared, as the destination said it.

    Attributes:
        verdict: what to do with it.
        reason: a code; "" takes the verdict's own, for example ``rejected_400``.
        message: what the destination said about this one.
        retry_after: seconds for which the destination asked to be left alone, or None; for a `Direct` one, whose
            answers have no headers. The longest of a batch counts, an hour at most, and paces the whole destination.
        status: the HTTP status that the verdict was read from, or 0; the destination's own rules for it count first.
    """

    verdict: Verdict
    reason: str = ""
    message: str = ""
    retry_after: float | None = None
    status: int = 0


S = TypeVar("S", bound=Settings)


def by_status(status: int, message: str = "") -> Item:
    """Return what the engine makes of an HTTP *status*, for a destination that gets one for each delivery.

    Args:
        status: for example one out of a 207's body.
        message: what was said about this delivery; none given: the status.
    """
    verdict, reason = classify(status, None)
    if verdict is Verdict.DELIVERED:
        return Item(verdict=verdict, message=message, status=status)
    return Item(verdict=verdict, reason=reason, message=message or f"status {status}", status=status)


def idempotency_key(delivery: Delivery) -> str:
    """Return the key a destination shows for *delivery*: the same at every attempt, another for a changed replay.

    Its characters are hex digits and, after a replay with a changed payload, ``;r`` and a number.
    """
    return f"{delivery.key};r{delivery.replay}" if delivery.replay else delivery.key


def reader(reference: str) -> Callable[[dict[str, Any]], Any]:
    """Return what reads a field reference, for example ``data.object.id``, out of an object; UNSET if it is not there.

    Raises:
        ValueError: it is not a reference; says why.
    """
    try:
        return getter(parse(reference))
    except LangError as error:
        raise ValueError(error.what) from None


class Destination(Generic[S]):
    """Where deliveries go.

    Class attributes:
        Settings: the Struct its table in config.toml is read into.
        event_types: by name; ``custom`` is the catch-all that most have.
        limits: the service's own; a user's ``rate`` and ``batch`` may only lower them.
        knows_objects: whether ``when_missing_object`` means something to it.
    """

    Settings: ClassVar[type[Any]]
    event_types: ClassVar[Mapping[str, EventType]]
    limits: ClassVar[Limits] = Limits()
    knows_objects: ClassVar[bool] = False

    def __init__(self, settings: S, name: str) -> None:
        """Keep *settings*; *name* is the destination's own in config.toml. No I/O, nothing that can wait.

        Raises:
            SettingsError: settings that cannot work, alone or together; says all of it, each with its key and what
                to do.
        """
        self.settings = settings
        self.name = name

    def bounds(self) -> Limits:
        """Return the limits for these settings; by default the class's own."""
        return self.limits


@runtime_checkable
class Translator(Protocol):
    """A destination that speaks HTTP: pure, no I/O."""

    def request(self, batch: Sequence[Delivery], at: float) -> Request:
        """Return the one request that carries *batch* (1 to ``bounds().batch`` deliveries).

        Args:
            batch: what to send, in order.
            at: epoch seconds, for signatures; the same batch and time give the same request.

        Raises:
            PluginError: a payload this destination can never take; the batch is bisected and that delivery archived.
        """

    def verdicts(self, reply: Reply, batch: Sequence[Delivery]) -> Sequence[Item] | None:
        """Return one item per delivery, in order, or None to let the status decide for all of them.

        Called for every reply with a status; what got none is retried without asking.
        """


@runtime_checkable
class Direct(Protocol):
    """A destination that does not speak HTTP: makes one attempt itself."""

    async def send(self, batch: Sequence[Delivery]) -> Sequence[Item]:
        """Make one attempt and return one item per delivery, in order.

        Cancelled when the destination's ``timeout`` is over, which counts as a time-out. Any exception counts as a
        network failure of the whole batch and is retried; its text is shown.
        """

    async def aclose(self) -> None:
        """Let go of what is held; called once, at the end."""


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request as a source sees it: headers in lower case, body inflated, scheme ``http`` or ``https``."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    scheme: str = "http"

    def header(self, name: str) -> str | None:
        """Return the first header of that lower-case *name*, or None."""
        return next((value for key, value in self.headers if key == name), None)


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What one request holds.

    Attributes:
        write_key: what the client showed, or None; the receiver knows what it opens.
        items: the JSON of each event, in order; not yet looked at.
        sent_at: the batch's, for all items without their own.
        context: the batch's own, merged under each item's.
        integrations: likewise.
        browser: whether ``context.ip`` is to be filled in.
        reply: JSON that the client is told on success, where it expects something of its own; b"" for what became of
            the events. With a reply and no items, a request is only answered; without a key too, to anybody.
    """

    write_key: str | None
    items: tuple[bytes, ...]
    sent_at: str | None = None
    context: dict[str, Any] | None = None
    integrations: dict[str, Any] | None = None
    browser: bool = False
    reply: bytes = b""


class Source(Protocol):
    """A shape in which clients send events over HTTP: pure, no I/O."""

    routes: ClassVar[tuple[tuple[str, str], ...]]
    """(method, path) pairs it answers; no two sources share one. A part in braces stands for any: ``/v1/{key}``. A
    slash at a request's end counts as none."""

    def decode(self, post: Post) -> Submission:
        """Return what *post* holds.

        Raises:
            ProtocolError: a body that can never work; the client is told 400 with its text.
        """


@runtime_checkable
class Shaped(Source, Protocol):
    """A source whose events depend on what its table in config.toml says; only sources of its type have its routes."""

    Settings: ClassVar[type[Any]]
    """The Struct into which the keys of its own are read; it may raise ValueError for what cannot work. With settings
    of their own, `decode` need only find the write key."""

    def shape(self, post: Post, submission: Submission, settings: Any, at: float) -> Submission:
        """Return *submission*, whose key is good, with its items as events.

        Args:
            post: the request.
            submission: what `decode` made of it.
            settings: of the source that the key opens.
            at: epoch seconds, for signatures.

        Raises:
            ProtocolError: a body that can never work; the client is told 400 with its text.
            SignatureError: the request is not from whom it should be; the client is told 401.
        """


class Filed(Protocol):
    """A source whose events lie in a file, one a line; its settings have a ``path``."""

    Settings: ClassVar[type[Any]]

    def item(self, line: bytes, name: str, offset: int) -> bytes:
        """Return the JSON of the event in *line*, which begins at byte *offset* of the file *name*.

        The same place gives the same messageId, so that a line that is read again after a crash is recognised.
        """


class Function(Protocol):
    """A step between contract and filter: events in, events out."""

    def transform(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what becomes of *events* (normalised; its own copies, free to change).

        Leave one out to drop it, add others to derive them. Raising fails the events of this call, which are then
        tried one by one.
        """
