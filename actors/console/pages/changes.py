"""What was changed by hand: who, what and when."""

from __future__ import annotations

from typing import Final

from actors.console.visit import Page, Visit
from engine.runtime.http_message import Response


async def show(visit: Visit) -> Response:
    """Show the list of changes, newest first."""
    return await visit.page("changes.html", changes=await visit.house.audit.changes())


PAGES: Final = (Page(path="/changes", show=show, name="Changes"),)
