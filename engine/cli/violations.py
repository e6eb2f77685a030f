"""``headrace violations``: what broke a contract, from the store, beside a running engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from engine.cli.common import DEFAULT, AsJson, ConfigFile, columns, data_folder, iso, read_config, say, say_json
from engine.errors import HeadraceError

if TYPE_CHECKING:
    from engine.cli import House
    from engine.violated import Violated

Contract = Annotated[str, Parameter(help="Only this contract.")]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``violations list --json``; others rely on these names, the last six of which are Hightouch's.

    Attributes:
        event_id: the event's position in the log, as text.
        at: ISO-8601, UTC.
    """

    id: str
    event_id: str
    message_id: str
    at: str
    source: str
    contract: str
    shadow: bool
    allowed: bool
    rules: tuple[str, ...]
    event_name: str
    event_type: str
    schema_version: str
    has_undeclared_schema: bool
    has_undeclared_fields: bool
    has_schema_violated: bool
    violations: tuple[str, ...]


class Whole(Entry, frozen=True, kw_only=True):
    """The same with the event as it was sent."""

    payload: msgspec.Raw


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``violations count --json``: events that broke one rule."""

    contract: str
    event: str
    rule: str
    events: int


def put(app: App, house: House) -> None:  # noqa: ARG001 - every command is put on alike
    """Put ``violations`` on *app*."""
    violations = App(name="violations", help="What broke a contract, whether it was enforced or not.")
    app.command(violations)
    _put_list(violations)
    _put_show(violations)
    _put_count(violations)


def _put_list(violations: App) -> None:
    @violations.command(name="list")
    def list_(
        *,
        config: ConfigFile = DEFAULT,
        contract: Contract = "",
        source: Annotated[str, Parameter(help="Only this source.")] = "",
        event: Annotated[str, Parameter(help="Only events of this name, or of this call type.")] = "",
        limit: Annotated[int, Parameter(help="At most so many, the newest first.")] = 100,
        json: AsJson = False,
    ) -> int:
        """List events that broke a contract, the newest first; above 100 a second of one kind, samples.

        Example: headrace violations list --contract shop --json

        Args:
            config: The configuration file.
            contract: Only this contract.
            source: Only this source.
            event: Only events of this name, or of this call type.
            limit: At most so many.
            json: Print one JSON object per line.
        """
        from engine.store.opening import open_reader  # noqa: PLC0415 - with the store
        from engine.violated import Wanted  # noqa: PLC0415

        wanted = Wanted(contract=contract, source=source, event=event, limit=limit)
        found = open_reader(data_folder(read_config(config, secrets=False))).violations(wanted)
        for one in found:
            if json:
                say_json(Entry(**_parts(one)))
            else:
                say(_line(one))
        if not found and not json:
            say("no contract was broken")
        return 0


def _put_show(violations: App) -> None:
    @violations.command(name="show")
    def show(
        id: Annotated[str, Parameter(help="As `violations list` shows it.")],  # noqa: A002 - what a user types
        /,
        *,
        config: ConfigFile = DEFAULT,
        json: AsJson = False,
    ) -> int:
        """Show one of them, with every violation and the event as it was sent.

        Example: headrace violations show 17-shop

        Args:
            id: As ``violations list`` shows it.
            config: The configuration file.
            json: Print JSON, for machines.
        """
        one = _found(id, config)
        if json:
            say_json(Whole(**_parts(one), payload=msgspec.Raw(one.event)))
        else:
            say("\n".join([_line(one), *(f"    {text}" for text in one.violations[1:]), "", one.event.decode()]))
        return 0


def _put_count(violations: App) -> None:
    @violations.command(name="count")
    def count(*, config: ConfigFile = DEFAULT, contract: Contract = "", json: AsJson = False) -> int:
        """Count the events that broke a contract, per event and rule, since the store was made.

        Example: headrace violations count --json

        Args:
            config: The configuration file.
            contract: Only this contract.
            json: Print one JSON object per line.
        """
        counts = [one for one in _counts(config) if not contract or one.contract == contract]
        if json:
            for one in counts:
                say_json(one)
        elif counts:
            cells = [(one.contract, one.event, one.rule, str(one.events)) for one in counts]
            say("\n".join(columns([("contract", "event", "rule", "events"), *cells], 3)))
        else:
            say("no contract was broken")
        return 0


def _found(id: str, config: Any) -> Violated:  # noqa: A002 - what a user types
    """Return one entry.

    Raises:
        HeadraceError: there is none of that id.
    """
    from engine.store.opening import open_reader  # noqa: PLC0415 - with the store
    from engine.violated import Wanted  # noqa: PLC0415

    position, _, contract = id.partition("-")
    reader = open_reader(data_folder(read_config(config, secrets=False)))
    if position.isdecimal() and contract:
        for one in reader.violations(Wanted(contract=contract, position=int(position))):
            return one
    raise HeadraceError(f"there is no entry {id}\n    headrace violations list shows those that are kept")


def _counts(config: Any) -> list[Count]:
    from engine.store.opening import open_reader  # noqa: PLC0415 - with the store

    found = []
    for (scope, name), events in open_reader(data_folder(read_config(config, secrets=False))).counts().items():
        kind, _, contract = scope.partition(":")
        if kind == "contract":
            event, _, rule = name.partition("\t")
            found.append(Count(contract=contract, event=event, rule=rule, events=events))
    return sorted(found, key=lambda one: (one.contract, -one.events, one.event, one.rule))


def _parts(one: Violated) -> dict[str, Any]:
    return {
        "id": one.id,
        "event_id": str(one.position),
        "message_id": one.message_id,
        "at": iso(one.at),
        "source": one.source,
        "contract": one.contract,
        "shadow": one.shadow,
        "allowed": one.allowed,
        "rules": one.rules,
        "event_name": one.name,
        "event_type": one.type,
        "schema_version": one.version,
        "has_undeclared_schema": one.undeclared_event,
        "has_undeclared_fields": one.undeclared_fields,
        "has_schema_violated": one.schema_violated,
        "violations": one.violations,
    }


def _line(one: Violated) -> str:
    fate = "tried out" if one.shadow else "allowed" if one.allowed else "blocked"
    version = f" version {one.version}" if one.version else ""
    more = f" (and {len(one.violations) - 1} more)" if len(one.violations) > 1 else ""
    head = f"{one.id}  {fate:9} {f'{one.type} {one.name}'.rstrip()}{version}  {one.source}  {one.message_id}"
    return f"{head}\n    {iso(one.at)}  {one.violations[0]}{more}"
