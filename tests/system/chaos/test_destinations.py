"""Every way in which a destination can be sick, on real sockets: what becomes of its deliveries, what it is asked
meanwhile, and that a healthy one beside it gets everything at once.

Two minutes of trio's clock, which jumps when nothing moves, with the settings that everybody has. The engine is in the
test's own process, so that its tasks and sockets can be counted.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from engine.messages import State
from engine.store.base import Selection
from tests.support import rogue
from tests.support.grown import Engine, grow, unbalanced
from tests.support.rogue import Manner, Rogue, answering, reply, well
from tests.support.stranger import Papers

EVENTS = 30
SICK = 130.0
"""Seconds."""
CONCURRENCY = 4
OPENS = 20
"""Failures in a row."""
AT_ONCE = (OPENS + 4, OPENS + 4 + CONCURRENCY)
"""Attempts in that time where each fails at once: what opens the breaker, what was in flight, a probe every 30 s."""
LATE = (OPENS + 1, OPENS + 3 + CONCURRENCY)
"""Where each takes 10 s to fail: a probe every 40 s from then on."""
NOBODY = (0, 0)
ALL = (EVENTS, EVENTS)
DOWN = "20 failures in a row"
REFUSES = "the destination refuses us (status 401): check its credentials"

CONFIG = """
[destinations.crm]
type = "webhook"
url = "{url}"
allow_private = true
[destinations.erp]
type = "webhook"
url = "http://127.0.0.1:{well}/in"
allow_private = true
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
mapping = {{ n = "properties.n" }}
[syncs.others]
source = "shop"
destination = "erp"
[[syncs.others.event_types]]
mapping = {{ n = "properties.n" }}
"""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One way to be sick, and what is to be seen after two minutes of it.

    Attributes:
        manner: of the destination; None if nobody listens.
        papers: which certificate it shows; "" speaks in the clear.
        host: by which name it is called.
        scheme: ``https`` if the engine is to speak TLS.
        attempts: least and most that count against the deliveries.
        requests: least and most whole requests that came there.
        waits: the reason that its deliveries wait with; "" if none waits.
        error: what went wrong, as ``errors list`` says it; ``{port}`` is the destination's.
        state: of the destination.
        reason: for it.
        archived: the reason that its deliveries are archived with; "" if none is.
    """

    manner: Manner | None = well
    papers: str = ""
    host: str = "127.0.0.1"
    scheme: str = "http"
    attempts: tuple[int, int] = AT_ONCE
    requests: tuple[int, int] = NOBODY
    waits: str = ""
    error: str = ""
    state: str = "open"
    reason: str = DOWN
    archived: str = ""


def fine(manner: Manner) -> Case:
    """Return a case that only looks sick."""
    return Case(manner=manner, attempts=NOBODY, requests=ALL, state="closed", reason="")


def broken(manner: Manner, error: str, requests: tuple[int, int] = AT_ONCE) -> Case:
    """Return a case without an answer."""
    return Case(manner=manner, requests=requests, waits="network", error=error)


def late(manner: Manner) -> Case:
    """Return a case whose answer never ends."""
    error = "ReadTimeout: 127.0.0.1 took longer than 10 s (read)"
    return Case(manner=manner, attempts=LATE, requests=LATE, waits="timeout", error=error)


def bad(status: int, *headers: str, **told: Any) -> Case:
    """Return a case that is answered with this status."""
    usual: dict[str, Any] = {"requests": AT_ONCE, "waits": f"status_{status}", "error": f"status {status}"}
    return Case(manner=answering(reply(status, b"{}", *headers)), **usual | told)


def final(status: int, *headers: str) -> Case:
    """Return a case whose status ends it."""
    none = {"attempts": NOBODY, "waits": "", "error": "", "state": "closed", "reason": ""}
    return bad(status, *headers, requests=ALL, archived=f"rejected_{status}", **none)


def insecure(papers: str, error: str, manner: Manner | None = well) -> Case:
    """Return a case in which no TLS comes about."""
    return Case(scheme="https", papers=papers, manner=manner, waits="network", error=f"ConnectError: {error}")


