"""One more way through a running engine: proposed from what came by, tried, written to config.toml, put to work."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from actors.rehearsal import rehearse
from engine.config.draft import HEAD, Draft, added, written
from engine.config.keeping import keep, why_not
from engine.errors import HeadraceError
from engine.messages import Logged
from engine.observe.reloaded import Reloaded
from engine.observe.tap import KEPT
from engine.plan import Plan
from engine.plan.explained import Explained
from engine.plan.setup import PutAway, put_away, tried

if TYPE_CHECKING:
    from actors.tree import Tree

STRETCH = 5000
"""Positions of the log that are looked back over for events of a source."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A draft that would run.

    Attributes:
        added: what config.toml would get at its end; no secret that was typed is in it.
        files: which files would be written beside it.
        plan: with it.
        over: SHA-256 of config.toml as it is, in hex.
    """

    added: str
    files: tuple[str, ...]
    plan: Plan
    over: str


class Extender:
    """Adds to the configuration of one running tree.

    Args:
        tree: what runs.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.config = Path(tree.plan.loaded.file)

    async def why_not(self) -> str:
        """Return why nothing can be written, or ""."""
        if self._tree.reloader.reread is None:
            return "this engine was not started from a file"
        if not self._tree.plan.config.console.setup:
            return "[console] has setup = false"
        reason: str = await self._tree.reloader.aside(why_not, self.config)
        return reason

    async def recorded(self, source: str) -> list[dict[str, Any]]:
        """Return the newest events of a source, at most as many as the tap keeps, ascending; [] if it has none."""
        door = self._tree.doors.get(source)
        if door is None:
            return []
        found = [each.raw for _, each in door.tap.since(0, KEPT)[1] if isinstance(each, Logged)]
        if not found:  # nothing came since the start
            log = self._tree.store
            found = [each.raw for each in await log.read(source, max(log.durable - STRETCH, 0), log.durable, STRETCH)]
        return [msgspec.json.decode(raw) for raw in found[-KEPT:] if raw]

    async def trial(self, draft: Draft) -> Trial:
        """Return what a draft would be, compiled; nothing is written.

        Raises:
            ConfigError: it cannot be run; with every problem.
            HeadraceError: config.toml cannot be added to.
        """
        made: Trial = await self._tree.reloader.aside(self._trial, draft)
        return made

    async def explain(self, trial: Trial, event: dict[str, Any], source: str) -> Explained:
        """Return what would become of *event* if the draft ran.

        Raises:
            HeadraceError: a function does not answer.
        """
        return await rehearse(self._tree, event, source, trial.plan)

    async def extend(self, draft: Draft, over: str) -> Reloaded:
        """Write a draft, and let it take effect; if it is refused, everything is as before.

        Args:
            draft: what to add.
            over: `Trial.over` of what was looked at; "" for whatever is there.

        Raises:
            HeadraceError: it cannot be written, or is refused; says why.
        """
        if reason := await self.why_not():
            raise HeadraceError(f"nothing was written: {reason}")
        trial = await self.trial(draft)
        if over not in {"", trial.over}:
            raise HeadraceError("nothing was written: config.toml is other than before; look at the preview again")
        aside = self._tree.reloader.aside
        before, fresh = await aside(self._write, draft)
        reloaded = await self._tree.reloader.reload()
        if reloaded.refused:
            await aside(self._take_back, before, fresh)
            raise HeadraceError(f"config.toml is as before: {reloaded.refused}")
        return reloaded

    def _trial(self, draft: Draft) -> Trial:
        text = self._text()
        away = self._away(draft)
        clean = msgspec.structs.replace(draft, settings=away.settings)
        loaded, registry = self._tree.plan.loaded, self._tree.plan.registry
        plan = tried(self.config, written(text, clean), away.files, registry, env=loaded.secrets.env)
        over = hashlib.sha256(text.encode()).hexdigest()
        return Trial(added=added(text, clean), files=tuple(away.files), plan=plan, over=over)

    def _write(self, draft: Draft) -> tuple[str, list[Path]]:
        """Write a draft; return what config.toml was before, and which files were not there."""
        text, away = self._text(), self._away(draft)
        fresh = [path for path in (self.config.parent / each for each in away.files) if not path.exists()]
        keep(self.config, written(text, msgspec.structs.replace(draft, settings=away.settings)), away.files)
        return text, fresh

    def _take_back(self, text: str, fresh: list[Path]) -> None:
        keep(self.config, text, {})
        for path in fresh:
            path.unlink(missing_ok=True)

    def _away(self, draft: Draft) -> PutAway:
        if draft.destination in self._tree.plan.config.destinations:
            return PutAway(settings={})
        kind = self._tree.plan.registry.destination(draft.type)
        return put_away(draft.destination, kind.Settings, draft.settings)

    def _text(self) -> str:
        try:
            return self.config.read_text() or HEAD
        except FileNotFoundError:
            return HEAD
        except (OSError, UnicodeDecodeError) as error:
            raise HeadraceError(f"{self.config} cannot be read: {error}") from None
