"""A busy engine to be killed: a function, a window, retries, an archive, and four syncs, one of them ordered."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import msgspec
import trio

from engine.client import connect
from engine.messages import Reply
from engine.observe.status import Status
from tests.support import dead
from tests.support.engine import Running
from tests.support.order import Came, disorder
from tests.support.sink import Arrival, Sink

CONNECTIONS = 10
PACE = 0.02
"""Seconds between two events of one connection: together 500 a second."""
RECENT = 1.0
"""Seconds before a death: what arrived earlier was written down (every 250 ms, and the machine may be busy)."""
WINDOW = 3072 + 2000
"""README's in-flight window of a sync: what was in flight, and the outcomes of one maintenance transaction."""
SUMS = 2_000_000
"""Added to the numbers of the sync that shares a destination."""
DERIVED = 1_000_000
"""Added to the numbers of the events that the function derives."""
GROUP = 100
"""Numbers with one key of the window."""
THRESHOLD = 40

FUNCTION = """
def transform_events(events):
    made = []
    for event in events:
        n = event["properties"].get("n", 1)
        if n % 10:
            made.append(event)
        if n % 10 == 1 and event["event"] == "Seen":
            made.append(event | {"properties": {"n": n + 1_000_000}})
    return made
"""
"""Drops every tenth event and derives another from every tenth."""

CONFIG = """
functions = ["busy"]
[store]
retention = {{ age = "15s" }}
{store}
[functions.busy]
file = "busy.py"
[windows.many]
source = "shop"
filter = 'event = "Seen" and exists(properties.group)'
key = "properties.group"
every = "365d"
measure = "count"
threshold = {threshold}
event = "Many"
[destinations.crm]
type = "webhook"
url = "http://127.0.0.1:{crm}/in"
allow_private = true
{more}
[destinations.flaky]
type = "webhook"
url = "http://127.0.0.1:{flaky}/in"
allow_private = true
retry = {{ backoff = "50ms..500ms" }}
breaker = {{ failures = 1_000_000, ratio = 1.0 }}
[destinations.alerts]
type = "webhook"
url = "http://127.0.0.1:{alerts}/in"
allow_private = true
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
filter = 'event = "Seen"'
mapping = {{ n = "properties.n" }}
[syncs.sums]
source = "shop"
destination = "crm"
[[syncs.sums.event_types]]
filter = 'properties.sum = true'
mapping = {{ n = "{{{{ row['properties'].n | plus: 2000000 | cast: 'integer' }}}}" }}
[syncs.trials]
source = "shop"
destination = "flaky"
order_by = "userId"
[[syncs.trials.event_types]]
filter = 'properties.trial = true'
mapping = {{ n = "properties.n" }}
[syncs.alerts]
source = "shop"
destination = "alerts"
[[syncs.alerts.event_types]]
filter = 'event = "Many"'
mapping = {{ n = "{{{{ row['properties'].key | cast: 'integer' }}}}" }}
"""


class Death(msgspec.Struct, kw_only=True):
    """One end of an engine.

    Attributes:
        how: the fault point, or "at random".
        at: trio's clock.
        back: when one accepted events again.
    """

    how: str
    at: float
    back: float = math.inf