LENGTH = "peer closed connection without sending complete message body (received 1 bytes, expected 100)"
RESET = "ReadError: the connection broke: Connection reset by peer"
SILENT = "RemoteProtocolError: the server closed the connection without sending a response"
UNCONNECTED = "ConnectTimeout: 127.0.0.1 took longer than 10 s (connect)"
PACED = {"attempts": NOBODY, "requests": (4, 7)}
"""One for each hand, then one a minute, none of which counts as an attempt."""
CASES = {
    "dead": Case(
        manner=None,
        waits="network",
        error="ConnectError: cannot connect to 127.0.0.1:{port} (127.0.0.1: Connection refused)",
    ),
    "hanging": late(rogue.hang),
    "a byte every 3 s for ever": late(rogue.drip),
    "interim answers for ever": late(rogue.interim),
    "a body that trickles for ever": late(rogue.trickle),
    "a byte every 50 ms": fine(rogue.in_pieces),
    "headers for ever": broken(rogue.endless_head, "RemoteProtocolError: Receive buffer too long"),
    "a body for ever": fine(rogue.endless_body),  # the status is known, and no more than 10 KB of it are read
    "resets at once": broken(rogue.reset_at_once, RESET, NOBODY),
    "resets in the request": broken(rogue.reset_in_the_request, RESET, NOBODY),
    "resets in the reply": broken(rogue.reset_in_the_reply, RESET),
    "a reply cut short": broken(rogue.truncate, f"RemoteProtocolError: {LENGTH}"),
    "closes without a word": broken(rogue.close, SILENT),
    "turns everybody away": broken(rogue.turn_away, SILENT, NOBODY),
    # A kept connection that dies under a request costs no attempt: it is sent again at once, anew, with its key.
    "closes kept connections": fine(rogue.answer_once),
    "closes kept connections as the next request comes": fine(rogue.one_each),
    "closes kept connections on a request that it took": Case(
        manner=rogue.take_and_close, attempts=NOBODY, requests=(EVENTS, 2 * EVENTS), state="closed", reason=""
    ),
    "another protocol": broken(rogue.talk_nonsense, SILENT),
    "500": bad(500),
    "503": bad(503),
    "503 with Retry-After": bad(503, "Retry-After: 60", state="closed", reason="", **PACED),
    "429": bad(429),
    "429 with Retry-After": bad(429, "Retry-After: 60", state="closed", reason="", **PACED),
    "408": bad(408),
    "401": bad(
        401, attempts=(5, 8), requests=(5, 8), waits="needs_attention", state="attention", reason=REFUSES
    ),
    "400": final(400),
    "404": final(404),
    "413": final(413),
    "501": final(501),
    "a redirect, which is not followed": final(302, "Location: http://127.0.0.1:1/"),
    # A webhook has no words for what became of a payload but the status: what says 200 is believed.
    "200 with an error in it": fine(answering(reply(200, b'{"error":"no such tenant","ok":false}'))),
    "200 with a page": fine(answering(reply(200, b"<html>Please log in</html>", kind="text/html"))),
    "200 with garbage": fine(answering(reply(200, b"\x00\xff{{{"))),
    "a name that is not there": Case(
        host="crm.test",
        waits="network",
        error="ConnectError: crm.test does not resolve: Name or service not known",
    ),
    "a certificate that has expired": insecure(
        "expired", "no TLS with 127.0.0.1: the certificate is not good: certificate has expired"
    ),
    "a stranger's certificate": insecure(
        "stranger", "no TLS with 127.0.0.1: the certificate is not good: unable to get local issuer certificate"
    ),
    "a certificate it signed itself": insecure(
        "own", "no TLS with 127.0.0.1: the certificate is not good: self-signed certificate"
    ),
    "another's certificate": insecure(
        "other",
        "no TLS with 127.0.0.1: the certificate is not good: IP address mismatch, certificate is not valid for "
        "'127.0.0.1'",
    ),
    "a TLS handshake that nobody answers": Case(
        scheme="https", manner=rogue.listen_only, attempts=LATE, waits="timeout", error=UNCONNECTED
    ),
    "no TLS where there should be": insecure(
        "", "no TLS with 127.0.0.1: wrong version number", rogue.speak_in_the_clear
    ),
}  # fmt: skip
UNREACHED = Case(manner=None, attempts=LATE, waits="timeout", error=UNCONNECTED)


