"""Which entries a page is about: what its address says, as the store understands it, and back as an address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

import msgspec

from engine.lang.dates import time_or_age
from engine.messages import State
from engine.store.base import Selection

IN_TROUBLE: Final = (State.RETRYING, State.ARCHIVED, State.BLOCKED)
STATES: Final = {"": IN_TROUBLE, **{str(state): (state,) for state in State}, "all": ()}
"""What may be chosen, as it stands in an address."""
SAID: Final = {"": "in trouble", "all": "all, discarded ones too"}
DIGITS: Final = 15
"""Of the largest number that an address may say."""
TIMES: Final = ("since", "until")


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody chose; "" is no wish.

    Attributes:
        state: a key of `STATES`.
        since, until: a time, or how long ago.
        ids: of single entries.
    """

    sync: str = ""
    state: str = ""
    stage: str = ""
    reason: str = ""
    since: str = ""
    until: str = ""
    text: str = ""
    ids: tuple[str, ...] = ()

    @property
    def is_all(self) -> bool:
        """Whether nothing was chosen."""
        return self == Chosen()

    def wrong(self, now: float) -> dict[str, str]:
        """Return what is wrong, by field."""
        found = {}
        for name in TIMES:
            try:
                _moment(getattr(self, name), now)
            except ValueError as error:
                found[name] = str(error).replace("\n    ", ": ")
        return found

    def selection(self, now: float, **parts: Any) -> Selection:
        """Return what the store looks for; a time that is none is no limit.

        Args:
            now: epoch seconds.
            parts: what else, or in place of what is chosen.
        """
        wrong = self.wrong(now)
        made = Selection(
            ids=self.ids,
            sync=self.sync,
            states=STATES.get(self.state, IN_TROUBLE),
            stage=self.stage,
            reason=self.reason,
            text=self.text,
            since=0.0 if "since" in wrong else _moment(self.since, now),
            until=0.0 if "until" in wrong else _moment(self.until, now),
        )
        return msgspec.structs.replace(made, **parts)

    def address(self, path: str, **parts: str) -> str:
        """Return the address of a page about these, or about these with other parts."""
        said = msgspec.structs.asdict(self) | parts
        query = urlencode({name: value for name, value in said.items() if value}, doseq=True)
        return f"{path}?{query}" if query else path


def chosen(query: str) -> Chosen:
    """Return what an address says."""
    said: Mapping[str, list[str]] = parse_qs(query)
    names = [name for name in Chosen.__struct_fields__ if name != "ids"]
    return Chosen(ids=tuple(said.get("ids", ())), **{name: said[name][-1].strip() for name in names if name in said})


def whole_number(text: str) -> int:
    """Return a number from an address; 0 for what is none, or is too large to be one of ours."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS else 0


def _moment(text: str, now: float) -> float:
    """Return epoch seconds, 0.0 for no text.

    Raises:
        ValueError: it is no time.
    """
    return max(0.0, time_or_age(text, now)) if text else 0.0
