"""From a configuration and the installed plugins to a plan: everything compiled once, all problems at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from engine.config import schema
from engine.config.lines import join
from engine.config.load import Loaded
from engine.errors import ConfigError, LangError, PluginError, Problem, SettingsError, did_you_mean
from engine.lang.contract import Contract, ContractSpec, compile_contract
from engine.plan.contracts import contract_spec
from engine.plan.destinations import DestinationPlan, compile_destination, demands_of, find_kind
from engine.plan.doorways import compile_doorway
from engine.plan.event_types import compile_event_types
from engine.plan.functions import Functions, Step
from engine.plan.lint import lint
from engine.plan.order import compile_order
from engine.plan.problems import Problems
from engine.plan.sources import SourcePlan
from engine.plan.syncs import SyncPlan
from engine.plan.windows import WindowPlan
from engine.plugin import Settings
from engine.registry import Registry
from engine.results import Hello

T = TypeVar("T")

_FUNCTION_FILES = {".py": "python", ".js": "javascript"}
"""Suffix of a function's file, and the plugin that runs it."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration, compiled.

    Attributes:
        loaded: what it was made from.
        registry: the plugins it was made with.
        sources: by name; likewise the others.
        warnings: what is probably a mistake, as it stands in the files.
    """

    loaded: Loaded
    registry: Registry
    sources: dict[str, SourcePlan]
    destinations: dict[str, DestinationPlan]
    syncs: dict[str, SyncPlan]
    warnings: tuple[Problem, ...] = ()

    @property
    def config(self) -> schema.Config:
        """Return the configuration as Structs."""
        return self.loaded.config

    @property
    def digest(self) -> str:
        """Return the SHA-256 of its files' texts, in hex: equal for equal plans."""
        return self.loaded.digest


def compile_plan(loaded: Loaded, registry: Registry) -> Plan:
    """Return the plan of *loaded*, which may come from ``load`` or, with its problems in it, from ``read``.

    Runs the module level code of inline function files; otherwise no I/O.

    Raises:
        ConfigError: carries every problem, each with its file and line.
    """
    problems = Problems(loaded)
    config = loaded.config
    kinds = _made(config.destinations, lambda name: find_kind(name, loaded, registry, problems))
    destinations = _made(kinds, lambda name: compile_destination(name, kinds[name], loaded, problems))
    contracts = _made(config.contracts, lambda name: _contract(name, config.contracts[name], problems))
    functions = _made(config.functions, lambda name: _function(name, loaded, registry, problems))
    windows = _made(config.windows, lambda name: _window(name, config.windows[name], problems))
    bound = bound_contracts(loaded, problems)
    sources = {
        name: _source(name, table, contracts.get(bound.get(name, "")), contracts.get(table.shadow or ""), functions)
        for name, table in config.sources.items()
    }
    for name, doorway in _made(config.sources, lambda name: compile_doorway(name, loaded, registry, problems)).items():
        sources[name].doorway = doorway
    for name, window in windows.items():
        if (source := sources.get(config.windows[name].source)) is not None:
            source.windows = (*source.windows, window)
    syncs = {
        name: SyncPlan(
            name,
            table,
            compile_event_types(name, loaded, kinds.get(table.destination), problems),
            demands_of(config.destinations.get(table.destination)),
            compile_order(name, table, problems),
        )
        for name, table in config.syncs.items()
    }
    plan = Plan(loaded=loaded, registry=registry, sources=sources, destinations=destinations, syncs=syncs)
    lint(loaded, kinds, contracts, problems)
    errors = problems.of("error")
    warnings = problems.of("warning")
    if errors:
        raise ConfigError(loaded.file, errors, warnings, tuple(loaded.files))
    return msgspec.structs.replace(plan, warnings=warnings)


def _made(names: Iterable[str], make: Callable[[str], T | None]) -> dict[str, T]:
    """Return what *make* makes of each name, without what it cannot make."""
    made = {name: make(name) for name in names}
    return {name: value for name, value in made.items() if value is not None}


def _contract(name: str, table: schema.Contract, problems: Problems) -> Contract | None:
    """Return the contract, or None with a problem for each event whose schema does not compile."""
    spec = contract_spec(name, table)
    try:
        return compile_contract(spec)
    except LangError as error:
        _blame(spec, error, problems)
        return None


