"""The set-up wizard, first half: from a source to a destination that can be reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from actors.console.answers import Refused
from actors.console.visit import Page, Visit, see_other
from actors.console.wizard import STEPS, Wizard, Wrong, placed, shown, unlike_default, worth_showing
from engine.config.draft import NAME, DraftType
from engine.config.lines import join
from engine.errors import ConfigError, HeadraceError
from engine.plan.setup import typed
from engine.plan.suggest import form
from engine.runtime.http_message import Response
from engine.runtime.reach import reach

LARGEST: Final = 128 * 1024
"""Bytes of a form: what is said is kept with the session, until it is written."""
NAMES: Final = {"source": "Source", "destination": "Destination", "settings": "Settings", "events": "Events",
                "mapping": "Mapping", "preview": "Preview"}  # fmt: skip
KEY: Final = 18
"""Random bytes of a write key."""


def said(visit: Visit) -> Wizard:
    """Return what this browser's person has said so far.

    Raises:
        Refused: all at once is too much.
    """
    if len(visit.request.body) > LARGEST:
        raise Refused(413, "too_large", f"a form of the wizard has at most {LARGEST:,} bytes")
    if not isinstance(visit.session.wizard, Wizard):
        visit.session.wizard = Wizard()
    return visit.session.wizard


async def step(visit: Visit, at: str, wrong: Wrong | None = None, **context: Any) -> Response:
    """Return the page of a step; with what is *wrong*, by field."""
    wizard = said(visit)
    return await visit.page(
        f"setup_{at}.html",
        steps=[(one, NAMES[one], wizard.may(one)) for one in STEPS if one != "settings" or wizard.is_new],
        step=at,
        said=wizard,
        wrong=wrong or {},
        closed=await visit.operator.extender.why_not(),
        **context,
    )


def go(name: str) -> Response:
    """Return the way to a step."""
    return see_other("/setup" if name == "source" else f"/setup/{name}")


async def source(visit: Visit) -> Response:
    """Ask where events come from."""
    if said(visit).changes is not None:
        visit.session.wizard = Wizard()
    return await _source(visit)


async def _source(visit: Visit, wrong: Wrong | None = None) -> Response:
    return await step(visit, "source", wrong, sources=visit.operator.plan().config.sources)


async def source_chosen(visit: Visit) -> Response:
    """Take the source."""
    wizard, known = said(visit), visit.operator.plan().config.sources
    name = visit.fields.get("source") or visit.fields.get("name", "").strip()
    if name not in known and (fault := _no_name(name)):
        return await _source(visit, {"name": fault})
    if name != wizard.source:
        wizard.back_to("events")
        wizard.kinds, wizard.sync = (), ""
    wizard.source = name
    wizard.write_key = "" if name in known else wizard.write_key or visit.house.chance(KEY).hex()
    return go(wizard.past("source"))


async def destination(visit: Visit) -> Response:
    """Ask where events go to."""
    return await _destination(visit) if said(visit).may("destination") else go("source")


async def _destination(visit: Visit, wrong: Wrong | None = None) -> Response:
    plan = visit.operator.plan()
    kinds = [(name, _about(plan.registry.destination(name))) for name in plan.registry.names("destinations")]
    return await step(visit, "destination", wrong, destinations=plan.config.destinations, kinds=kinds)


async def destination_chosen(visit: Visit) -> Response:
    """Take the destination, and of which type it is."""
    wizard, plan = said(visit), visit.operator.plan()
    known = plan.config.destinations
    name = visit.fields.get("destination") or visit.fields.get("name", "").strip()
    kind = known[name].type if name in known else visit.fields.get("type", "")
    if name not in known and (fault := _no_name(name)):
        return await _destination(visit, {"name": fault})
    if kind not in plan.registry.names("destinations"):
        return await _destination(visit, {"type": "choose one"})
    if (name, kind) != (wizard.destination, wizard.type):
        wizard.back_to("destination")
        wizard.settings, wizard.kinds, wizard.sync = {}, (), ""
    wizard.destination, wizard.type, wizard.is_new = name, kind, name not in known
    return go(wizard.past("destination"))


async def settings(visit: Visit) -> Response:
    """Ask for the destination's settings, as its plugin describes them."""
    return await _settings(visit) if said(visit).may("settings") else go("destination")


