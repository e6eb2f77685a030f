"""What somebody has said so far to the set-up wizard, and which field each problem belongs to. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from actors.console import words
from engine.config.draft import Addition, DraftType
from engine.config.lines import join
from engine.errors import Problem
from engine.observe.status import SyncStatus
from engine.plan.suggest import Asked
from engine.plugin import EventType

STEPS: Final = ("source", "destination", "settings", "events", "mapping", "preview")
"""In the order in which they are taken; ``settings`` only for a destination that is new."""
TYPES: Final = 50
"""Event types of one sync, here."""
LINES: Final = 60
"""Fields of one mapping, here."""
BLANK: Final = 2
"""Empty lines at the end of a mapping, for more."""

_NAMED: Final = re.compile(r"missing key '(\w+)'|(\w+): ")
Wrong = dict[str, str]
"""What is wrong, by the field it is shown at; "" for the page."""


class Wizard(msgspec.Struct, kw_only=True):
    """One sync in the making.

    Attributes:
        reached: how many of `STEPS` are behind.
        source, destination, sync: names.
        write_key: of a source that is new.
        type: of the destination.
        is_new: whether the destination is.
        settings: of a destination that is new; secrets as they were typed, so they are never shown.
        names: of the events that were chosen.
        kinds: the event types.
        sample: the event of the preview, as JSON; "" for one that was recorded.
        changes: what came of it, once it is written.
    """

    reached: int = 0
    source: str = ""
    write_key: str = ""
    destination: str = ""
    type: str = ""
    is_new: bool = True
    settings: dict[str, Any] = {}
    sync: str = ""
    names: tuple[str, ...] = ()
    kinds: tuple[DraftType, ...] = ()
    sample: str = ""
    changes: tuple[str, ...] | None = None

    def may(self, step: str) -> bool:
        """Return whether everything is said that *step* needs."""
        return STEPS.index(step) <= self.reached and (step != "settings" or self.is_new)

    def past(self, step: str) -> str:
        """Note that *step* is done; return the next."""
        place = STEPS.index(step) + 1
        if STEPS[place] == "settings" and not self.is_new:
            place += 1
        self.reached = max(self.reached, place)
        return STEPS[place]

    def back_to(self, step: str) -> None:
        """Forget that anything after *step* was done."""
        self.reached = min(self.reached, STEPS.index(step))

    def addition(self, syncs: Iterable[str], over: str = "") -> Addition:
        """Return what would be written; with a name that is free among *syncs*, while none was given."""
        return Addition(
            source=self.source,
            write_key=self.write_key,
            destination=self.destination,
            type=self.type,
            settings=self.settings,
            sync=self.sync or free(f"{self.source}-{self.destination}", syncs),
            event_types=self.kinds or (DraftType(),),
            over=over,
        )


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a mapping.

    Attributes:
        key: the field of the payload; "" for one that is not named yet.
        value: as it is typed.
        label, help, required: what the destination says of a field that it knows.
    """

    key: str = ""
    value: str = ""
    label: str = ""
    help: str = ""
    required: bool = False


def free(name: str, taken: Iterable[str]) -> str:
    """Return *name*, or the first of ``name-2``, ``name-3`` … that is free."""
    there, number, found = set(taken), 1, name
    while found in there:
        number += 1
        found = f"{name}-{number}"
    return found


def lines(kind: DraftType, known: EventType | None, write: Any) -> list[Line]:
    """Return the lines of a mapping: what the destination knows, what is mapped beside, and some empty ones.

    Args:
        kind: has the mapping.
        known: what the destination says of this type; None if it does not know it.
        write: returns a value as TOML.
    """

    def typed(key: str) -> str:
        value = kind.mapping.get(key, "")
        return value if isinstance(value, str) else write(value)

    fields = known.fields if known else {}
    made = [
        Line(key=name, value=typed(name), label=field.label, help=field.help, required=field.required)
        for name, field in fields.items()
    ]
    made += [Line(key=name, value=typed(name)) for name in kind.mapping if name not in fields]
    return made + ([Line()] * BLANK if known is None or known.open else [])


