"""What systemd is told: that the engine is ready, reloads, stops and lives. One datagram each; nothing without it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping

from engine.runtime.clock import Clock


class Notifier:
    """Speaks to the service manager that started this process, if one did.

    Source: sd_notify(3) and sd_watchdog_enabled(3).

    Args:
        environment: the process's; ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` count.
        clock: when it is told that we live.
        machine: seconds of the machine's own clock, CLOCK_MONOTONIC, which the manager compares with its own.
    """

    def __init__(
        self, environment: Mapping[str, str], clock: Clock, machine: Callable[[], float] = time.monotonic
    ) -> None:
        self._machine = machine
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._clock = clock
        meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._pause = int(environment.get("WATCHDOG_USEC", "0")) / 2e6 if meant and self._address else 0.0

    def ready(self) -> None:
        """Tell that events are accepted, at first or again after a reload."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """Tell that a changed configuration is read; `ready` follows."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={int(self._machine() * 1e6)}")

    def stopping(self) -> None:
        """Tell that no more events are accepted."""
        self._tell("STOPPING=1")

    async def live(self) -> None:
        """Tell again and again, twice in the time that is allowed, that the loop turns; until cancelled."""
        while self._pause:
            self._tell("WATCHDOG=1")
            await self._clock.sleep(self._pause)

    def _tell(self, what: str) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.setblocking(False)
            try:
                line.sendto(what.encode(), address)
            except OSError:
                return  # a manager that does not listen is no reason to stop; it has its own time limits
