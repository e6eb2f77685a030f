"""Alerts: tells a webhook what changed for the worse, and when it is over. Off everybody's way; nobody waits for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from ssl import SSLContext

import httpx
import msgspec
import structlog
import trio

from engine.config.outward import Alerts as Settings
from engine.errors import StoreFull
from engine.observe.alerts import Alert, Growth, Moment, Thresholds, Told, after, ailments, changes
from engine.observe.status import Status
from engine.runtime.bell import Bell
from engine.runtime.clock import Clock
from engine.runtime.http_client import HttpClient, tls_context
from engine.signing import Signer
from engine.store.base import Meta

TOLD = "alerts"
"""The Meta key of what was told and is not over, so that a restart repeats nothing."""
TIMEOUT = 10.0
"""Seconds for one post."""
LONGEST = 300.0
"""Seconds between two tries to post, at most; the wait doubles from ``every``."""

UNWANTED = 60.0
"""Seconds until it is looked whether somebody wants alerts since a reload, if nobody did."""

log = structlog.get_logger()


class Alerts:
    """Looks at the engine every few seconds, and posts what changed since whoever listens was told last.

    What could not be posted is tried again at a later look, as it is then: an ailment that came and went meanwhile is
    not told, and nothing piles up.

    Args:
        settings: returns `[alerts]` of today, or None if nobody wants any.
        status: returns the engine at a glance.
        meta: where what was told is kept.
    """

    def __init__(
        self,
        settings: Callable[[], Settings | None],
        status: Callable[[], Awaitable[Status]],
        meta: Meta,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.status = status
        self.meta = meta
        self.clock = clock
        self._told: dict[str, Told] = {}
        self._growth = Growth()
        self._began = clock.monotonic()
        self._failures = 0
        self._tls: SSLContext | None = None
        self._bell = Bell()
        self._stopping = False

    async def run(self) -> None:
        """Look and tell until told to stop; only its settings are looked at while nobody wants alerts."""
        self._told = await self._read()
        while not self._stopping:
            settings = self.settings()
            await self._bell.wait(UNWANTED if settings is None else self._pause(settings))
            settings = self.settings()
            if settings is not None and not self._stopping:
                await self._look(settings)

    def stop(self) -> None:
        """Look no more."""
        self._stopping = True
        self._bell.ring()

    def _pause(self, settings: Settings) -> float:
        """Return seconds until the next look: longer and longer while nothing can be posted."""
        return float(min(settings.every * 2.0 ** min(self._failures, 32), max(LONGEST, settings.every)))

    async def _look(self, settings: Settings) -> None:
        """Tell what changed, one post each; stop at the first that fails."""
        status = await self.status()
        at = Moment(now=self.clock.wall(), running=self.clock.monotonic() - self._began)
        totals = {sync.name: sync.archived for sync in status.syncs}
        grown = self._growth.look(totals, self.clock.monotonic(), float(settings.archived_within))
        found = ailments(status, _thresholds(settings), grown, self._told)
        for alert in changes(self._told, found, status, at):
            if error := await self._post(settings, alert):
                self._failures += 1
                log.warning("alert.failed", alert=alert.alert, subject=alert.subject, error=error)
                return
            self._failures = 0
            log.info("alert.sent", alert=alert.alert, subject=alert.subject, state=alert.state)
            self._told = after(self._told, alert, found)
            await self._keep()

    async def _post(self, settings: Settings, alert: Alert) -> str:
        """Post one alert; return what went wrong, or ""."""
        body = msgspec.json.encode(alert)
        headers = [("Content-Type", "application/json")]
        if settings.secret is not None:
            headers += Signer(settings.secret).headers(alert.id, self.clock.wall(), body)
        if self._tls is None:  # reading certificates takes tens of milliseconds
            self._tls = await trio.to_thread.run_sync(tls_context)
        client = HttpClient(allow_private=settings.allow_private, timeout=TIMEOUT, tls=self._tls, max_body=1024)
        try:
            answer = await client.send("POST", httpx.URL(settings.url), headers, body)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            await client.aclose()
        return "" if httpx.codes.is_success(answer.status) else f"status {answer.status}"

    async def _read(self) -> dict[str, Told]:
        stored = await self.meta.get(TOLD)
        return msgspec.json.decode(stored[0], type=dict[str, Told]) if stored else {}

    async def _keep(self) -> None:
        """Remember what was told; on a disk that is full to the last byte, which is worth telling, until we end."""
        stored = await self.meta.get(TOLD)
        with suppress(StoreFull):
            await self.meta.put(TOLD, msgspec.json.encode(self._told), stored[1] if stored else 0)


def _thresholds(settings: Settings) -> Thresholds:
    return Thresholds(
        oldest_pending=float(settings.oldest_pending),
        archived=settings.archived,
        within=float(settings.archived_within),
        disk_free=int(settings.disk_free),
    )