def kinds_of(fields: Mapping[str, str]) -> tuple[tuple[DraftType, ...], Wrong]:
    """Return the event types that a form holds, and what cannot be."""
    found: list[DraftType] = []
    wrong: Wrong = {}
    for at in range(TYPES):
        if f"filter-{at}" not in fields:
            break
        if fields.get(f"drop-{at}"):
            continue
        place = len(found)  # problems are shown on the page as it will be: without those that were dropped
        mapping, problems = _mapping(fields, at, place)
        wrong |= problems
        given = {key: fields.get(f"{key}-{at}", "").strip() for key in ("type", "name", "filter")}
        found.append(
            DraftType(type=given["type"] or "custom", name=given["name"], filter=given["filter"], mapping=mapping)
        )
    if not found:
        wrong[""] = "a sync needs an event type: leave one in"
    return tuple(found), wrong


def _mapping(fields: Mapping[str, str], at: int, place: int) -> tuple[dict[str, Any], Wrong]:
    mapping: dict[str, Any] = {}
    wrong: Wrong = {}
    for line in range(LINES):
        key, text = (fields.get(f"{what}-{at}-{line}", "").strip() for what in ("key", "value"))
        if text and not key:
            wrong[f"kind-{place}"] = f"say which field of the payload {text} goes to"
        if not text or not key:
            continue
        try:
            mapping[key] = _mapped(text)
        except ValueError as error:
            mapping[key] = text
            wrong[f"value-{place}-{key}"] = f"not a table of TOML: {error}; write {{ value = 5 }} for a constant"
    return mapping, wrong


def _mapped(text: str) -> Any:
    """Return a reference or template as it is, and a table of TOML as what it says."""
    if text.startswith("{") and not text.startswith(("{{", "{%")):
        return tomllib.loads(f"value = {text}")["value"]
    return text


def placed(problems: Sequence[Problem], made: Addition) -> Wrong:
    """Return *problems* by the field that each belongs to."""
    wrong: dict[str, list[str]] = {}
    for problem in problems:
        field, what = _field(problem, made)
        said = f"{what}\n{problem.hint.strip()}" if problem.hint else what
        wrong.setdefault(field, []).append(said if field else str(problem))
    return {field: "\n".join(texts) for field, texts in wrong.items()}


def _field(problem: Problem, made: Addition) -> tuple[str, str]:
    """Return where *problem* is shown, and what is wrong there."""
    rest = _below(problem.where, join("destinations", made.destination))
    if rest is not None:
        named = _NAMED.match(problem.what) if not rest else None  # what a plugin finds, it says of its own key
        key = rest.lstrip(".").partition(".")[0].partition("[")[0] or (named and (named[1] or named[2]))
        return (f"set-{key}" if key else ""), (problem.what[named.end() :] if named and named[2] else problem.what)
    for at, kind in enumerate(made.event_types):
        one = join(f"{join('syncs', made.sync)}.event_types", at)
        rest = _below(problem.where, one)
        if rest is None:
            continue
        places = (f"value-{at}-{each}" for each in kind.mapping if _below(rest, join(".mapping", each)) is not None)
        return next(places, f"filter-{at}" if _below(rest, ".filter") == "" else f"kind-{at}"), problem.what
    return "", problem.what


def _below(where: str, above: str) -> str | None:
    """Return what follows *above* in the path *where*, or None if it is not there."""
    rest = where.removeprefix(above)
    return rest if where.startswith(above) and rest[:1] in {"", ".", "["} else None


def worth_showing(asked: Sequence[Asked]) -> tuple[list[Asked], list[Asked]]:
    """Return the settings that most need, and the others."""
    first = [one for one in asked if one.required or one.hides]
    return first, [one for one in asked if one not in first]


def unlike_default(asked: Sequence[Asked], texts: Mapping[str, str]) -> dict[str, str]:
    """Return what was typed, without what is the default anyway."""
    defaults = {one.name: shown(one.default) for one in asked if not one.required}
    return {key: text for key, text in texts.items() if text.strip() and text.strip() != defaults.get(key)}


def shown(value: Any) -> str:
    """Return a setting as a form shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or value is msgspec.UNSET:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def news(sync: SyncStatus) -> str:
    """Return in a sentence whether anything has come through a sync yet."""
    if sync.delivered:
        return f"It arrived: {words.number(sync.delivered)} delivered"
    if sync.archived:
        return f"{words.number(sync.archived)} could not be delivered: see Errors"
    if sync.pending or sync.lag:
        return "The first event is on its way"
    filtered = sum(sync.filtered.values())
    return f"{words.number(filtered)} came, and none was for this sync" if filtered else "Waiting for the first event"
