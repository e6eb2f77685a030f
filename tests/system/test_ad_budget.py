"""An ad budget that is spent: 50 campaigns, 2,000 impressions a second, some twice, and ``kill -9`` in the middle."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import trio

from engine.client import connect
from tests.support.engine import Running
from tests.support.sink import Arrival, Sink

CAMPAIGNS = 50
CONNECTIONS = 10
IMPRESSIONS = 60
THRESHOLD = 40
PACE = 0.005
"""Seconds between two events of one connection: together 2,000 a second."""
RECENT = 1.0
"""Seconds before the kill: what arrived earlier was written down."""
CONFIG = """
[windows.budget]
source = "shop"
filter = 'event = "Ad Impression"'
key = "properties.campaign"
every = "365d"
measure = "sum"
value = "properties.cost"
threshold = {threshold}
event = "Budget Spent"
[destinations.ads]
type = "webhook"
url = "http://127.0.0.1:{port}/pause"
allow_private = true
[syncs.pause]
source = "shop"
destination = "ads"
[[syncs.pause.event_types]]
name = "spent"
filter = 'event = "Budget Spent"'
mapping = {{ n = "{{{{ row['properties'].key | cast: 'integer' }}}}", firing = "messageId" }}
"""


class Crowd:
    """Clients that see ads; each campaign's impressions come over one connection, in order."""

    def __init__(self, engine: Running) -> None:
        self.engine = engine
        self.crossed: dict[int, float] = {}
        """When the impression that spends a campaign's budget was sent."""

    async def watch(self, first: int) -> None:
        async with connect(self.engine.url, "key", buffer=10_000, roll=lambda: 0.1) as client:
            for shown in range(1, IMPRESSIONS + 1):
                for campaign in range(first, CAMPAIGNS, CONNECTIONS):
                    if shown == THRESHOLD:
                        self.crossed[campaign] = trio.current_time()
                    for _ in range(2 if shown % 5 == 0 else 1):
                        properties = {"campaign": campaign, "cost": 1}
                        await client.track("u1", "Ad Impression", properties, messageId=f"m{campaign}-{shown}")
                    await trio.sleep(PACE)
            await client.flush()
            assert client.statistics().refused == 0


async def test_a_budget_that_is_spent_pauses_its_campaign_once_whatever_happens_between(
    tmp_path: Path, sink: Sink, record_property
) -> None:
    engine = Running(tmp_path, CONFIG.format(threshold=THRESHOLD, port=sink.port))
    await engine.start()
    crowd = Crowd(engine)
    try:
        async with trio.open_nursery() as nursery:
            for first in range(CONNECTIONS):
                nursery.start_soon(crowd.watch, first)
            await sink.took(CAMPAIGNS // 5)
            engine.kill()
            killed = trio.current_time()
            await engine.start()
            back = trio.current_time()
        status = await engine.settled()

        by_campaign: dict[int, list[Arrival]] = defaultdict(list)
        for arrival in sink.arrivals:
            by_campaign[arrival.number].append(arrival)
        assert sorted(by_campaign) == list(range(CAMPAIGNS)), "none is missing"
        assert len({arrival.key for arrival in sink.arrivals}) == CAMPAIGNS, "one key for each firing"
        for campaign, (arrival, *again) in by_campaign.items():
            assert arrival.at > crowd.crossed[campaign], "none before the threshold"
            assert not again or killed - RECENT <= arrival.at <= back, "again only what was on its way at the kill"
        delays = [arrivals[0].at - crowd.crossed[campaign] for campaign, arrivals in by_campaign.items()]
        record_property("slowest firing, with the kill (s)", round(max(delays), 3))
        record_property("median firing (s)", round(sorted(delays)[CAMPAIGNS // 2], 4))
        record_property("sent again", len(sink.arrivals) - CAMPAIGNS)
        source, sync = status.sources[0], status.syncs[0]
        assert status.last == CAMPAIGNS * IMPRESSIONS, "no duplicate was counted"
        assert (source.derived, source.passed) == (CAMPAIGNS, CAMPAIGNS * (IMPRESSIONS + 1))
        assert (sync.created, sync.delivered) == (CAMPAIGNS, CAMPAIGNS)
    finally:
        engine.kill()
