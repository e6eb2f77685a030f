"""The tables of the way out: destinations, syncs and what belongs to them. `engine.config.schema` is the whole file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from engine.config.table import Count, Table
from engine.plugin import Secret
from engine.units import Backoff, Duration, Rate, Size, Start, Wait

Status = Annotated[int, msgspec.Meta(ge=300, le=599)]
"""An HTTP status that does not mean success."""


class Retry(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[destinations.NAME.retry]`: how long and how often a delivery is tried (full jitter between attempts)."""

    window: Duration = Duration("4h")
    """From the first attempt; Segment's figure. Time the destination was down or told us to wait does not count."""
    min_attempts: Count = 3
    """At least so many attempts, however long they take."""
    backoff: Backoff = Backoff("5s..5m")
    """The longest wait before the second attempt, and the longest of all."""
    max_age: Duration = Duration("72h")
    """After this since receipt it is archived whatever happened."""
    retry_on: tuple[Status, ...] = ()
    """Further statuses that are tried again, for example ``[409]``; else 408, 423, 425, 429 and 5xx but 501, 505."""
    archive_on: tuple[Status, ...] = ()
    """Further statuses that are given up at once, for example ``[403]``; else 3xx and the other 4xx."""
    pause_on: tuple[Status, ...] = ()
    """Further statuses at which the destination waits for attention, for example ``[407]``; else 401 and 403."""


class Breaker(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[destinations.NAME.breaker]`: when a destination counts as down."""

    failures: Count = 20
    """So many failed requests in a row."""
    ratio: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    """Or this share of at least 50 requests within a minute."""
    probe: Wait = Wait("30s")
    """How often one request tries whether it is up again."""


class Destination(Table, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """`[destinations.NAME]`: where to. Keys beside these are the plugin's own settings."""

    type: str
    """The plugin: ``webhook``, ``file``, ``log``, ``mock``, or one that is installed."""
    rate: Rate | None = None
    """Requests a second at most, for example ``"50/s"``."""
    burst: Count | None = None
    """Requests that may go at once after a quiet time; default: one second's worth."""
    concurrency: Count = 4
    """Requests in flight at once."""
    batch_keys: tuple[str, ...] = ()
    """References into the payload, for example ``["list_id"]``: one request holds only payloads with equal values."""
    linger: Duration = Duration(0)
    """How long a request waits for its batch to fill; 0 sends what is there, and load makes batches grow."""
    timeout: Wait = Wait("10s")
    """For one request, from connect to the reply's last byte."""
    allow_private: bool = False
    """Whether it may be on a loopback, link-local or private address."""
    integration: str = ""
    """The name by which an event's own ``integrations`` may leave it out, to the letter, for example ``"Braze"``."""
    consent: tuple[str, ...] = ()
    """Categories that an event's ``context.consent`` must allow, if it has one, for example ``["advertising"]``."""
    retry: Retry = Retry()
    """How long and how often a delivery is tried."""
    breaker: Breaker = Breaker()
    """When it counts as down."""


class EventType(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[syncs.NAME.event_types]]`: a filter, a mapping, and the kind of object at the destination."""

    type: str = "custom"
    """One of the destination's event types."""
    name: str = ""
    """Its name in payload keys and lists; default: its type, numbered if repeated."""
    filter: str = ""
    """Which events, for example ``event = "Order Completed"``; none takes every event."""
    mapping: dict[str, Any] = {}
    """Target = value; see the language page."""
    properties_column: str | None = None
    """A reference to an object (or JSON text) that becomes the base of the payload."""
    when_missing_object: Literal["create", "update_only", "skip"] | None = None
    """What to do when the object is not there, for destinations that know objects."""


class Sync(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[syncs.NAME]`: one source to one destination."""

    source: str
    """The name of a source."""
    destination: str
    """The name of a destination."""
    event_types: Annotated[tuple[EventType, ...], msgspec.Meta(min_length=1)]
    """Tried in this order."""
    match: Literal["first", "all"] = "first"
    """Whether the first matching event type takes the event, or each."""
    enabled: bool = True
    """A disabled sync filters every event, reason ``disabled``; pausing keeps them instead."""
    start: Start = Start("latest")
    """Where a new sync begins: ``latest``, ``earliest``, or a time (ISO-8601)."""
    order_by: str = ""
    """A reference, for example ``userId``: of the events with the same value one at a time is sent, in order."""
    order_timeout: Duration = Duration("10m")
    """How long one that fails may hold up the others of its key, not counting time the destination was down."""
    on_order_timeout: Literal["release", "archive_key"] = "release"
    """What then: archive it alone and go on, or archive all that wait behind it too."""
    was: str = ""
    """The name it had: a renamed sync keeps its place, its counts and what it has in the archive."""


class Alerts(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[alerts]`: whom to tell when something is not well, and when it is again: a JSON POST for each change."""

    url: Secret
    """Where to POST; a chat's incoming webhook that takes ``{"text": …}`` will do. Better ``env:NAME``."""
    secret: Secret | None = None
    """Signs every post the Standard Webhooks way; ``whsec_<base64>``, or any other text as it is."""
    allow_private: bool = False
    """Whether it may be on a loopback, link-local or private address."""
    every: Wait = Wait("10s")
    """How often the engine is looked at."""
    oldest_pending: Wait = Wait("1h")
    """A delivery that has waited for longer is told."""
    archived: Count = 100
    """More archived deliveries of one sync, within `archived_within`, are told."""
    archived_within: Wait = Wait("1h")
    """See `archived`."""
    disk_free: Size = Size("1 GiB")
    """A disk with less room is told."""
