"""Contracts: what a source's events promise, and what a breach leads to.

A contract has a JSON Schema (draft 7) over the whole event for every event it knows. Three breaches are told apart and
enforced apart: an undeclared event, an undeclared field, a violation of the schema. Every breach is reported, whatever
the enforcement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from engine.errors import LangError
from engine.lang.schema import Schema, check_references, opened
from engine.lang.undeclared import Node, declared, undeclared, without

_MOST_VIOLATIONS = 100
_LONGEST_MESSAGE = 300


def _refuse(uri: str) -> Any:
    raise LangError(f"the schema leads to '{uri}'", "only '#…' is followed; leave '$id' out")


_HANDLERS = dict.fromkeys(("http", "https", "ftp", "file", "data"), _refuse)
"""What fastjsonschema calls instead of fetching; an inner ``$id`` can make a URL of a plain ``#…``."""


class EventSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a contract.

    Attributes:
        type: the call type: track, identify, page, screen, group or alias.
        name: the event's name for track, exactly; for other calls their ``name``, or "" for any.
        version: chosen by ``context.htevents.schemaVersion``; the first of an event is its default.
        schema: JSON Schema draft 7 over the whole event.
        on_undeclared_fields: what happens to fields the schema does not declare.
        on_schema_violation: what happens to an event that breaks the schema.
        include_built_in_context: whether what SDKs put into ``context`` by themselves is declared.
    """

    type: str
    name: str = ""
    version: str = "default"
    schema: dict[str, Any]
    on_undeclared_fields: Literal["allow", "block", "omit"] = "omit"
    on_schema_violation: Literal["allow", "block"] = "block"
    include_built_in_context: bool = True


class ContractSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A contract as it was read.

    Attributes:
        name: for reports.
        events: in the order in which they are written.
        on_undeclared_event: what happens to an event that is none of these.
        schema_version_path: keys that lead to the version of an event.
        propagate: whether an event carries on what it broke, in its context.
    """

    name: str
    events: tuple[EventSpec, ...] = ()
    on_undeclared_event: Literal["allow", "block"] = "allow"
    schema_version_path: tuple[str, ...] = ("context", "htevents", "schemaVersion")
    propagate: bool = False


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One breach.

    Attributes:
        pointer: JSON pointer into the event, "" for the event as a whole.
        rule: undeclared_event | undeclared_field | the schema's keyword, for example ``type``.
        message: one sentence.
        enforced: whether it was acted on: the event blocked, or the field left out.
    """

    pointer: str
    rule: str
    message: str
    enforced: bool


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a contract says about one event.

    Attributes:
        allowed: whether it goes on.
        violations: all breaches, undeclared ones first.
        event: the event to go on with; the given one, or a copy without the omitted fields.
        omitted: JSON pointers of the fields that were left out.
        version: the version it was checked against, "" for an undeclared event.
    """

    allowed: bool
    event: dict[str, Any]
    violations: tuple[Violation, ...] = ()
    omitted: tuple[str, ...] = ()
    version: str = ""


def check_schema(schema: Schema) -> None:
    """Refuse what is no JSON Schema, draft 7, or refers to what it does not hold.

    Raises:
        LangError: says where in it and what.
    """
    from jsonschema import Draft7Validator, SchemaError  # type: ignore[import-untyped]  # noqa: PLC0415

    check_references(schema)
    try:
        Draft7Validator.check_schema(schema)
    except SchemaError as error:
        raise LangError(f"no JSON Schema: {_pointer(error.path) or '/'}: {_short(error.message)}") from None


def compile_schema(schema: Schema) -> Callable[[Any], Any]:
    """Return a function that raises fastjsonschema's ``JsonSchemaValueException`` for what breaks *schema*.

    Raises:
        LangError: it cannot be compiled.
    """
    # Imported when there is a contract: a tenth of a second that a plan without one need not wait.
    import fastjsonschema  # noqa: PLC0415

    check_references(schema)
    try:
        made: Callable[[Any], Any] = fastjsonschema.compile(schema, handlers=_HANDLERS, use_default=False)
    except LangError:
        raise
    except Exception as error:  # noqa: BLE001 - re.error, its own, or whatever its generated source raises
        raise LangError(f"the schema cannot be compiled: {error}") from None
    return made


