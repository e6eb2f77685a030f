"""``headrace init``: a first configuration, or one more sync, by questions or by options."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from engine.cli.common import DEFAULT, ConfigFile, counted, data_folder, say, warn
from engine.cli.questions import Questions
from engine.errors import ConfigError, HeadraceError

if TYPE_CHECKING:
    from engine.cli import House
    from engine.config.draft import Draft, DraftType
    from engine.plan.compile import Plan
    from engine.registry import Registry

TRACK = "http://127.0.0.1:8321/v1/track"
EVENT = '{"event": "Order Completed", "userId": "u1"}'
RECORDED = 500
"""Newest events that suggestions are made from."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What is known before anything is asked."""

    source: Annotated[str, Parameter(show_default=False, help="The source's name.")] = ""
    destination: Annotated[str, Parameter(show_default=False, help="The destination's name.")] = ""
    type: Annotated[str, Parameter(show_default=False, help="What kind of destination it is.")] = ""
    set: Annotated[
        tuple[str, ...], Parameter(show_default=False, negative="", help="A setting of the destination: KEY=VALUE.")
    ] = ()
    sync: Annotated[str, Parameter(show_default=False, help="The sync's name.")] = ""
    event: Annotated[
        tuple[str, ...],
        Parameter(show_default=False, negative="", help="Only events of this name; several may be given."),
    ] = ()
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative="", show_default=False, help="Ask nothing.")] = False


NOTHING = Wishes()


def put(app: App, house: House) -> None:
    """Put ``init`` on *app*."""

    @app.command(name="init")
    def init(*, config: ConfigFile = DEFAULT, wishes: Wishes = NOTHING) -> int:
        """Make a configuration, or add a sync to one: source, destination, event types, mapping, preview.

        Asks on a terminal for what no option says. What is there stays as it is, comments included. A secret that is
        typed in goes to a file that only you may read; a value like env:NAME is written as it is.

        Example: headrace init --source shop --destination crm --type webhook --set url=https://crm.example/in --yes

        Args:
            config: The configuration file.
            wishes: What is known already.
        """
        from engine.config.draft import written  # noqa: PLC0415 - only where it is needed
        from engine.config.keeping import keep  # noqa: PLC0415

        setup = _Setup(config, wishes, house)
        draft = setup.draft()
        text = written(setup.text, draft)
        _check(setup, text, draft)
        if not setup.questions.agreed(f"write this to {config}?"):
            warn("nothing was written")
            return 1
        keep(config, text, setup.files)
        say(f"{config} is written: {draft.source} → {draft.destination}, sync '{draft.sync}'")
        known = draft.write_key and not draft.write_key.startswith(("env:", "file:"))
        if known:
            say(f"the write key of '{draft.source}' is {draft.write_key}")
        say(f"next: headrace run -c {config}; then, in another terminal:")
        say(f"    curl -u {draft.write_key if known else 'WRITE_KEY'}: {TRACK} -d '{EVENT}'")
        return 0


