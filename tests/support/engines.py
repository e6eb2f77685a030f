"""A whole engine in a process of its own, with a source for each who sends, and what it has accepted from each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from engine.lang.envelope import normalise
from engine.store.opening import open_reader
from engine.store.sqlite import queries
from tests.support.child import Child

CONFIG = """
[receiver]
listen = "127.0.0.1:0"
{receiver}
[console]
listen = "127.0.0.1:0"
[destinations.events]
type = "log"
[syncs.everything]
source = "{first}"
destination = "events"
[[syncs.everything.event_types]]
mapping = {{ user = "userId" }}
"""
SOURCE = '[sources.{name}]\nwrite_keys = ["{name}-key"]\n'


class Engine:
    """Runs until `end`; a source ``x`` has the key ``x-key``.

    Args:
        folder: where it runs.
        names: of the sources.
        receiver: more of ``[receiver]``.
    """

    def __init__(self, folder: Path, *names: str, receiver: str = "") -> None:
        self._folder = folder
        config = CONFIG.format(first=names[0], receiver=receiver)
        (folder / "config.toml").write_text(config + "".join(SOURCE.format(name=name) for name in names))
        self.child = Child(["run"], folder)
        self.port = int(self.child.until("events: ").rpartition(":")[2].partition("/")[0])

    @property
    def url(self) -> str:
        """Return where HTTP goes."""
        return f"http://127.0.0.1:{self.port}"

    def accepted(self, source: str) -> list[dict[str, Any]]:
        """Return the events of *source* in the store, as filters see them, in order."""
        with open_reader(self._folder / "data") as reader:
            number = queries.sources(reader._connection).get(source)
            if number is None:
                return []
            page = queries.log_page(reader._connection, (source, number), (0, 1 << 60), 1_000_000)
        return [normalise(msgspec.json.decode(logged.raw), logged.envelope) for logged in page]

    def end(self) -> None:
        """Make sure that it is gone."""
        self.child.kill()