class _Event:
    """One event's schema, compiled."""

    def __init__(self, spec: EventSpec) -> None:
        from fastjsonschema import JsonSchemaValueException  # noqa: PLC0415 - as in `compile_schema`
        from jsonschema import Draft7Validator  # noqa: PLC0415

        check_schema(spec.schema)
        schema = opened(spec.schema)
        self.validate = compile_schema(schema)
        self.spec = spec
        self.failure = JsonSchemaValueException
        self.listing = Draft7Validator(schema)
        self.fields: Node = declared(spec.schema, built_in=spec.include_built_in_context)

    def check(self, event: dict[str, Any]) -> Checked:
        places = undeclared(event, self.fields)
        version = self.spec.version
        if not places:
            broken = self._broken(event)
            if not broken:
                return Checked(allowed=True, event=event, version=version)
            return Checked(allowed=not broken[0].enforced, event=event, violations=broken, version=version)
        policy = self.spec.on_undeclared_fields
        found = tuple(_undeclared_field(place, enforced=policy != "allow") for place in places)
        passed = without(event, places) if policy == "omit" else event
        broken = self._broken(passed)
        return Checked(
            allowed=policy != "block" and not any(violation.enforced for violation in broken),
            event=passed,
            violations=found + broken,
            omitted=tuple(violation.pointer for violation in found) if policy == "omit" else (),
            version=version,
        )

    def _broken(self, event: dict[str, Any]) -> tuple[Violation, ...]:
        """Return every violation of the schema; the fast validator only says whether there is one."""
        try:
            self.validate(event)
        except self.failure as failure:
            enforced = self.spec.on_schema_violation == "block"
            found = [
                Violation(
                    pointer=_pointer(error.absolute_path),
                    rule=str(error.validator),
                    message=_short(error.message),
                    enforced=enforced,
                )
                for error in sorted(self.listing.iter_errors(event), key=lambda error: list(map(str, error.path)))
            ]
            # A ``format`` that only the fast one checks.
            only = Violation(pointer="", rule="format", message=_short(str(failure)), enforced=enforced)
            return tuple(found[:_MOST_VIOLATIONS]) or (only,)
        return ()


class Contract:
    """A compiled contract.

    Attributes:
        name: for reports.
        spec: as it was read.
    """

    def __init__(self, spec: ContractSpec, events: dict[tuple[str, str], dict[str, _Event]]) -> None:
        self.name = spec.name
        self.spec = spec
        self._events = events
        self._alike = {(kind, _plain(name)): name for kind, name in events}

    def check(self, event: dict[str, Any]) -> Checked:
        """Return what the contract says about a normalised event; the event is not changed."""
        kind = event.get("type")
        name = event.get("event" if kind == "track" else "name")
        found = self._events.get((kind, name)) if isinstance(kind, str) and isinstance(name, str) else None
        versions = found or self._events.get((str(kind), ""))
        if versions is None:
            shown = f"{kind} '{name}'" if kind == "track" else str(kind)
            meant = self._alike.get((str(kind), _plain(name))) if isinstance(name, str) else None
            hint = f"; it declares '{meant}'" if meant else ""
            return self._undeclared_event(event, f"the contract declares no event {shown}{hint}")
        wanted = _version(event, self.spec.schema_version_path)
        if wanted is None:
            return next(iter(versions.values())).check(event)
        if wanted not in versions:
            return self._undeclared_event(event, f"the contract declares no version '{wanted}' of this event")
        return versions[wanted].check(event)

    def _undeclared_event(self, event: dict[str, Any], message: str) -> Checked:
        blocks = self.spec.on_undeclared_event == "block"
        violation = Violation(pointer="", rule="undeclared_event", message=message, enforced=blocks)
        return Checked(allowed=not blocks, event=event, violations=(violation,))

    def __repr__(self) -> str:
        """Return ``Contract('name')``."""
        return f"Contract({self.name!r})"


def compile_contract(spec: ContractSpec) -> Contract:
    """Compile a contract.

    Raises:
        LangError: names the event: no draft 7 schema, a reference that leads out of it, the same event twice.
    """
    events: dict[tuple[str, str], dict[str, _Event]] = {}
    for event in spec.events:
        shown = f"{event.type} '{event.name}'" if event.name else event.type
        if event.type == "track" and not event.name:
            raise LangError("a track event needs a name", 'name = "Order Completed", exactly as it is sent')
        versions = events.setdefault((event.type, event.name), {})
        if event.version in versions:
            raise LangError(f"{shown}: the version '{event.version}' is declared twice")
        try:
            versions[event.version] = _Event(event)
        except LangError as error:
            raise LangError(f"{shown}: {error.what}", error.hint) from None
    return Contract(spec, events)


def _version(event: dict[str, Any], path: tuple[str, ...]) -> str | None:
    """Return the version that an event asks for, or None."""
    version: Any = event
    for key in path:
        version = version.get(key) if isinstance(version, dict) else None
    return None if version is None else str(version)


def _plain(name: str) -> str:
    """Return what names that differ in case and spaces only have in common: the usual cause of an undeclared event."""
    return " ".join(name.split()).casefold()


def _undeclared_field(place: tuple[str | int, ...], *, enforced: bool) -> Violation:
    shown = ".".join(map(str, place))
    return Violation(
        pointer=_pointer(place),
        rule="undeclared_field",
        message=f"{shown} is not declared",
        enforced=enforced,
    )


def _pointer(path: Any) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"


__all__ = ["Checked", "Contract", "ContractSpec", "EventSpec", "Schema", "Violation", "compile_contract"]