class _Setup:
    """Gathers what a draft needs: from options, from what is there, and by asking."""

    def __init__(self, config: Path, wishes: Wishes, house: House) -> None:
        from engine.registry import Registry  # noqa: PLC0415 - with the plugins

        self.config = config
        self.wishes = wishes
        self.registry: Registry = Registry(house.builtin)
        self.questions = Questions(silent=wishes.yes)
        self.text = config.read_text() if config.exists() else ""
        self.known = _tables(config, self.text)
        self.files: dict[str, str] = {}

    def draft(self) -> Draft:
        """Return all that is to be written.

        Raises:
            HeadraceError: something is not said, and nobody is there to ask; names all of it.
        """
        from engine.config.draft import NAME, Draft  # noqa: PLC0415 - only where it is needed

        ask = self.questions
        source = ask.text("source", self.wishes.source, default=_first(self.known, "sources", "app"), like=NAME)
        fresh = source not in self.known.get("sources", {})
        there = _first(self.known, "destinations", "crm")
        destination = ask.text("destination", self.wishes.destination, default=there, like=NAME)
        kind, settings = self._destination(destination)
        sync = ask.text("sync", self.wishes.sync, default=f"{source}-{destination}", like=NAME)
        types = self._event_types(source, kind)
        ask.check()
        return Draft(
            source=source,
            write_key=secrets.token_urlsafe(18) if fresh else "",
            destination=destination,
            type=kind,
            settings=settings,
            sync=sync,
            event_types=types,
        )

    def events(self, source: str) -> list[dict[str, Any]]:
        """Return the newest recorded events of a source; none if there is no store."""
        from engine.cli.common import read_config  # noqa: PLC0415 - only where it is needed
        from engine.store.opening import open_reader  # noqa: PLC0415

        if not self.text:
            return []
        try:
            with open_reader(data_folder(read_config(self.config, secrets=False))) as reader:
                recent = reader.recent(source, 0.0, RECORDED)
        except HeadraceError:
            return []
        return [msgspec.json.decode(one.raw) for one in recent]

    def _destination(self, name: str) -> tuple[str, dict[str, Any]]:
        """Return the type of a destination and, if it is new, its settings."""
        from engine.plan.setup import put_away, typed  # noqa: PLC0415 - only where it is needed
        from engine.plan.suggest import form  # noqa: PLC0415

        there = self.known.get("destinations", {}).get(name)
        if there is not None:
            return str(there.get("type")), {}
        names = self.registry.names("destinations")
        kind = self.questions.choice("type", self.wishes.type, names, default="webhook")
        settings = self.registry.destination(kind).Settings
        given = dict(_pair(text) for text in self.wishes.set)
        for asked in form(settings):
            if asked.name not in given and (asked.required or asked.kind == "secret"):
                given[asked.name] = self.questions.setting(asked)
        found = put_away(name, settings, typed(settings, given))
        self.files = found.files
        return kind, found.settings

    def _event_types(self, source: str, kind: str) -> tuple[DraftType, ...]:
        """Return an event type for each event that is asked for; for all events, if none is."""
        from engine.plan.suggest import event_names, types_for  # noqa: PLC0415 - only where it is needed

        events = self.events(source)
        listed = {f"{name} ({many:,})": name for name, many in event_names(events)}
        wanted = list(self.wishes.event) or self.questions.several(
            "which events (numbers or names, nothing for all)", list(listed)
        )
        known = dict(self.registry.destination(kind).event_types)
        return types_for([listed.get(text, text) for text in wanted], events, known)


def _check(setup: _Setup, text: str, draft: Draft) -> None:
    """Say what the new configuration would do to an event.

    Raises:
        ConfigError: it cannot be run; with every problem.
    """
    from engine.plan.explain import explain  # noqa: PLC0415 - only where it is needed
    from engine.plan.setup import SAMPLE, tried  # noqa: PLC0415
    from engine.plan.telling import as_text  # noqa: PLC0415

    try:
        plan = tried(setup.config, text, setup.files, setup.registry, env=None)
    except ConfigError as error:
        raise HeadraceError(f"this would be written, and cannot be run:\n\n{text}\n{error}") from None
    events = setup.events(draft.source)
    sample = events[-1] if events else SAMPLE
    said = f"{counted(len(events), 'recorded event')}, the newest" if events else "a sample event"
    say(text)
    say(f"preview, with {said}:\n{as_text(explain(plan, sample, source=draft.source, at=time.time()))}")
    _reached(plan, draft)


def _reached(plan: Plan, draft: Draft) -> None:
    """Say whether a new destination can be reached; nothing is sent."""
    url = draft.settings.get("url")
    if not isinstance(url, str):
        return
    import trio  # noqa: PLC0415 - only where it is needed

    from engine.runtime.reach import reach  # noqa: PLC0415

    async def look() -> str:
        return await reach(url, allow_private=plan.destinations[draft.destination].allow_private)

    why = trio.run(look)
    say(f"connection to {draft.destination}: {why or 'there is somebody; nothing was sent'}")


def _tables(config: Path, text: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - only where it is needed

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise HeadraceError(f"{config} cannot be read: {error}\n    headrace check says where") from None


def _first(known: dict[str, Any], kind: str, otherwise: str) -> str:
    return next(iter(known.get(kind, {})), otherwise)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise HeadraceError(f"--set {text}: write KEY=VALUE, for example url=https://crm.example/in")
    return key.strip(), value.strip()
