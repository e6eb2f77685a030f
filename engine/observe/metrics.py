"""The engine for Prometheus: made from its state when somebody scrapes, so that an event costs nothing.

Names follow what people look for, behind ``headrace_``: ``events_received_total``, ``end_to_end_latency_seconds``, …
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from engine.observe.balance import equations
from engine.observe.latency import Histogram
from engine.observe.status import Status

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Of what `exposition` returns."""

PREFIX = "headrace_"

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 1000.0)
"""Seconds up to which each bucket of a latency counts."""

STATES = ("closed", "half_open", "open", "attention", "paused", "disabled", "restarting", "down")
"""Of a destination, see `DestinationStatus`."""

Values = Iterable[tuple[tuple[str, ...], float]]
"""Label values, and what is measured."""


class Inside(msgspec.Struct, frozen=True, kw_only=True):
    """What a scrape tells beside the status; all since start.

    Attributes:
        version: of the engine.
        delivered: per sync, from receipt to arrival at the first attempt.
        stages: stage to the time from an event's receipt to the stage's end, observed once for each batch.
        loop_lag: how much later than asked for the loop woke a sleeper.
        responses: (destination, status) to requests that ended so; 0 is no answer.
        outcomes: (sync, state, reason) to how many attempts became a ledger row of that state.
        restarts: actor to how often it was started again; all of them, since a first one must be seen to rise from 0.
        connections: WebSockets that are open.
        limit, reserve: bytes, of ``[store]``.
    """

    version: str
    delivered: Mapping[str, Histogram] = {}
    stages: Mapping[str, Histogram] = {}
    loop_lag: Histogram = msgspec.field(default_factory=Histogram)
    responses: Mapping[tuple[str, int], int] = {}
    outcomes: Mapping[tuple[str, str, str], int] = {}
    restarts: Mapping[str, int] = {}
    connections: int = 0
    limit: int = 0
    reserve: int = 0