class Names:
    """The system's resolver, which does not know ``crm.test`` until it is told to."""

    def __init__(self) -> None:
        self.known = False
        self._system = socket.getaddrinfo

    def ask(self, host: Any, port: Any, *kind: Any, **flags: Any) -> Any:
        """Resolve that name to 127.0.0.1."""
        if host == "crm.test" and self.known and not flags.get("flags"):
            host = "127.0.0.1"
        elif host == "crm.test":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._system(host, port, *kind, **flags)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """Return certificates, good and bad; making keys takes a while."""
    return Papers(tmp_path_factory.mktemp("papers"))


class Scene:
    """A sick destination and a healthy one beside it."""

    def __init__(self, papers: Papers) -> None:
        self.papers = papers
        self.names = Names()
        self.sick, self.other = Rogue(well), Rogue(well)
        self.before = (0, 0)

    async def open(self, nursery: trio.Nursery) -> None:
        """Let both listen."""
        for one in (self.sick, self.other):
            await nursery.start(one.run)
        self.before = (tasks(), sockets())

    def fall_sick(self, case: Case) -> None:
        """Begin to behave so."""
        self.sick.tls = self.papers.context(case.papers) if case.papers else None
        if case.manner is None:
            self.sick.vanish()
        else:
            self.sick.behave(case.manner)

    def heal(self, case: Case) -> None:
        """Behave well, with good papers and under a known name."""
        self.names.known = True
        self.sick.tls = self.papers.context("good") if case.scheme == "https" else None
        self.sick.behave(well)

    def config(self, case: Case) -> str:
        """Return the engine's destinations and syncs."""
        return CONFIG.format(url=f"{case.scheme}://{case.host}:{self.sick.port}/in", well=self.other.port)


def sockets() -> int:
    return len([one for one in Path("/proc/self/fd").iterdir() if _is_socket(one)])


def _is_socket(one: Path) -> bool:
    try:
        return str(one.readlink()).startswith("socket:")
    except OSError:  # the listing's own, which is gone
        return False


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


async def waiting(engine: Engine) -> Sequence[Any]:
    """Return what waits to be tried again."""
    return await engine.store.ledger.list(Selection(states=(State.RETRYING,)))


async def tell_of(engine: Engine, scene: Scene, case: Case) -> None:
    """Hold what is to be seen while the destination is sick against the case."""
    status = await engine.tree.operator.status()
    [sick, healthy], [orders, _] = status.destinations, status.syncs
    rows = await waiting(engine)
    assert (sick.state, sick.reason) == (case.state, case.reason)
    assert (healthy.state, healthy.reason) == ("closed", "")
    assert {row.reason for row in rows} == ({case.waits} if case.waits else set())
    assert {row.error for row in rows} == ({case.error.format(port=scene.sick.port)} if case.error else set())
    assert case.attempts[0] <= sum(row.attempts for row in rows) <= case.attempts[1]
    assert case.requests[0] <= len(scene.sick.requests) <= case.requests[1]
    assert scene.sick.open <= CONCURRENCY
    assert {row.reason for row in await engine.archived()} == ({case.archived} if case.archived else set())
    delivered = 0 if case.waits or case.archived else EVENTS
    assert (orders.delivered, orders.archived) == (delivered, EVENTS if case.archived else 0)
    assert unbalanced(status) == []


async def all_is_told(engine: Engine, scene: Scene, case: Case) -> None:
    """Hold what became of everything against the case, once the destination is well again."""
    status = await engine.settled(3600)
    orders = status.syncs[0]
    assert (orders.delivered, orders.archived) == ((0, EVENTS) if case.archived else (EVENTS, 0))
    assert set(scene.sick.numbers) == set(range(1, EVENTS + 1))
    assert len(scene.sick.keys) == EVENTS  # however often it came
    assert len(scene.sick.numbers) <= case.requests[1] + 1 + EVENTS
    assert sorted(scene.other.numbers) == list(range(1, EVENTS + 1))
    assert {one.state for one in status.destinations} == {"closed"}
    assert max(scene.sick.open, scene.other.open) <= CONCURRENCY
    assert unbalanced(status) == []


