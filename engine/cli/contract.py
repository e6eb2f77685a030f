"""``headrace contract``: a contract proposed by recorded events, and what another would do to them."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from engine.cli.common import DEFAULT, AsJson, ConfigFile, counted, data_folder, read_config, read_plan, say, say_json
from engine.errors import HeadraceError, did_you_mean, one_of
from engine.units import Duration

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from engine.cli import House
    from engine.messages import Logged
    from engine.plan.contracts import Compared

Source = Annotated[str, Parameter(help="Whose events.")]
Since = Annotated[str, Parameter(help='How far back, for example "1d".')]
Last = Annotated[int, Parameter(help="At most so many events, the newest.")]


def put(app: App, house: House) -> None:
    """Put ``contract`` on *app*."""
    contract = App(name="contract", help="Contracts, held against events that were recorded.")
    app.command(contract)
    _put_infer(contract)
    _put_diff(contract, house)


def _put_infer(contract: App) -> None:
    @contract.command(name="infer")
    def infer(
        *,
        source: Source,
        config: ConfigFile = DEFAULT,
        since: Since = "1d",
        last: Last = 100_000,
    ) -> int:
        """Propose a contract that a source's recorded events keep; prints what `path` of a contract reads.

        Example: headrace contract infer --source shop --since 1d > contracts/shop.json

        Args:
            source: Whose events.
            config: The configuration file.
            since: How far back.
            last: At most so many events.
        """
        from engine.plan.contracts import propose  # noqa: PLC0415 - only where it is needed

        loaded = read_config(config, secrets=False)
        _known(source, loaded.config.sources, "source")
        events = propose(_recorded(config, source, since, last))
        if not events:
            raise HeadraceError(f"source '{source}' has recorded no event in the last {since}")
        say(msgspec.json.format(msgspec.json.encode({"events": events}), indent=2).decode())
        return 0


def _put_diff(contract: App, house: House) -> None:
    @contract.command(name="diff")
    def diff(
        name: Annotated[str, Parameter(help="One of [contracts].")],
        /,
        *,
        source: Source,
        config: ConfigFile = DEFAULT,
        since: Since = "30d",
        last: Last = 1000,
        json: AsJson = False,
    ) -> int:
        """Show what a contract would block, omit or flag of a source's recorded events, where today's does not.

        Example: headrace contract diff next --source shop --last 1000

        Args:
            name: One of [contracts].
            source: Whose events.
            config: The configuration file.
            since: How far back.
            last: At most so many events.
            json: Print one JSON object per event that differs.
        """
        from engine.lang.contract import compile_contract  # noqa: PLC0415 - only where it is needed
        from engine.plan.contracts import compare, contract_spec  # noqa: PLC0415

        plan, _ = read_plan(config, house, secrets=False)
        _known(source, plan.sources, "source")
        _known(name, plan.config.contracts, "contract")
        other = compile_contract(contract_spec(name, plan.config.contracts[name]))
        found = list(compare(plan.sources[source].contract, other, _recorded(config, source, since, last)))
        for one in found:
            if one.before != one.after:
                say_json(one) if json else say(_line(one))
        if not json:
            say(_sum(found))
        return 0


def _known(name: str, choices: Collection[str], kind: str) -> None:
    """Check that *name* is one of *choices*.

    Raises:
        HeadraceError: it is not.
    """
    if name not in choices:
        raise HeadraceError(f"no {kind} '{name}': {did_you_mean(name, choices) or one_of(choices)}")


def _recorded(config: Any, source: str, since: str, last: int) -> Sequence[Logged]:
    """Return a source's newest events, the oldest first.

    Raises:
        HeadraceError: *since* is no duration; or there is no store yet.
    """
    from engine.store.opening import open_reader  # noqa: PLC0415 - with the store

    try:
        age = float(Duration(since))
    except ValueError as error:
        raise HeadraceError(f"--since: {error}") from None
    with open_reader(data_folder(read_config(config, secrets=False))) as reader:
        return reader.recent(source, time.time() - age, last)


def _line(one: Compared) -> str:
    head = f"{one.position}  {one.before} → {one.after}  {f'{one.type} {one.name}'.rstrip()}  {one.message_id}"
    return "\n    ".join([head, *one.violations])


def _sum(found: list[Compared]) -> str:
    fates = Counter(one.after for one in found)
    differ = sum(one.before != one.after for one in found)
    told = ", ".join(f"{fate} {fates[fate]}" for fate in ("block", "omit", "flag", "pass"))
    return f"{counted(len(found), 'event')}: {told}; {differ} other than today"
