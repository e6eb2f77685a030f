"""Plugin names to classes: the built-in table, and what other distributions bring by entry points."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import msgspec

from engine.errors import PluginError, did_you_mean, one_of
from engine.plugin import Destination, Source

_GROUPS = {"destinations": "headrace.destinations", "functions": "headrace.functions", "sources": "headrace.sources"}


class _Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where one plugin is.

    Attributes:
        path: ``module:Class``.
        owner: the distribution that brings it, "" for a built-in.
    """

    path: str
    owner: str = ""

    def __str__(self) -> str:
        """Return it for an error."""
        return f"{self.path} of {self.owner}" if self.owner else f"the built-in {self.path}"


class Registry:
    """Knows every plugin by kind and name, and imports one when a configuration names it.

    Args:
        builtin: kind (``destinations``, ``functions``, ``sources``) to name to ``module:Class``.
        entry_points: whether to look at what is installed.

    Raises:
        PluginError: two plugins of one kind have the same name; says who brings them.
    """

    def __init__(self, builtin: Mapping[str, Mapping[str, str]], *, entry_points: bool = True) -> None:
        """List the plugins; none is imported yet."""
        self._plugins: dict[str, dict[str, _Origin]] = {
            kind: {name: _Origin(path=path) for name, path in builtin.get(kind, {}).items()} for kind in _GROUPS
        }
        for kind, group in _GROUPS.items() if entry_points else ():
            for point in metadata.entry_points(group=group):
                owner = point.dist.name if point.dist else "an unknown distribution"
                self._add(kind, point.name, _Origin(path=point.value, owner=owner))

    def _add(self, kind: str, name: str, origin: _Origin) -> None:
        """Take one installed plugin in."""
        known = self._plugins[kind].setdefault(name, origin)
        if known != origin:
            hint = f"uninstall {origin.owner}, or ask its author for another name"
            raise PluginError(f"two {kind} are called '{name}': {known} and {origin}\n{hint}")

    def names(self, kind: str) -> list[str]:
        """Return the names of one kind (``destinations``, ``functions``, ``sources``), sorted."""
        return sorted(self._plugins[kind])

    def destination(self, name: str) -> type[Destination[Any]]:
        """Return the class of one type of destination.

        Raises:
            PluginError: unknown, cannot be imported, or not a destination; the second line says what to do.
        """
        found = self._load("destinations", name)
        if not (isinstance(found, type) and issubclass(found, Destination)):
            origin = self._plugins["destinations"][name]
            raise PluginError(f"{origin} is not a destination\nmake it a subclass of engine.plugin.Destination")
        return found

    def function(self, name: str) -> Any:
        """Return what makes one type of function: a class, called as its own docstring says.

        Raises:
            PluginError: unknown or cannot be imported; the second line says what to do.
        """
        return self._load("functions", name)

    def source(self, name: str) -> type[Source]:
        """Return the class of one type of source.

        Raises:
            PluginError: unknown or cannot be imported; the second line says what to do.
        """
        found: type[Source] = self._load("sources", name)
        return found

    def place(self, kind: str, name: str) -> str:
        """Return ``module:Class`` of a plugin that there is, for a process that imports it by itself."""
        return self._plugins[kind][name].path

    def sources(self) -> list[Source]:
        """Return one of each source, sorted by name.

        Raises:
            PluginError: one cannot be imported or made; the second line says what to do.
        """
        made: list[Source] = []
        for name in self.names("sources"):
            kind = self._load("sources", name)
            try:
                made.append(kind())
            except Exception as error:
                raise self._broken("sources", name, error) from error
        return made

    def _load(self, kind: str, name: str) -> Any:
        """Import one plugin."""
        if name not in self._plugins[kind]:
            near = did_you_mean(name, self._plugins[kind])
            listed = one_of(self._plugins[kind])
            hint = f"{near} ({listed})" if near else listed
            raise PluginError(f"there is no {kind.removesuffix('s')} type '{name}'\n{hint}")
        module, _, attribute = self._plugins[kind][name].path.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except Exception as error:
            raise self._broken(kind, name, error) from error
        return found

    def _broken(self, kind: str, name: str, error: Exception) -> PluginError:
        """Return the error for a plugin that raised when it was needed."""
        origin = self._plugins[kind][name]
        what = f"the {kind.removesuffix('s')} type '{name}' cannot be loaded: {type(error).__name__}: {error}"
        missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if missing and missing != origin.path.partition(":")[0].partition(".")[0]:
            return PluginError(f"{what}\npip install {missing}; {origin} needs it")
        hint = f"reinstall {origin.owner} or ask its author" if origin.owner else "reinstall headrace"
        return PluginError(f"{what}\n{origin}; {hint}")
