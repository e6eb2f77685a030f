"""config.toml as Structs: every key with its unit, default and reason.

``headrace config schema`` prints the JSON Schema made from this page; ``tests/house`` holds config.toml and the README
against it. Durations, sizes and rates are text with a unit ("5s", "32 KiB", "250/s"); secrets are ``env:NAME`` or
``file:PATH``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from engine.config.outward import Alerts as Alerts
from engine.config.outward import Breaker as Breaker
from engine.config.outward import Destination as Destination
from engine.config.outward import EventType as EventType
from engine.config.outward import Retry as Retry
from engine.config.outward import Sync as Sync
from engine.config.table import Count as Count
from engine.config.table import Table as Table
from engine.plugin import Secret
from engine.units import Address, Duration, Network, Rate, Size, Wait


class Limits(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[receiver.limits]`: what one client may ask of the receiver."""

    event: Size = Size("32 KiB")
    """Bytes of one event's JSON; the SDKs' own limit. A larger one is refused alone."""
    frame: Size = Size("4 MiB")
    """Bytes of one WebSocket frame or HTTP body; a larger one is refused whole."""
    inflated: Size = Size("16 MiB")
    """Bytes of one HTTP body after gzip."""
    connections: Count = 10_000
    """Open connections; a further one is closed at once."""
    window: Count = 2000
    """Events a WebSocket client may have unacknowledged."""


