"""Plans from a few lines of TOML, and a destination that takes anything."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.config.load import load
from engine.errors import ConfigError, Problem
from engine.messages import Delivery, Envelope, Event, Logged, Reply, Request
from engine.plan import Plan, compile_plan
from engine.plugin import Destination, EventType, Field, Item, Limits, PluginError, Secret, Settings
from engine.registry import Registry

NOW = 1767225600.0
"""2026-01-01T00:00:00Z."""


class BoxSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a `Box` needs to know."""

    url: str = "http://box.test/"
    """Where to."""
    token: Secret | None = None
    """Sent as ``authorization``."""


class Box(Destination[BoxSettings]):
    """A pure HTTP destination with one open, one typed and one closed event type."""

    Settings = BoxSettings
    event_types = {  # noqa: RUF012 - as every destination declares it
        "custom": EventType(label="Custom"),
        "purchase": EventType(
            label="Purchase",
            fields={
                "id": Field(label="Id", type="string", required=True),
                "price": Field(label="Price", type="number", required=True),
                "currency": Field(label="Currency", type="string", default={"value": "EUR"}, choices=("EUR", "USD")),
                "products": Field(label="Products", type="array"),
            },
        ),
        "closed": EventType(label="Closed", fields={"name": Field(label="Name", type="string")}, open=False),
        "wrapped": EventType(label="Wrapped", properties_field="attributes"),
    }
    limits = Limits(batch=2, rate=100.0)

    def __init__(self, settings: BoxSettings, name: str) -> None:
        if not settings.url.startswith("http"):
            raise PluginError(f"url must be http or https, not {settings.url!r}\nwrite http://…")
        super().__init__(settings, name)

    def request(self, batch: Sequence[Delivery], at: float) -> Request:
        """Return a POST of the payloads."""
        headers = [("content-type", "application/json")]
        if self.settings.token:
            headers.append(("authorization", f"Bearer {self.settings.token}"))
        body = b"[" + b",".join(delivery.payload for delivery in batch) + b"]"
        return Request(url=f"{self.settings.url}?at={at:.0f}", headers=tuple(headers), body=body)

    def verdicts(self, reply: Reply, batch: Sequence[Delivery]) -> Sequence[Item] | None:
        """Let the status decide."""
        return None


REGISTRY = Registry(
    {
        "destinations": {"box": "tests.support.plans:Box"},
        "functions": {
            "javascript": "plugins.functions.javascript:JavaScript",
            "python": "plugins.functions.python:Python",
        },
        "sources": {},
    },
    entry_points=False,
)

HEAD = """
[sources.shop]
write_keys = ["key"]
[destinations.crm]
type = "box"
"""
"""A source and a destination, for syncs to stand below."""


def plan_of(text: str, *, env: Mapping[str, str] | None = None, folder: Path | None = None) -> Plan:
    """Return the plan of a config.toml with this text, in *folder* if functions are to be found there."""
    path = (folder or Path()) / "config.toml"

    def read_file(wanted: Path) -> bytes:
        return textwrap.dedent(text).encode() if wanted == path else wanted.read_bytes()

    return compile_plan(load(path, env={} if env is None else env, read_file=read_file), REGISTRY)


def problems_of(text: str, *, folder: Path | None = None) -> list[str]:
    """Return every problem of that config.toml as ``line: where: what`` and its hint."""
    try:
        plan_of(text, folder=folder)
    except ConfigError as error:
        return told(error.problems)
    return []


def told(problems: Sequence[Problem]) -> list[str]:
    """Return problems as text, without the file's name."""
    return [f"{problem.line}: {msgspec.structs.replace(problem, file='')}" for problem in problems]


def logged(event: dict[str, Any], *, position: int = 1, source: str = "shop", message_id: str = "m1") -> Logged:
    """Return an event as the log holds it."""
    envelope = Envelope(message_id=message_id, received_at=NOW)
    return Logged(position=position, source=source, raw=msgspec.json.encode(event), envelope=envelope)


def event(body: dict[str, Any], *, position: int = 1, message_id: str = "m1") -> Event:
    """Return an event as routers get it."""
    return Event(position=position, message_id=message_id, received_at=NOW, body=body)