def _blame(spec: ContractSpec, error: LangError, problems: Problems) -> None:
    """Note which events of *spec* do not compile, or *error* of the whole if each does by itself."""
    where = join("contracts", spec.name)
    found = False
    for index, event in enumerate(spec.events):
        try:
            compile_contract(msgspec.structs.replace(spec, events=(event,)))
        except LangError as own:
            problems.lang(f"{where}.events[{index}].schema", own)
            found = True
    if not found:
        problems.lang(where, error)


def _function(name: str, loaded: Loaded, registry: Registry, problems: Problems) -> Step | None:
    """Return the function of one file; inline it is loaded now, else only looked at."""
    where = join("functions", name)
    table = loaded.config.functions[name]
    if bool(table.file) == bool(table.type):
        what = "both file and type are given" if table.file else "neither file nor type is given"
        problems.error(where, what, 'add file = "functions/NAME.py", or type = "redact"')
        return None
    if table.type:
        return _built_in(name, table, loaded, registry, problems)
    _, unknown = loaded.settings(Settings, name, kind="functions")
    problems.extend(unknown)
    file = table.file
    path = loaded.folder / file
    kind = _FUNCTION_FILES.get(path.suffix)
    if kind is None:
        problems.error(
            f"{where}.file",
            f"'{file}' is not a file that functions are written in",
            "write one in Python (.py) or JavaScript (.js)",
        )
        return None
    secrets = {key: str(value) for key, value in table.secrets.items()}
    text = loaded.functions.get(str(path))
    try:
        plugin: Any = registry.function(kind)
        if table.isolation == "inline":
            return Step(name=name, inline=plugin(path, file, secrets, text))
        plugin.check(path, file, text)
    except PluginError as error:
        problems.plugin(f"{where}.file", error)
        return None
    place = registry.place("functions", kind)
    whole = str(path.absolute())
    hello = Hello(plugin=place, path=whole, text=text, name=file, secrets=secrets, memory=int(table.memory))
    return Step(name=name, hello=hello, timeout=float(table.timeout))


def _window(name: str, table: schema.Window, problems: Problems) -> WindowPlan | None:
    try:
        return WindowPlan(name, table)
    except LangError as error:
        key, _, what = error.what.partition(": ")
        problems.lang(f"{join('windows', name)}.{key}", LangError(what, error.hint, error.column))
        return None


def bound_contracts(loaded: Loaded, problems: Problems) -> dict[str, str]:
    """Return the contract of each source that has one: the one it names, or the one that names it."""
    config = loaded.config
    bound = {name: table.contract for name, table in config.sources.items() if table.contract}
    own = set(bound)
    for contract, table in config.contracts.items():
        where = join(join("contracts", contract), "sources")
        for source in table.sources or ():
            if source not in config.sources:
                problems.warn(where, f"there is no source '{source}'", did_you_mean(source, config.sources))
            elif source not in bound:
                bound[source] = contract
            elif source not in own:
                what = f"source '{source}' would have to keep two contracts: '{bound[source]}' and '{contract}'"
                problems.error(where, what, f"choose one: [{join('sources', source)}] contract = …")
    return bound


def _built_in(name: str, table: schema.Function, loaded: Loaded, registry: Registry, problems: Problems) -> Step | None:
    """Return a function that is a plugin with settings."""
    where = join("functions", name)
    try:
        plugin: Any = registry.function(table.type)
        if not hasattr(plugin, "Settings"):
            problems.error(f"{where}.type", f"'{table.type}' runs files", "write file = … and leave type out")
            return None
        settings, found = loaded.settings(plugin.Settings, name, kind="functions")
        problems.extend(found)
        return None if settings is None else Step(name=name, inline=plugin(settings, name))
    except SettingsError as error:
        for problem in error.problems:
            problems.error(f"{where}.{problem.where}", problem.what, problem.hint)
    except PluginError as error:
        problems.plugin(f"{where}.type", error)
    return None


def _source(
    name: str,
    table: schema.Source,
    contract: Contract | None,
    shadow: Contract | None,
    functions: dict[str, Step],
) -> SourcePlan:
    """Return one source; parts that did not compile are left out, the plan is refused for them anyway."""
    steps = [functions[key] for key in table.functions if key in functions]
    return SourcePlan(
        name,
        enabled=table.enabled,
        write_keys=table.write_keys,
        contract=contract,
        shadow=shadow,
        functions=Functions(name, steps) if steps else None,
    )
