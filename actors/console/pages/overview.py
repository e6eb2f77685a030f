"""The first page: is all well, how much comes and goes, how fast, and what becomes of it in each sync."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from actors.console import words
from actors.console.charts import Chart, chart
from actors.console.visit import Page, Visit
from actors.console.wizard import news
from engine.observe.sampling import Sample
from engine.observe.status import SourceStatus, Status, SyncStatus
from engine.runtime.http_message import Response

BAR: Final = 100
"""What the longest bar of a funnel is wide."""
RECENT: Final = 15
"""Seconds for which a latency is shown after the last arrival."""
RATES: Final = ("read", "delivered", "refused")
LATENCIES: Final = ("p50", "p99")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a funnel.

    Attributes:
        key: by which the browser finds it.
        name, count: what is shown.
        width: of its bar, 0 to `BAR`.
        tone: its colour.
        reasons: why, each with how many.
    """

    key: str
    name: str
    count: int
    width: float
    tone: str
    reasons: tuple[tuple[str, int], ...] = ()


class Funnel(msgspec.Struct, frozen=True, kw_only=True):
    """One sync with its steps."""

    sync: SyncStatus
    steps: tuple[Step, ...]


async def show(visit: Visit) -> Response:
    """Show the engine at a glance."""
    status = await visit.operator.status()
    samples = visit.house.live.samples
    return await visit.page(
        "overview.html",
        engine=status,
        charts=charts(samples),
        tiles=tiles(status, samples),
        funnels=funnels(status),
        verdict=verdict(status),
    )


async def live(visit: Visit) -> Response:
    """Say every second what has changed."""
    return visit.house.live.feed(facts)


