"""Which source plugin answers which method and path. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from engine.plugin import Source


class Routes:
    """A table of all sources' routes; a part in braces stands for any, a slash at the end for nothing.

    Args:
        sources: no two share a route.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        self._exact: dict[str, dict[str, Source]] = {}
        self._open: list[tuple[list[str], str, Source]] = []
        for source in sources:
            for method, path in source.routes:
                if "{" in path:
                    self._open.append((path.split("/"), method, source))
                else:
                    self._exact.setdefault(path, {})[method] = source

    def at(self, path: str) -> dict[str, Source]:
        """Return method to source for *path*; empty if there is nothing."""
        path = path.rstrip("/")
        if found := self._exact.get(path):
            return found
        parts = path.split("/")
        return {method: source for pattern, method, source in self._open if _fits(pattern, parts)}


def _fits(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(
        each == part or (each.startswith("{") and part != "") for each, part in zip(pattern, parts, strict=True)
    )