def exposition(status: Status, inside: Inside) -> bytes:
    """Return what Prometheus reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(status, inside))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Collector:
    """What a registry asks."""

    def __init__(self, status: Status, inside: Inside) -> None:
        self._status = status
        self._inside = inside

    def collect(self) -> Iterator[Metric]:
        """Yield everything."""
        status, inside = self._status, self._inside
        yield _gauge("build_info", "The version that runs.", ("version",), [((inside.version,), 1.0)])
        yield from _door(status)
        yield from _fates(status, inside)
        yield from _waiting(status)
        yield from _destinations(status, inside)
        yield from _latencies(inside)
        yield from _disk(status, inside)
        restarts = (((name,), count) for name, count in inside.restarts.items())
        yield _counter("actor_restarts", "How often an actor was started again.", ("actor",), restarts)
        yield _gauge("connections", "Open WebSocket connections.", (), [((), inside.connections)])
        residuals = (
            ((line.scope,), float(sum(n for _, n in line.came) - sum(n for _, n in line.went)))
            for line in equations(status)
            if line.scope.startswith(("door", "deliveries"))  # the others hold only when nothing is on its way
        )
        yield _gauge("books_residual", "What came less what became of it; 0 or a bug.", ("book",), residuals)


def _door(status: Status) -> Iterator[Metric]:
    received = (((one.name,), one.accepted) for one in status.sources)
    yield _counter("events_received", "Events accepted: new, and on disk.", ("source",), received)
    rejected = (((one.name, code), many) for one in status.sources for code, many in one.refused.items())
    yield _counter("events_rejected", "Events refused at the door, by code.", ("source", "reason"), rejected)
    again = (((one.name,), one.duplicate) for one in status.sources)
    yield _counter("events_duplicate", "Events that had been accepted before.", ("source",), again)
    yield _gauge("dedup_remembered", "messageIds held to know a duplicate.", (), [((), status.remembered)])
    gone = [((), status.forgotten)]
    yield _counter("dedup_forgotten", "messageIds that fell out before the window ended.", (), gone)


def _fates(status: Status, inside: Inside) -> Iterator[Metric]:
    fates = (
        ((one.name, fate), getattr(one, fate))
        for one in status.sources
        for fate in ("passed", "derived", "blocked", "dropped", "failed")
    )
    yield _counter("source_fates", "What became of events before any sync.", ("source", "fate"), fates)
    filtered = (((one.name, reason), many) for one in status.syncs for reason, many in one.filtered.items())
    yield _counter("filtered", "Events that a sync did not take, by reason.", ("sync", "reason"), filtered)
    for name, text in (
        ("created", "Deliveries made."),
        ("delivered", "Deliveries that arrived."),
        ("discarded", "Deliveries that were given up by a person or a changed plan."),
        ("erased", "Deliveries of users who were erased."),
    ):
        yield _counter(name, text, ("sync",), (((one.name,), getattr(one, name)) for one in status.syncs))
    retried = _summed(((sync,), many) for (sync, state, _), many in inside.outcomes.items() if state == "retrying")
    zero = {(one.name,): 0.0 for one in status.syncs}
    yield _counter("retried", "Attempts that failed and will be repeated.", ("sync",), (zero | retried).items())
    archived = (((sync, why), many) for (sync, state, why), many in inside.outcomes.items() if state == "archived")
    yield _counter("archived", "Deliveries that went to the archive, by reason.", ("sync", "reason"), archived)
    held = (((one.name,), one.archived) for one in status.syncs)
    yield _gauge("archive_deliveries", "Deliveries whose fate is the archive.", ("sync",), held)


def _waiting(status: Status) -> Iterator[Metric]:
    pending = (((one.name,), one.pending) for one in status.syncs)
    yield _gauge("pending", "Deliveries without a fate: on their way, or tried again later.", ("sync",), pending)
    ages = (((one.name,), one.oldest_pending or 0.0) for one in status.syncs)
    text = "Age of the oldest event that a sync has not settled; 0 if there is none."
    yield _gauge("oldest_event_age_seconds", text, ("sync",), ages)
    lags = [(("validator", one.name), one.lag) for one in status.sources]
    lags += [(("router", one.name), one.lag) for one in status.syncs]
    yield _gauge("lag_events", "Log positions that a reader is behind the stage before it.", ("stage", "name"), lags)
    attention = (((one.name,), one.state == "attention") for one in status.sources)
    yield _gauge("source_attention", "1 if a function of the source does not answer.", ("source",), attention)


def _destinations(status: Status, inside: Inside) -> Iterator[Metric]:
    depth = (((one.name,), one.waiting) for one in status.destinations)
    yield _gauge("queue_depth", "Deliveries that wait in a destination's lanes.", ("destination",), depth)
    flying = (((one.name,), one.in_flight) for one in status.destinations)
    yield _gauge("inflight", "Deliveries in requests that are not answered.", ("destination",), flying)
    states = (((one.name, state), one.state == state) for one in status.destinations for state in STATES)
    text = "1 for the state that a destination is in; closed is well."
    yield _gauge("destination_state", text, ("destination", "state"), states)
    codes = (((name, str(code) if code else "none"), many) for (name, code), many in inside.responses.items())
    text = "Requests by the status that they were answered with."
    yield _counter("destination_response", text, ("destination", "code"), codes)


def _latencies(inside: Inside) -> Iterator[Metric]:
    text = "From an event's receipt to its arrival at the first attempt."
    yield _histogram("end_to_end_latency_seconds", text, "sync", inside.delivered)
    text = "From an event's receipt to the end of a stage, once for each batch, of its first event."
    yield _histogram("stage_latency_seconds", text, "stage", inside.stages)
    text = "How much later than asked for the loop woke a sleeper."
    yield _histogram("loop_lag_seconds", text, "", {"": inside.loop_lag})


def _disk(status: Status, inside: Inside) -> Iterator[Metric]:
    yield _counter("log_positions", "Events ever accepted.", (), [((), status.last)])
    for name, text, value in (
        ("store_used_bytes", "Pages of the store in use.", status.used),
        ("store_limit_bytes", "What retention allows; 0 is no limit.", inside.limit),
        ("disk_free_bytes", "What the disk has left.", status.free),
        ("disk_reserve_bytes", "What is held back of it for outcomes.", inside.reserve),
        ("store_full", "1 while events are refused for want of room.", float(bool(status.full))),
    ):
        yield _gauge(name, text, (), [((), value)])


def _summed(values: Values) -> dict[tuple[str, ...], float]:
    sums: dict[tuple[str, ...], float] = {}
    for labels, value in values:
        sums[labels] = sums.get(labels, 0.0) + value
    return sums


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for chosen, value in values:
        family.add_metric(chosen, float(value))
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    """Return a family whose samples end in ``_total``."""
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for chosen, value in values:
        family.add_metric(chosen, float(value))
    return family


def _histogram(name: str, text: str, label: str, each: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(PREFIX + name, text, labels=(label,) if label else ())
    for value, counted in each.items():
        sums = zip(map(str, BOUNDS), map(float, counted.upto(BOUNDS)), strict=True)
        buckets = [*sums, ("+Inf", float(counted.count))]
        family.add_metric((value,) if label else (), buckets, counted.total)
    return family