def facts(status: Status, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the texts, tones, widths and numbers that an open page takes over, by the key of what shows them."""
    texts = {f"tile:{key}": text for key, _, text, _ in tiles(status, samples)}
    tones: dict[str, str] = {}
    widths: dict[str, float] = {}
    for funnel in funnels(status):
        for step in funnel.steps:
            texts[step.key], widths[step.key] = words.number(step.count), step.width
            texts |= {f"{step.key}:{reason}": words.number(count) for reason, count in step.reasons}
    for sync in status.syncs:
        texts |= {f"sync:{sync.name}:{key}": text for key, text in _sync_texts(sync).items()}
        tones[f"sync:{sync.name}:state"] = words.tone(sync.state)
        tones[f"sync:{sync.name}:news"] = words.GOOD if sync.delivered else words.HELD
    for source in status.sources:
        texts |= {f"source:{source.name}:{key}": text for key, text in _source_texts(source).items()}
        tones[f"source:{source.name}:state"] = words.tone(source.state)
    for one in status.destinations:
        texts[f"destination:{one.name}:state"] = words.said(one.state)
        texts[f"destination:{one.name}:waiting"] = words.number(one.waiting)
        texts[f"destination:{one.name}:flight"] = words.number(one.in_flight)
        texts[f"destination:{one.name}:reason"] = one.reason
        tones[f"destination:{one.name}:state"] = words.tone(one.state)
    texts["verdict"], tones["verdict"] = verdict(status)
    numbers = {key: getattr(samples[-1], key) for key in (*RATES, *LATENCIES)}
    return {"texts": texts, "tones": tones, "widths": widths, "numbers": numbers}


def _sync_texts(sync: SyncStatus) -> dict[str, str]:
    return {
        "state": words.said(sync.state),
        "lag": words.number(sync.lag),
        "news": news(sync),
        "oldest": words.age(sync.oldest_pending),
        "p50": words.age(sync.p50),
        "p99": words.age(sync.p99),
    }


def _source_texts(source: SourceStatus) -> dict[str, str]:
    texts = {"state": words.said(source.state)}
    return (
        texts
        | {key: words.number(getattr(source, key)) for key in ("read", "accepted", "duplicate", "lag")}
        | {"refused": words.number(sum(source.refused.values()))}
    )


def verdict(status: Status) -> tuple[str, str]:
    """Return in a sentence whether all is well, and its tone."""
    if status.full:
        return f"Events are refused: {status.full}", words.BAD
    states = [(one.name, one.state) for one in status.sources]
    states += [(one.name, one.state) for one in status.syncs]
    states += [(one.name, one.state) for one in status.destinations]
    ill = [name for name, state in states if words.tone(state) == words.BAD]
    if ill:
        return f"{', '.join(ill)}: {'needs' if len(ill) == 1 else 'need'} attention; the events wait", words.BAD
    held = [name for name, state in states if state == "paused"]
    if held:
        return f"{', '.join(held)} {'is' if len(held) == 1 else 'are'} paused; the events wait", words.HELD
    return "All is well", words.GOOD


def tiles(status: Status, samples: Sequence[Sample]) -> list[tuple[str, str, str, str]]:
    """Return key, name, value and a remark of each figure on top."""
    now = samples[-1] if samples else Sample(at=0.0)
    arrived = next((one for one in list(samples)[: -RECENT - 1 : -1] if one.p50 is not None), now)
    oldest = max((sync.oldest_pending or 0.0 for sync in status.syncs), default=0.0)
    pending = sum(sync.pending + sync.lag for sync in status.syncs)
    return [
        ("read", "Received", f"{words.rate(now.read)}/s", "events at the door"),
        ("delivered", "Delivered", f"{words.rate(now.delivered)}/s", "to all destinations"),
        ("p50", "Latency, p50", words.age(arrived.p50), "receipt to arrival"),
        ("p99", "Latency, p99", words.age(arrived.p99), "receipt to arrival"),
        ("oldest", "Oldest pending", words.age(oldest or None), "since it was received"),
        ("pending", "Waiting", words.number(pending), "deliveries and events behind"),
        ("last", "Accepted", words.number(status.last), "events, ever"),
        ("used", "Store", words.size(status.used), f"{words.size(status.free)} of disk free"),
    ]


def charts(samples: Sequence[Sample]) -> tuple[Chart, Chart]:
    """Return throughput and latency over the last minutes."""

    def series(name: str, key: str) -> tuple[str, str, list[float | None]]:
        return name, key, [getattr(one, key) for one in samples]

    rates = [series("received", "read"), series("delivered", "delivered"), series("refused", "refused")]
    return (
        chart("Throughput", "rate", rates),
        chart("Latency", "seconds", [series("p50", "p50"), series("p99", "p99")]),
    )


def funnels(status: Status) -> list[Funnel]:
    """Return every sync's funnel."""
    sources = {source.name: source for source in status.sources}
    return [_funnel(sync, sources.get(sync.source) or SourceStatus(name=sync.source)) for sync in status.syncs]


def _funnel(sync: SyncStatus, source: SourceStatus) -> Funnel:
    lost = [(fate, getattr(source, fate)) for fate in ("blocked", "dropped", "failed")]
    counted: list[tuple[str, int, str, Sequence[tuple[str, int]]]] = [
        ("received", source.read, words.GOOD, ()),
        ("refused", sum(source.refused.values()), words.BAD, _most(source.refused)),
        ("held back", sum(count for _, count in lost), words.BAD, [each for each in lost if each[1]]),
        ("filtered", sum(sync.filtered.values()), words.HELD, _most(sync.filtered)),
        ("pending", sync.pending, words.BUSY, ()),
        ("delivered", sync.delivered, words.GOOD, ()),
        ("archived", sync.archived, words.BAD, ()),
    ]
    most = max((count for _, count, _, _ in counted), default=0) or 1
    steps = tuple(
        Step(
            key=f"funnel:{sync.name}:{name}",
            name=name,
            count=count,
            width=round(count / most * BAR, 1),
            tone=tone,
            reasons=tuple(reasons),
        )
        for name, count, tone, reasons in counted
    )
    return Funnel(sync=sync, steps=steps)


def _most(reasons: dict[str, int]) -> list[tuple[str, int]]:
    """Return the reasons that most often held, at most five."""
    return sorted(reasons.items(), key=lambda each: -each[1])[:5]


PAGES: Final = (Page(path="/", show=show, name="Overview"), Page(path="/live/overview", show=live))
