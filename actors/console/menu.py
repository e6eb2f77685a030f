"""Every page of the console: the order of the menu, and of who is asked first for an address."""

from __future__ import annotations

from typing import Final

from actors.console.pages import bulk, changes, errors, lineage, overview, setup, setup_sync, sources, syncs, violations
from actors.console.visit import Page

PAGES: Final[tuple[Page, ...]] = (
    *overview.PAGES,
    *sources.PAGES,
    *syncs.PAGES,
    *bulk.PAGES,
    *errors.PAGES,
    *violations.PAGES,
    *lineage.PAGES,
    *changes.PAGES,
    *setup.PAGES,
    *setup_sync.PAGES,
)