async def go_through(nursery: trio.Nursery, scene: Scene, case: Case) -> None:
    """Let a destination be sick for two minutes and well again, and count what is left over."""
    engine = await grow(nursery, scene.config(case))
    await engine.unwatched()
    await engine.send(EVENTS)
    await scene.other.came(EVENTS)  # while the clock stands: nobody waits for the sick one
    assert trio.current_time() == 0.0 or case.manner is rogue.in_pieces
    await trio.sleep(SICK)
    await tell_of(engine, scene, case)

    scene.heal(case)
    await all_is_told(engine, scene, case)
    await nothing_is_left(engine, scene)


async def nothing_is_left(engine: Engine, scene: Scene) -> None:
    """Stop, and count tasks and sockets."""
    await engine.stop()
    while scene.sick.open or scene.other.open:
        await trio.lowlevel.checkpoint()
    await trio.testing.wait_all_tasks_blocked()
    assert (tasks(), sockets()) == scene.before


@pytest.mark.parametrize("name", CASES)
async def test_a_sick_destination_loses_nothing_and_harms_nobody(nursery, jumping_clock, monkeypatch, papers, name):
    monkeypatch.setenv("SSL_CERT_FILE", str(papers.authority))
    scene = Scene(papers)
    monkeypatch.setattr(socket, "getaddrinfo", scene.names.ask)
    await scene.open(nursery)
    scene.fall_sick(CASES[name])
    await trio.testing.wait_all_tasks_blocked()

    await go_through(nursery, scene, CASES[name])


async def test_a_destination_that_nobody_reaches_loses_nothing_and_harms_nobody(nursery, jumping_clock, papers):
    scene = Scene(papers)
    await scene.open(nursery)
    await scene.sick.ignore()

    await go_through(nursery, scene, UNREACHED)


LARGE = """
[receiver.limits]
event = "8 MiB"
"""
MORE_THAN_SOCKETS_HOLD = 5 << 20
"""Bytes: Linux takes 4 MiB from who sends, whether the other reads or not."""


async def sent_large(nursery: trio.Nursery, scene: Scene, manner: Manner) -> Engine:
    """Return an engine that sends three deliveries to a sick destination, each larger than sockets hold."""
    await scene.open(nursery)
    scene.sick.behave(manner)
    await trio.testing.wait_all_tasks_blocked()
    config = scene.config(Case()).replace('"properties.n"', '"properties.n", fill = "properties.fill"', 1)
    engine = await grow(nursery, LARGE + config)
    await engine.unwatched()
    await engine.send(3, fill="x" * MORE_THAN_SOCKETS_HOLD)
    await scene.other.came(3)
    return engine


async def test_a_destination_that_never_reads_is_a_time_out(nursery, jumping_clock, papers):
    scene = Scene(papers)
    engine = await sent_large(nursery, scene, rogue.deaf)
    await trio.sleep(SICK)

    rows = await waiting(engine)
    status = await engine.tree.operator.status()
    assert {(row.reason, row.error) for row in rows} == {
        ("timeout", "WriteTimeout: 127.0.0.1 took longer than 10 s (write)")
    }
    # 10 s each, and 2.5, 5, 10 and 20 s between them; the sixth is under way or waits.
    assert [row.attempts for row in rows] == [5, 5, 5]
    assert (scene.sick.requests, scene.sick.connections) == ([], 18)
    assert [one.state for one in status.destinations] == ["closed", "closed"]
    assert unbalanced(status) == []

    scene.sick.behave(well)
    status = await engine.settled(3600)
    assert sorted(scene.sick.numbers) == [1, 2, 3]
    assert (status.syncs[0].delivered, status.syncs[0].archived) == (3, 0)
    assert unbalanced(status) == []
    await nothing_is_left(engine, scene)


async def test_a_destination_that_refuses_what_is_large_is_heard_though_it_reads_no_more(
    nursery, jumping_clock, papers
):
    scene = Scene(papers)
    engine = await sent_large(nursery, scene, rogue.refuse_large)
    status = await engine.settled(5)  # none of it is a time-out

    assert [(one.reason, one.attempts) for one in await engine.archived()] == [("rejected_413", 1)] * 3
    assert (status.syncs[0].delivered, status.syncs[0].archived) == (0, 3)
    assert (scene.sick.requests, scene.sick.connections) == ([], 3)
    assert [one.state for one in status.destinations] == ["closed", "closed"]
    assert unbalanced(status) == []
    scene.sick.behave(well)
    await nothing_is_left(engine, scene)