async def _settings(
    visit: Visit, wrong: Wrong | None = None, texts: Mapping[str, str] | None = None, reached: str | None = None
) -> Response:
    wizard = said(visit)
    asked = form(visit.operator.plan().registry.destination(wizard.type).Settings)
    first, others = worth_showing(asked)
    if texts is None:
        texts = {one.name: shown(wizard.settings.get(one.name, one.default)) for one in asked if not one.hides}
    return await step(
        visit,
        "settings",
        wrong,
        first=first,
        others=others,
        texts=texts,
        kept={key for key in wizard.settings if any(one.hides and one.name == key for one in asked)},
        has_url=any(one.name == "url" for one in asked),
        allow_private=bool(wizard.settings.get("allow_private")),
        reached=reached,
    )


async def settings_given(visit: Visit) -> Response:
    """Take the settings if nothing is wrong with them; try to reach the destination, if that is wanted."""
    wizard, plan = said(visit), visit.operator.plan()
    if not wizard.may("settings"):
        return go("destination")
    kind = plan.registry.destination(wizard.type)
    asked = form(kind.Settings)
    fields = {key.removeprefix("set-"): text for key, text in visit.fields.items() if key.startswith("set-")}
    texts = {one.name: fields.get(one.name, "") for one in asked}
    given = typed(kind.Settings, unlike_default(asked, texts) | _allowed(fields))
    hidden = {one.name for one in asked if one.hides}
    for name in hidden & wizard.settings.keys() - given.keys():  # not shown, so not sent back
        if not visit.fields.get(f"forget-{name}"):
            given[name] = wizard.settings[name]
    wizard.settings = given
    shown_again = {name: text for name, text in texts.items() if name not in hidden}
    if wrong := await _faults(visit, wizard):
        wizard.back_to("settings")
        return await _settings(visit, wrong, shown_again)
    if visit.fields.get("then") == "reach":
        found = await reach(str(given.get("url", "")), allow_private=bool(given.get("allow_private")))
        return await _settings(visit, None, shown_again, found)
    return go(wizard.past("settings"))


async def _faults(visit: Visit, wizard: Wizard) -> Wrong:
    """Return what is wrong with the settings alone: the rest is not said yet."""
    draft = wizard.addition(visit.operator.plan().config.syncs)
    kinds = visit.operator.plan().registry.destination(wizard.type).event_types
    if not wizard.kinds:
        kind = "custom" if "custom" in kinds else next(iter(kinds))
        draft = replace(draft, event_types=(DraftType(type=kind),))
    try:
        await visit.operator.extender.trial(draft)
    except ConfigError as error:
        unsaid = join("syncs", draft.sync)  # what is wrong with it is not said yet
        return placed([one for one in error.problems if not one.where.startswith(unsaid)], draft)
    except HeadraceError as error:
        return {"": str(error)}
    return {}


def _allowed(fields: Mapping[str, str]) -> dict[str, str]:
    return {"allow_private": "true"} if fields.get("allow_private") == "true" else {}


def _no_name(name: str) -> str:
    """Return why *name* is none, or ""."""
    if not name:
        return "give it a name"
    return "" if NAME.fullmatch(name) and len(name) <= 100 else "letters, digits, - and _, at most 100"  # noqa: PLR2004


def _about(kind: type[Any]) -> str:
    """Return the first sentence of what a plugin says of itself."""
    return (kind.__doc__ or "").strip().partition("\n")[0]


PAGES: Final = (
    Page(path="/setup", show=source, name="Set up"),
    Page(path="/setup", show=source_chosen, posted=True),
    Page(path="/setup/destination", show=destination),
    Page(path="/setup/destination", show=destination_chosen, posted=True),
    Page(path="/setup/settings", show=settings),
    Page(path="/setup/settings", show=settings_given, posted=True),
)
