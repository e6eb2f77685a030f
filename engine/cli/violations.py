"""``headrace violations``: what broke a contract, from the store, beside a running engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from engine.cli.common import DEFAULT, AsJson, ConfigFile, columns, data_folder, iso, read_places, say, say_json
from engine.errors import HeadraceError

if TYPE_CHECKING:
    from engine.cli import House
    from engine.violated import Violated

Contract = Annotated[str, Parameter(help="Only this contract.")]


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
        from engine.observe.breached import breach  # noqa: PLC0415 - with the store
        from engine.store.opening import open_reader  # noqa: PLC0415 - likewise
        from engine.violated import Wanted  # noqa: PLC0415

        wanted = Wanted(contract=contract, source=source, event=event, limit=limit)
        found = open_reader(data_folder(read_places(config))).violations(wanted)
        for one in found:
            if json:
                say_json(breach(one))
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
        from engine.observe.breached import whole_breach  # noqa: PLC0415 - with the store

        one = _found(id, config)
        if json:
            say_json(whole_breach(one))
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
        from engine.observe.breached import breach_counts  # noqa: PLC0415 - with the store
        from engine.store.opening import open_reader  # noqa: PLC0415 - likewise

        found = breach_counts(open_reader(data_folder(read_places(config))).counts())
        counts = [one for one in found if not contract or one.contract == contract]
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
    reader = open_reader(data_folder(read_places(config)))
    if position.isdecimal() and contract:
        for one in reader.violations(Wanted(contract=contract, position=int(position))):
            return one
    raise HeadraceError(f"there is no entry {id}\n    headrace violations list shows those that are kept")


def _line(one: Violated) -> str:
    fate = "tried out" if one.shadow else "allowed" if one.allowed else "blocked"
    version = f" version {one.version}" if one.version else ""
    more = f" (and {len(one.violations) - 1} more)" if len(one.violations) > 1 else ""
    head = f"{one.id}  {fate:9} {f'{one.type} {one.name}'.rstrip()}{version}  {one.source}  {one.message_id}"
    return f"{head}\n    {iso(one.at)}  {one.violations[0]}{more}"