class Dedup(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[receiver.dedup]`: how long and how many messageIds are remembered, whichever ends first."""

    window: Duration = Duration("24h")
    """For how long a messageId seen again is a duplicate."""
    max: Count = 1_000_000
    """How many messageIds are held at most (about 100 bytes each)."""


class Tls(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[receiver.tls]`: what the receiver shows to clients that speak TLS; without it, it speaks in the clear."""

    cert: str
    """The certificate and what it was signed with, in one PEM file; relative to config.toml."""
    key: str
    """Its private key, a PEM file that only the engine may read."""


class Receiver(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[receiver]`: the port that events come in by, WebSocket and HTTP."""

    listen: Address = Address("127.0.0.1:8321")
    """host:port; port 0 takes a free one and prints it."""
    limits: Limits = Limits()
    """What one client may ask."""
    dedup: Dedup = Dedup()
    """What counts as a duplicate."""
    tls: Tls | None = None
    """The certificate; with it, clients use ``https://`` and ``wss://`` only."""
    trusted_proxies: tuple[Network, ...] = ()
    """Who may say, by ``Forwarded`` or ``X-Forwarded-For``, whom a request is from."""
    drain: Duration = Duration("5s")
    """How long clients have, at shutdown, to get their last acks."""


class Console(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[console]`: the console for people, and the Admin REST for machines, at ``/api/v1``."""

    listen: Address = Address("127.0.0.1:8322")
    """host:port; anything but loopback needs a token."""
    token: Secret | None = None
    """What people log in with and machines show; needed unless `listen` is loopback. ``sha256:HEX`` is its hash."""
    setup: bool = True
    """Whether its set-up wizard may write to config.toml; without it, it gives the text to copy."""


class Retention(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[store] retention`: when delivered events may go, whichever comes first."""

    age: Duration = Duration("3d")
    """Older log rows may go, unless something still waits for them."""
    size: Size = Size("20 GiB")
    """Above it the oldest may go; the archive has a size of its own."""


class Archive(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[store] archive`: when archived deliveries may go."""

    age: Duration = Duration("30d")
    """Older entries may go."""
    size: Size = Size("5 GiB")
    """Above it the oldest may go. What is noted of broken contracts may take a tenth of it besides."""


class Store(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[store]`: where accepted events live until they have a fate."""

    kind: Literal["sqlite", "memory"] = "sqlite"
    """``memory`` forgets everything when the process ends: for trials only."""
    path: str = "data"
    """The data folder, relative to config.toml."""
    retention: Retention = Retention()
    """When delivered events may go."""
    archive: Archive = Archive()
    """When archived deliveries may go."""
    reserve: Size = Size("64 MiB")
    """Disk held back: events are refused when only it is left, so that outcomes can still be written."""
    on_full: Literal["refuse", "archive_oldest"] = "refuse"
    """When what waits for destinations takes more than retention's `size`: refuse events, or archive what waits longest
    with the reason ``expired``."""


class Reload(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[reload]`: how a changed configuration takes effect while the engine runs."""

    watch: bool = True
    """Whether a file that was saved takes effect by itself, within seconds, if nothing is wrong with it; without it,
    ``headrace reload`` or SIGHUP."""


class Source(Table, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """`[sources.NAME]`: who may send, and what is checked. Keys beside these are the plugin's own settings."""

    type: str = "http"
    """The plugin: ``http`` (SDKs, by HTTP or WebSocket), ``webhook``, ``file``, or one that is installed."""
    write_keys: Annotated[tuple[Secret, ...], msgspec.Meta(min_length=1)] = ()
    """What clients show; several at once allow a change without loss. A ``file`` needs none."""
    origins: tuple[str, ...] = ()
    """Where the pages are from that may send, for example ``"https://*.shop.example"``; none given: from anywhere."""
    quota: Rate | None = None
    """Events a second for each write key, from servers; browsers, whose SDKs do not send again, are never refused."""
    contract: str | None = None
    """The name of a contract its events must keep."""
    shadow: str | None = None
    """The name of a contract to try out: held against the same events and reported, never enforced."""
    functions: tuple[str, ...] = ()
    """Names of functions that see its events, in order, between contract and filters."""
    enabled: bool = True
    """A disabled source refuses events with ``source_disabled``."""


class Contract(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[contracts.NAME]`: what a source's events promise."""

    path: str = ""
    """A YAML, JSON or TOML file, a folder of them, or a contract of Hightouch's git layout; instead of `events`."""
    events: tuple[ContractEvent, ...] = ()
    """The declared events."""
    on_undeclared_event: Literal["allow", "block"] = "allow"
    """What to do with an event that is not declared."""
    sources: tuple[str, ...] | None = None
    """Sources that must keep it without naming it; a source that names another contract keeps that one."""
    schema_version_path: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = (
        "context",
        "htevents",
        "schemaVersion",
    )
    """Keys that lead to the version of an event."""
    propagate: bool = False
    """Whether an event that goes on in spite of violations carries them in ``context.violations``."""


class ContractEvent(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[contracts.NAME.events]]`: one declared event."""

    type: Literal["track", "identify", "page", "screen", "group", "alias"]
    """Its call type."""
    name: str = ""
    """The name of a track event, to the letter."""
    version: str = "default"
    """Chosen by the event's ``context.htevents.schemaVersion``."""
    schema: dict[str, Any]
    """JSON Schema, draft 7, over the whole event."""
    on_undeclared_fields: Literal["allow", "block", "omit"] = "omit"
    """What to do with fields that the schema does not have."""
    on_schema_violation: Literal["allow", "block"] = "block"
    """What to do with an event that breaks the schema."""
    include_built_in_context: bool = True
    """Whether the fields that SDKs put into ``context`` by themselves are declared."""


class Function(Table, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """`[functions.NAME]`: code between contract and filters, yours or built in.

    Keys beside these are the settings of a built-in one.
    """

    type: str = ""
    """``redact``, ``lists``, ``sample``, ``user_agent``, ``rename``, or one that is installed; instead of `file`."""
    file: str = ""
    """Python with ``transform_events(events)``, or JavaScript with ``transformEvents(events)``."""
    isolation: Literal["process", "inline"] = "process"
    """Where it runs: in a process of its own, or ``inline`` in the engine's, for trusted code of microseconds."""
    timeout: Wait = Wait("5s")
    """How long a call may take, in a process of its own."""
    memory: Size = Size("256 MiB")
    """How much its process may take beyond what an empty one has."""
    secrets: dict[str, Secret] = {}
    """What its code finds as ``SECRETS``; it does not see the engine's environment."""


class Window(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[windows.NAME]`: a durable count, sum or number of distinct values per key, which fires at a threshold."""

    source: str
    """Whose events are counted, after its functions."""
    key: str
    """A reference: one window for each of its values, for example ``properties.campaign_id``."""
    every: Wait
    """How long a stretch is, by the time of receipt and counted from 1970 UTC: ``"1d"`` begins at midnight."""
    threshold: Annotated[float, msgspec.Meta(gt=0)]
    """The value at which it fires."""
    event: str
    """The name of the track event that it fires; its messageId is ``window:NAME:KEY:START``."""
    filter: str = ""
    """Which events count; none: all of the source."""
    measure: Literal["count", "sum", "distinct"] = "count"
    """What is measured of them."""
    value: str = ""
    """A reference: what is added up, or told apart."""
    fire: Literal["once"] = "once"
    """How often in one stretch."""


class Expect(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[cases]] expect`: one delivery that must come out."""

    sync: str
    """Which sync."""
    event_type: str = ""
    """The name of the event type that took it; "" for any."""
    payload: dict[str, Any] | None = None
    """Its whole payload; none given: any."""


class Case(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[cases]]`: an event and what must become of it; ``headrace test`` runs them."""

    name: str
    """A sentence: what is promised."""
    event: dict[str, Any]
    """The event as a client would send it."""
    source: str = ""
    """Which source it comes by; needed only if there are several."""
    before: tuple[dict[str, Any], ...] = ()
    """Events of that source that came just before it, for windows to count."""
    times: Count = 1
    """How often it comes; what becomes of it the last time is what is expected."""
    expect: tuple[Expect, ...] = ()
    """Every delivery that must come out, and no other."""
    fate: Literal["", "deliver", "filtered", "blocked", "archived"] = ""
    """What must become of it, when nothing comes out."""


class Config(Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """config.toml."""

    include: tuple[str, ...] = ()
    """Further files, as patterns relative to this one; their tables are added to these."""
    receiver: Receiver = Receiver()
    """The port that events come in by."""
    console: Console = Console()
    """The console, and the Admin REST."""
    store: Store = Store()
    """Where events live."""
    reload: Reload = Reload()
    """How changes take effect."""
    sources: dict[str, Source] = {}
    """Who may send."""
    contracts: dict[str, Contract] = {}
    """What they promise."""
    functions: dict[str, Function] = {}
    """User code."""
    windows: dict[str, Window] = {}
    """What is counted over time."""
    destinations: dict[str, Destination] = {}
    """Where to."""
    syncs: dict[str, Sync] = {}
    """Which events go where, as what."""
    alerts: Alerts | None = None
    """Whom to tell when something is not well."""
    cases: tuple[Case, ...] = ()
    """Tests of this file."""
    deliver_after_commit: bool = False
    """True: deliver only what is on disk already; costs milliseconds, saves duplicates after a crash."""
