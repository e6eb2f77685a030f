"""What a wizard proposes: settings to ask for, events to choose from, and a mapping of what was recorded. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import inspect as types

from engine.config.describe import docs
from engine.config.draft import DraftType
from engine.config.wording import arms, choices, example
from engine.lang.envelope import CALLS
from engine.plan.setup import hides
from engine.plugin import EventType, Secret
from engine.units import UNITS

Kind = Literal["text", "secret", "number", "boolean", "choice", "other"]
TOP = 12
"""Fields of the events that are proposed at most, where the destination names none of its own."""
_CARRIERS = ("properties", "traits")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of a plugin, as a form asks for it.

    Attributes:
        help: what it means, in a sentence or two.
        kind: ``other`` is what only a person who writes TOML can say.
        default: as config.toml would have it; UNSET if it must be given.
        example: how a person who writes TOML would say it, with … for what only they know.
        hides: whether it is a secret, or has one in it, so that it is never shown again.
    """

    name: str
    help: str = ""
    kind: Kind = "text"
    required: bool = False
    default: Any = None
    choices: tuple[Any, ...] = ()
    hides: bool = False
    example: str = ""


def form(settings: type[Any]) -> list[Asked]:
    """Return what to ask for, the required first, each in the order of the plugin's own table."""
    info = types.type_info(settings)
    assert isinstance(info, types.StructType)
    meanings = docs(settings)
    asked = [_asked(field, meanings.get(field.name, "")) for field in info.fields]
    return [one for one in asked if one.required] + [one for one in asked if not one.required]


def _asked(field: types.Field, meaning: str) -> Asked:
    info = field.type
    if isinstance(info, types.UnionType) and len(arms(info)) == 1:
        info = arms(info)[0]
    kind, picks = _kind(info)
    default = None if field.default is msgspec.NODEFAULT else field.default
    if isinstance(default, UNITS):
        default = default.written()
    return Asked(
        name=field.encode_name,
        help=" ".join(meaning.split()),
        kind=kind,
        required=field.required,
        default=default,
        choices=picks,
        hides=hides(field.type),
        example=_example(info) if kind == "other" else "",
    )


def _example(info: types.Type) -> str:
    """Return how a table or an array is written."""
    if isinstance(info, types.StructType):
        return "{ " + ", ".join(f"{field.encode_name} = {example(field.type)}" for field in info.fields) + " }"
    if isinstance(info, types.DictType):
        return f"{{ Name = {example(info.value_type)} }}"
    return example(info)


def _kind(info: types.Type) -> tuple[Kind, tuple[Any, ...]]:
    match info:
        case types.CustomType(cls=cls):
            return ("secret" if issubclass(cls, Secret) else "text"), ()
        case types.LiteralType() | types.EnumType():
            return "choice", tuple(choices(info))
        case types.BoolType():
            return "boolean", ()
        case types.IntType() | types.FloatType():
            return "number", ()
        case types.StrType():
            return "text", ()
        case _:
            return "other", ()


def event_names(events: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Return what *events* are, and how many of each: a track's name, else the call type; the most frequent first."""
    return Counter(str(event.get("event") or event.get("type") or "") for event in events).most_common()


def filter_for(name: str, events: Sequence[Mapping[str, Any]]) -> str:
    """Return the filter that takes the events called *name*, as `event_names` calls them."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'event = "{quoted}"' if any(event.get("event") == name for event in events) else f'type = "{quoted}"'


def types_for(
    names: Sequence[str], events: Sequence[Mapping[str, Any]], known: Mapping[str, EventType]
) -> tuple[DraftType, ...]:
    """Return an event type for each of *names*, as `event_names` calls them; one for all events, if there is none.

    Args:
        names: of events, recorded or not.
        events: that were recorded.
        known: what the destination takes.
    """
    kind = "custom" if "custom" in known else next(iter(known))
    if not names:
        return (DraftType(type=kind, mapping=mapping_for(known[kind], events)),)
    made = []
    for name in names:
        own = [event for event in events if name in {event.get("event"), event.get("type")}]
        asked = own or ([] if name in CALLS else [{"event": name}])
        label = re.sub(r"\W+", "_", name.lower()).strip("_") or "event"
        filter_ = filter_for(name, asked)
        made.append(DraftType(type=kind, name=label, filter=filter_, mapping=mapping_for(known[kind], own)))
    return tuple(made)


def mapping_for(event_type: EventType, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a mapping for *event_type*: its own defaults, then fields of *events* by their names.

    A destination that names no field gets who, what and when, and the most frequent fields of the events.
    """
    seen = references(events)
    if not event_type.fields:
        return _whole(seen)
    by_name = {_bare(path): path for path in reversed(seen)}
    made: dict[str, Any] = {}
    for name, field in event_type.fields.items():
        if field.default is not msgspec.UNSET:
            made[name] = field.default
        elif (path := by_name.get(_bare(name))) is not None:
            made[name] = path
    return made


def missing(event_type: EventType, mapping: Mapping[str, Any]) -> list[str]:
    """Return the fields that *event_type* requires and *mapping* does not have."""
    return [name for name, field in event_type.fields.items() if field.required and name not in mapping]


def _whole(seen: Sequence[str]) -> dict[str, Any]:
    made = {"event": "event", "user": "userId", "at": "timestamp"}
    for path in seen:
        name = path.rpartition(".")[2]
        if path.partition(".")[0] in _CARRIERS and name not in made and len(made) < TOP:
            made[name] = path
    return made


def references(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return references to the plain fields of *events*, the most frequent first."""
    counts: Counter[str] = Counter()
    for event in events:
        for key, value in event.items():
            if key in _CARRIERS and isinstance(value, Mapping):
                counts.update(f"{key}.{inner}" for inner in value if _PLAIN.fullmatch(inner))
            elif not isinstance(value, (Mapping, list)) and _PLAIN.fullmatch(key):
                counts[key] += 1
    return [path for path, _ in counts.most_common()]


def _bare(path: str) -> str:
    """Return the last part of a name, as if all spelt it alike: ``traits.firstName`` and ``first_name`` are equal."""
    return re.sub(r"[^a-z0-9]", "", path.rpartition(".")[2].lower())
