"""A destination, compiled: its plugin with the settings of config.toml, and the pace it is served at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from engine.config import schema
from engine.config.lines import join
from engine.config.load import Loaded
from engine.errors import LangError, PluginError
from engine.lang.consent import Demands, demands
from engine.lang.path import getter, parse
from engine.lang.retry import RetryPolicy, Rules
from engine.plan.problems import Problems
from engine.plugin import Destination, EventType, Limits
from engine.registry import Registry

_encode = msgspec.json.Encoder(order="deterministic").encode

Kind: TypeAlias = type[Destination[Any]]
"""A destination plugin's class: what it takes is known without its settings."""


class DestinationPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One destination, compiled.

    Attributes:
        type: the plugin's name.
        destination: the plugin, with its settings.
        event_types: what it takes, by name.
        limits: the service's own, lowered by the user's ``rate``.
        rate: requests a second, or None for no limit.
        burst: requests that may go at once after a quiet time.
        concurrency: requests in flight at once.
        alike: from a payload to what must be equal for all payloads of one request; None if nothing must.
        linger: seconds that a request waits for its batch to fill.
        timeout: seconds for one request.
        allow_private: whether it may be on a loopback, link-local or private address.
        demands: what it asks of an event's own leave; None for nothing.
        policy: how long and how often a delivery is tried.
        breaker: when it counts as down.
    """

    name: str
    type: str
    destination: Destination[Any]
    event_types: dict[str, EventType]
    limits: Limits
    rate: float | None
    burst: int
    concurrency: int
    alike: Callable[[bytes], object] | None = None
    linger: float = 0.0
    timeout: float
    allow_private: bool
    demands: Demands | None = None
    policy: RetryPolicy
    breaker: schema.Breaker


def find_kind(name: str, loaded: Loaded, registry: Registry, problems: Problems) -> Kind | None:
    """Return the plugin's class for one destination of *loaded*, or None with *problems* grown."""
    try:
        return registry.destination(loaded.config.destinations[name].type)
    except PluginError as error:
        problems.plugin(f"{join('destinations', name)}.type", error)
        return None


def compile_destination(name: str, kind: Kind, loaded: Loaded, problems: Problems) -> DestinationPlan | None:
    """Return one destination of *loaded*, or None with *problems* grown."""
    table = loaded.config.destinations[name]
    made = _made(kind, name, loaded, problems)
    if made is None:
        return None
    _check_rules(name, table.retry, problems)
    limits = made.bounds()
    if limits.batch == 1 and (table.batch_keys or table.linger):
        key = "batch_keys" if table.batch_keys else "linger"
        what = "does nothing: a request holds one delivery"
        problems.warn(f"{join('destinations', name)}.{key}", what, "raise batch, or take this line out")
    rates = [float(rate) for rate in (table.rate, limits.rate) if rate is not None]
    rate = min(rates, default=None)
    return DestinationPlan(
        name=name,
        type=table.type,
        destination=made,
        event_types=dict(made.event_types),
        limits=msgspec.structs.replace(limits, rate=rate),
        rate=rate,
        burst=table.burst or max(1, math.ceil(rate or 1)),
        concurrency=table.concurrency,
        alike=_alike(name, table.batch_keys, problems),
        linger=float(table.linger),
        timeout=float(table.timeout),
        allow_private=table.allow_private,
        demands=demands_of(table),
        policy=_policy(table),
        breaker=table.breaker,
    )


def demands_of(table: schema.Destination | None) -> Demands | None:
    """Return what a destination asks of an event's own leave, or None for nothing."""
    return None if table is None else demands(table.integration, table.consent)


def _made(kind: Kind, name: str, loaded: Loaded, problems: Problems) -> Destination[Any] | None:
    """Return the plugin with its settings, which are the keys of its table that are not every destination's."""
    try:
        settings, found = loaded.settings(kind.Settings, name)
        problems.extend(found)
        return None if settings is None else kind(settings, name)
    except PluginError as error:
        problems.plugin(join("destinations", name), error)
        return None


def without_secrets(plan: DestinationPlan, loaded: Loaded) -> Destination[Any]:
    """Return the plugin as it would be if ``***`` were each of its secrets: for requests that are shown.

    Raises:
        PluginError: it cannot be made without them.
    """
    kind = type(plan.destination)
    settings, problems = loaded.settings(kind.Settings, plan.name, hide=True)
    if settings is None:
        raise PluginError("; ".join(problem.what for problem in problems))
    return kind(settings, plan.name)


def _policy(table: schema.Destination) -> RetryPolicy:
    retry = table.retry
    return RetryPolicy(
        window=float(retry.window),
        min_attempts=retry.min_attempts,
        base=retry.backoff.base,
        cap=retry.backoff.cap,
        max_age=float(retry.max_age),
        timeout=float(table.timeout),
        rules=Rules(
            retry=frozenset(retry.retry_on), archive=frozenset(retry.archive_on), pause=frozenset(retry.pause_on)
        ),
    )


def _alike(name: str, references: Sequence[str], problems: Problems) -> Callable[[bytes], object] | None:
    """Return what tells payloads of different requests apart, if any do."""
    reads = []
    for number, reference in enumerate(references):
        try:
            reads.append(getter(parse(reference)))
        except LangError as error:
            problems.lang(f"{join('destinations', name)}.batch_keys[{number}]", error)
    if not reads:
        return None

    def values(payload: bytes) -> object:
        body = msgspec.json.decode(payload)
        found = [read(body) for read in reads]
        # As JSON, 1 is neither true nor 1.0, and what is missing is neither null nor "".
        return tuple(None if value is msgspec.UNSET else _encode(value) for value in found)

    return values


def _check_rules(name: str, retry: schema.Retry, problems: Problems) -> None:
    """Note statuses that are to mean two things."""
    seen: dict[int, str] = {}
    for key in ("retry_on", "archive_on", "pause_on"):
        for status in getattr(retry, key):
            if seen.setdefault(status, key) != key:
                what = f"{status} stands in {seen[status]}, too"
                problems.error(f"{join('destinations', name)}.retry.{key}", what, "keep one of them")
