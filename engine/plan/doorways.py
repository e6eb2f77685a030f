"""Who may come in by a source, and how: its plugin's settings, its origins, its quota."""

from __future__ import annotations

import re
from typing import Any

from engine.config.lines import join
from engine.config.load import Loaded
from engine.errors import PluginError
from engine.plan.problems import Problems
from engine.plan.sources import Doorway
from engine.plugin import Settings, Shaped
from engine.registry import Registry

PLAIN = "http"
"""The type of sources that SDKs send to, by HTTP or WebSocket; it has no settings of its own."""

_ORIGIN = re.compile(r"https?://(\*\.)?[^*/?#\s]+")


class _Nothing(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a plugin that has none."""


def compile_doorway(name: str, loaded: Loaded, registry: Registry, problems: Problems) -> Doorway | None:
    """Return the doorway of one source of *loaded*, or None with *problems* grown."""
    table = loaded.config.sources[name]
    where = join("sources", name)
    for index, origin in enumerate(table.origins):
        if not _ORIGIN.fullmatch(origin):
            what = f"'{origin}' is no origin: scheme and host, no path"
            problems.error(join(f"{where}.origins", index), what, 'write it as "https://shop.example"')
    try:
        kind = _kind(table.type, registry)
        settings, found = loaded.settings(kind.Settings if kind else _Nothing, name, kind="sources")
    except PluginError as error:
        problems.plugin(f"{where}.type", error)
        return None
    problems.extend(found)
    if not table.write_keys and not hasattr(kind, "item"):
        hint = 'add write_keys = ["env:NAME"]  # What clients show; several at once allow a change without loss.'
        problems.error(where, "missing key 'write_keys'", hint)
    if settings is None:
        return None
    quota = None if table.quota is None else float(table.quota)
    return Doorway(origins=table.origins, quota=quota, kind=kind, settings=settings if kind else None)


def _kind(name: str, registry: Registry) -> type[Shaped] | None:
    """Return the plugin of one type if it has settings."""
    if name == PLAIN:
        return None
    found: Any = registry.source(name)
    return found if isinstance(found, type) and hasattr(found, "Settings") else None
