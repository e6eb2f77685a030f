"""From `[[syncs.NAME.event_types]]` to compiled event types, with everything that does not fit the destination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

from engine.config import schema
from engine.config.lines import join
from engine.config.load import Loaded
from engine.errors import LangError, did_you_mean, one_of
from engine.lang import kinds
from engine.lang import mapping as language
from engine.lang.cast import KINDS
from engine.lang.filters import Filter, compile_filter
from engine.plan.destinations import Kind
from engine.plan.problems import Problems
from engine.plan.syncs import EventTypePlan, named_fields
from engine.plugin import EventType, Field

_UNKNOWN = EventType(label="")


def compile_event_types(sync: str, loaded: Loaded, plugin: Kind | None, problems: Problems) -> list[EventTypePlan]:
    """Return the event types of one sync that compile; what is wrong with the others goes to *problems*.

    Without a *plugin* (nobody knows the destination's) only the language is checked.
    """
    table = loaded.config.syncs[sync]
    names = _names(sync, table.event_types, problems)
    made = [_EventType(sync, loaded.config, index, plugin, problems).compiled(name) for index, name in enumerate(names)]
    return [event_type for event_type in made if event_type]


def _names(sync: str, tables: Sequence[schema.EventType], problems: Problems) -> list[str]:
    """Return a unique name for each: its own, or its type, numbered from the second on."""
    given = [table.name for table in tables if table.name]
    used: set[str] = set()
    names: list[str] = []
    for index, table in enumerate(tables):
        name, count = table.name or table.type, 1
        if table.name in used:
            where = f"{join('syncs', sync)}.event_types[{index}].name"
            problems.error(where, f"another event type of this sync is called '{name}'", "give it a name of its own")
        while not table.name and (name in used or name in given):
            count += 1
            name = f"{table.type}-{count}"
        used.add(name)
        names.append(name)
    return names


class _EventType:
    """One table on its way to an `EventTypePlan`."""

    def __init__(self, sync: str, config: schema.Config, index: int, plugin: Kind | None, problems: Problems) -> None:
        self.sync = sync
        self.parent = config.syncs[sync]
        self.table = self.parent.event_types[index]
        self.where = f"{join('syncs', sync)}.event_types[{index}]"
        self.plugin = plugin
        self.plugin_name = config.destinations[self.parent.destination].type if plugin else ""
        self.problems = problems
        self.kind = plugin.event_types.get(self.table.type, _UNKNOWN) if plugin else _UNKNOWN

    def compiled(self, name: str) -> EventTypePlan | None:
        """Return it, or None if its filter or mapping does not compile."""
        self._check_destination()
        filter_ok, filter_ = self._filter()
        context = self._context(name)
        mapping = self._mapping(context)
        if mapping is None or not filter_ok:
            return None
        self._check_fields(mapping)
        made = EventTypePlan(
            name,
            self.table.type,
            filter=filter_,
            mapping=mapping,
            fields=named_fields(self.kind.fields),
            context=context,
        )
        made.when_missing = self.table.when_missing_object or ""
        return made

    def _check_destination(self) -> None:
        """Note a type that the destination does not have, and `when_missing_object` where it means nothing."""
        if self.plugin is None:
            return
        known = self.plugin.event_types
        if self.table.type not in known:
            what = f"'{self.plugin_name}' has no event type '{self.table.type}'"
            self.problems.error(f"{self.where}.type", what, did_you_mean(self.table.type, known) or one_of(known))
        if self.table.when_missing_object and not self.plugin.knows_objects:
            what = f"'{self.plugin_name}' does not know objects, so it cannot tell whether one is missing"
            self.problems.error(f"{self.where}.when_missing_object", what, "take this line out")

    def _filter(self) -> tuple[bool, Filter | None]:
        """Return whether the filter is in order, and the filter if there is one."""
        if not self.table.filter:
            return True, None
        try:
            return True, compile_filter(self.table.filter)
        except LangError as error:
            self.problems.lang(f"{self.where}.filter", error)
            return False, None

    def _mapping(self, context: dict[str, dict[str, str]]) -> language.Mapping | None:
        """Return the mapping, with the destination's default for every field that has one and is not mapped."""
        defaults = {name: field.default for name, field in self.kind.fields.items() if field.default is not UNSET}
        try:
            return language.compile_mapping(
                defaults | self.table.mapping,
                variables={f"{head}.{key}": value for head, part in context.items() for key, value in part.items()},
                properties_column=self.table.properties_column,
                properties_field=self.kind.properties_field or None,
            )
        except language.MappingErrors as errors:
            for target, error in errors.problems:
                below = target if target == "properties_column" else f"mapping.{target}"
                self.problems.lang(f"{self.where}.{below}", error)
            return None

    def _context(self, name: str) -> dict[str, dict[str, str]]:
        """Return what templates see as ``context``, and ``{ variable = "sync.name" }`` by its dotted name."""
        return {
            "sync": {"name": self.sync, "source": self.parent.source, "destination": self.parent.destination},
            "event_type": {"name": name, "type": self.table.type},
        }

    def _check_fields(self, mapping: language.Mapping) -> None:
        """Note fields that the destination requires, does not have, or wants otherwise."""
        fields, targets = self.kind.fields, mapping.targets
        if not self._base_is_open():
            for name, field in fields.items():
                if field.required and name not in targets:
                    what = f"'{name}' ({field.label}) is required by '{self.table.type}' and not mapped"
                    self.problems.error(f"{self.where}.mapping", what, f'add {name} = "…"')
        if not self.kind.open and self.kind is not _UNKNOWN:
            for name in sorted(targets - set(fields)):
                what = f"'{self.table.type}' has no field '{name}'"
                self.problems.error(self._target(name), what, did_you_mean(name, fields) or one_of(fields))
        for name, value in self.table.mapping.items():
            if name in fields:
                self._check_constant(name, fields[name], _constant(value))
                self._check_kind(name, fields[name], mapping.kinds.get(name) if _constant(value) is UNSET else None)

    def _base_is_open(self) -> bool:
        """Return whether the properties themselves are the base of the payload, so that any field may come by them."""
        return self.table.properties_column is not None and not self.kind.properties_field

    def _check_constant(self, name: str, field: Field, value: Any) -> None:
        """Note a constant that the destination would refuse in every event."""
        if value is UNSET:
            return
        if not fits(value, field.type):
            what = f"'{name}' ({field.label}) is {article(field.type)}, not {value!r}"
            text = field.type == "string" and isinstance(value, (int, float))
            self.problems.error(self._target(name), what, f'write {{ value = "{value}" }}' if text else "")
        elif field.choices and value not in field.choices:
            what = f"'{name}' ({field.label}) cannot be {value!r}"
            near = did_you_mean(value, map(str, field.choices)) if isinstance(value, str) else ""
            self.problems.error(self._target(name), what, near or one_of(map(str, field.choices)))

    def _check_kind(self, name: str, field: Field, kind: str | None) -> None:
        """Note a form or template whose value the destination would refuse in every event."""
        if kind is None or kinds.fits(kind, field.type):
            return
        what = f"'{name}' ({field.label}) is {article(field.type)}, and this gives {article(kind)}"
        known = field.type if field.type in KINDS else ""
        self.problems.error(self._target(name), what, f"a template may end in | cast: '{known}'" if known else "")

    def _target(self, name: str) -> str:
        return join(f"{self.where}.mapping", name)


def fits(value: Any, kind: str) -> bool:
    """Return whether a JSON *value* is of a field's type."""
    if isinstance(value, bool):
        return kind in {"boolean", "any"}
    types: Mapping[str, tuple[type, ...]] = {
        "string": (str,),
        "number": (int, float),
        "integer": (int,),
        "boolean": (),
        "object": (dict,),
        "array": (list,),
    }
    return kind == "any" or isinstance(value, types[kind])


def article(kind: str) -> str:
    """Return a field's type as it stands in a sentence."""
    return f"an {kind}" if kind[0] in "aio" else f"a {kind}"


def _constant(value: Any) -> Any:
    """Return what a mapping's value is for every event, or UNSET."""
    if isinstance(value, dict):
        return value["value"] if value.keys() == {"value"} else UNSET
    return UNSET if isinstance(value, (str, list)) else value