class World:
    """One engine that dies again and again, those who send to it, and where it delivers.

    Args:
        folder: for the engine.
        sinks: of the destinations crm, flaky and alerts.
        more: of the destination crm.
        store: more of the store.
    """

    def __init__(self, folder: Path, sinks: tuple[Sink, Sink, Sink], *, more: str = "", store: str = "") -> None:
        self.crm, self.flaky, self.alerts = sinks
        self.flaky.judge = self._judge
        ports = {"crm": self.crm.port, "flaky": self.flaky.port, "alerts": self.alerts.port}
        text = CONFIG.format(**ports, threshold=THRESHOLD, more=more, store=store)
        self.engine = Running(folder, text, module="tests.support.faults")
        (folder / "busy.py").write_text(FUNCTION)
        self.deaths: list[Death] = []
        self.recoveries: list[float] = []
        """Seconds from the start of each process that came to accept events until it did."""
        self.sent = 0
        self.acked: dict[int, int] = {}
        self.by: list[int] = []
        """Who sent each number; its events are ordered by that in the sync trials."""
        self.over = False
        self._met: set[bytes] = set()

    async def load(self) -> None:
        """Send until told that it is over, and until everything is acknowledged."""
        async with trio.open_nursery() as nursery:
            for own in range(CONNECTIONS):
                nursery.start_soon(self._send, own)

    async def start(self) -> None:
        """Start the engine; one that is to die in its beginning may."""
        began = trio.current_time()
        await self.engine.start()
        self.recoveries.append(trio.current_time() - began)
        for death in self.deaths:
            death.back = min(death.back, trio.current_time())

    def died(self, how: str) -> None:
        """Note a death, and look at what it left: every acknowledged event, and books that balance."""
        self.engine.kill()
        self.deaths.append(Death(how=how, at=trio.current_time()))
        assert dead.log_end(self.engine.folder) >= sum(self.acked.values()), how
        assert dead.unbalanced(self.engine.folder) == [], how

    async def _send(self, own: int) -> None:
        async with connect(self.engine.url, "key", buffer=100_000, roll=lambda: 0.1) as client:
            while not self.over:
                n, self.sent = self.sent, self.sent + 1
                self.by.append(own)
                properties = {"n": n, "group": n // GROUP, "sum": n % 4 == 1, "trial": n % 4 == 3}
                await client.track(f"u{own}", "Seen", properties, messageId=f"m{n}")
                self.acked[own] = client.statistics().acked
                await trio.sleep(PACE)
            await client.flush()
            assert client.statistics().refused == 0

    def _judge(self, body: bytes) -> Reply:
        number = int(body[5:-1])
        if number % 100 == 3:
            return Reply(status=400)
        fine = number % 7 != 3 or body in self._met
        self._met.add(body)
        return Reply(status=200 if fine else 503)

    def check(self, status: Status) -> dict[str, int]:
        """Check that everything that was acknowledged has its fate; return how many arrived twice, by destination.

        Args:
            status: at rest, with every event acknowledged.
        """
        sent = range(self.sent)
        kept = {n for n in sent if n % 10}
        derived = {n + DERIVED for n in sent if n % 10 == 1}
        sums = {n + SUMS for n in kept if n % 4 == 1}
        trials = {n for n in kept if n % 4 == 3}
        bad = {n for n in trials if n % 100 == 3}
        groups: dict[int, int] = defaultdict(int)
        for n in kept:
            groups[n // GROUP] += 1
        fired = {group for group, many in groups.items() if many >= THRESHOLD}
        assert self.crm.taken == kept | derived | sums
        assert self.flaky.taken == trials - bad
        assert self.alerts.taken == fired
        syncs = {sync.name: (sync.created, sync.delivered, sync.archived) for sync in status.syncs}
        assert syncs == {
            "orders": (len(kept | derived),) * 2 + (0,),
            "sums": (len(sums),) * 2 + (0,),
            "trials": (len(trials), len(trials - bad), len(bad)),
            "alerts": (len(fired),) * 2 + (0,),
        }
        assert status.last == self.sent
        assert disorder(Came(self.by[one.number], one.key, one.number) for one in self.flaky.arrivals) == []
        return {name: self._twice(getattr(self, name)) for name in ("crm", "flaky", "alerts")}

    def _twice(self, sink: Sink) -> int:
        """Return how many deliveries were taken again; each was on its way at a death, and has its own key."""
        taken: dict[int, list[Arrival]] = defaultdict(list)
        for arrival in sink.arrivals:
            if arrival.status == 200:
                taken[arrival.number].append(arrival)
        keys = [{arrival.key for arrival in arrivals} for arrivals in taken.values()]
        assert all(len(own) == 1 for own in keys), "one key for each delivery, at every attempt"
        assert len(set().union(*keys)) == len(taken), "and no two deliveries with the same"
        for number, (first, *again) in taken.items():
            fine = not again or any(death.at - RECENT <= first.at <= death.back for death in self.deaths)
            assert fine, f"{number} was written down at {first.at} and sent again; {self.deaths}"
        return sum(len(arrivals) - 1 for arrivals in taken.values())
