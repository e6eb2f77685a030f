"""The set-up wizard, second half: which events, how they are mapped, what would be sent, and writing it down."""

from __future__ import annotations

import shlex
from typing import Any, Final

import msgspec

from actors.console.answers import Refused
from actors.console.pages.setup import go, said, step
from actors.console.visit import Page, Visit, see_other
from actors.console.wizard import LINES, TYPES, Wizard, Wrong, free, kinds_of, lines, news, placed
from engine.config.draft import NAME, inline
from engine.errors import ConfigError, HeadraceError
from engine.plan.setup import SAMPLE
from engine.plan.suggest import event_names, missing, references, types_for
from engine.runtime.http_message import Response

LISTED: Final = 30
"""Names of events that are offered, the most frequent first."""
REFERENCES: Final = 200
"""Fields of events that are offered while one types."""


async def events(visit: Visit) -> Response:
    """Ask which events go."""
    return await _events(visit) if said(visit).may("events") else go("destination")


async def _events(visit: Visit, wrong: Wrong | None = None) -> Response:
    wizard = said(visit)
    found = event_names(await visit.operator.extender.recorded(wizard.source))[:LISTED]
    known = {name for name, _ in found}
    syncs = visit.operator.plan().config.syncs
    return await step(
        visit,
        "events",
        wrong,
        found=found,
        proposed=visit.fields.get("sync") or wizard.sync or free(f"{wizard.source}-{wizard.destination}", syncs),
        more="\n".join(name for name in wizard.names if name not in known),
    )


async def events_chosen(visit: Visit) -> Response:
    """Take the events, and propose how they are mapped."""
    wizard, plan = said(visit), visit.operator.plan()
    if not wizard.may("events"):
        return go("destination")
    ticked = [name for key, name in visit.fields.items() if key.startswith("event-")]
    more = [text.strip() for text in visit.fields.get("more", "").splitlines()]
    names = tuple(dict.fromkeys(name for name in (*ticked, *more) if name))
    sync, wrong = visit.fields.get("sync", "").strip(), {}
    if not NAME.fullmatch(sync):
        wrong["sync"] = "letters, digits, - and _"
    elif sync in plan.config.syncs:
        wrong["sync"] = "there is a sync of that name already"
    if len(names) > TYPES:
        wrong["more"] = f"at most {TYPES} here"
    if names != wizard.names or not wizard.kinds:
        known = plan.registry.destination(wizard.type).event_types
        recorded = await visit.operator.extender.recorded(wizard.source)
        wizard.kinds, wizard.names, wizard.sample = types_for(names[:TYPES], recorded, dict(known)), names, ""
    if wrong:
        return await _events(visit, wrong)
    wizard.sync = sync
    return go(wizard.past("events"))


async def mapping(visit: Visit) -> Response:
    """Ask what of an event becomes what of a payload."""
    return await _mapping(visit) if said(visit).may("mapping") else go("events")


async def _mapping(visit: Visit, wrong: Wrong | None = None) -> Response:
    wizard = said(visit)
    known = visit.operator.plan().registry.destination(wizard.type).event_types
    recorded = await visit.operator.extender.recorded(wizard.source)
    return await step(
        visit,
        "mapping",
        wrong,
        kinds=[(kind, lines(kind, known.get(kind.type), inline)[:LINES]) for kind in wizard.kinds],
        types=list(known.items()),
        references=references(recorded)[:REFERENCES],
        recorded=len(recorded),
    )


async def mapping_given(visit: Visit) -> Response:
    """Take the mapping if nothing is wrong with it."""
    wizard, plan = said(visit), visit.operator.plan()
    if not wizard.may("mapping"):
        return go("events")
    kinds, wrong = kinds_of(visit.fields)
    wizard.kinds = kinds or wizard.kinds
    known = plan.registry.destination(wizard.type).event_types
    for at, kind in enumerate(kinds):
        lacks = missing(known[kind.type], kind.mapping) if kind.type in known else []
        wrong |= {f"value-{at}-{name}": "this destination needs it" for name in lacks}
    wrong = await _faults(visit, wizard) | wrong
    if wrong:
        wizard.back_to("mapping")
        return await _mapping(visit, wrong)
    if visit.fields.get("then") == "more":  # with empty lines again
        return await _mapping(visit)
    return go(wizard.past("mapping"))


async def _faults(visit: Visit, wizard: Wizard) -> Wrong:
    made = wizard.addition(visit.operator.plan().config.syncs)
    try:
        await visit.operator.extender.trial(made)
    except ConfigError as error:
        return placed(error.problems, made)
    except HeadraceError as error:
        return {"": str(error)}
    return {}


async def preview(visit: Visit) -> Response:
    """Show what would be written, and what would be sent for an event."""
    return await _preview(visit) if said(visit).may("preview") else go("mapping")


async def tried(visit: Visit) -> Response:
    """Show what would be sent for another event."""
    said(visit).sample = visit.fields.get("event", "")
    return await preview(visit)


async def _preview(visit: Visit, failure: str = "") -> Response:
    wizard, extender = said(visit), visit.operator.extender
    made = wizard.addition(visit.operator.plan().config.syncs)
    recorded = await extender.recorded(wizard.source)
    text = wizard.sample or msgspec.json.format(msgspec.json.encode(_sample(wizard, recorded)), indent=2).decode()
    context: dict[str, Any] = {"event": text, "recorded": bool(recorded) and not wizard.sample, "failure": failure}
    wrong, trial, explained = {}, None, None
    try:
        trial = await extender.trial(made)
        explained = await extender.explain(trial, msgspec.json.decode(text, type=dict[str, Any]), wizard.source)
    except (msgspec.DecodeError, RecursionError) as error:
        wrong["event"] = f"not an event, which is one JSON object: {error}"
    except ConfigError as error:
        wrong[""] = str(error)
    except HeadraceError as error:
        wrong["event" if trial else ""] = str(error)
    walks = [walk for walk in explained.syncs if walk.sync == made.sync] if explained else []
    return await step(visit, "preview", wrong, trial=trial, explained=explained, walks=walks, **context)


async def write(visit: Visit) -> Response:
    """Write it into config.toml, by the same endpoint that machines have, and let it take effect."""
    wizard = said(visit)
    if not wizard.may("preview"):
        return go("mapping")
    endpoint, _ = visit.house.api.find("POST", "/setup")
    made = wizard.addition(visit.operator.plan().config.syncs, visit.fields.get("over", ""))
    asked = visit.house.api.asked(body=made, who=visit.who, now=visit.now)
    try:
        done = await visit.house.api.ask(endpoint, asked, "POST /setup")
    except Refused as error:
        return await _preview(visit, str(error))
    wizard.changes = done.changes
    wizard.settings = {}  # nothing that was typed in is kept for longer than it is needed
    return see_other("/setup/done")


async def done(visit: Visit) -> Response:
    """Show how to send a first event, and whether it arrived."""
    wizard, plan = said(visit), visit.operator.plan()
    status = next((one for one in (await visit.operator.status()).syncs if one.name == wizard.sync), None)
    if wizard.changes is None or status is None:
        return go("source")
    name = next((name for name in wizard.names if name), "Order Completed")
    event = {"event": name, "userId": "u1", "properties": {}}
    scheme = "https" if plan.config.receiver.tls else "http"
    url = f"{scheme}://{await visit.operator.doorstep()}/v1/track"
    key = wizard.write_key or "WRITE_KEY"
    curl = f"curl -u {shlex.quote(key)}: {url} -d {shlex.quote(msgspec.json.encode(event).decode())}"
    return await visit.page("setup_done.html", said=wizard, sync=status, news=news(status), curl=curl)


def _sample(wizard: Wizard, recorded: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the newest recorded event that was chosen, else the newest, else one that might come."""
    chosen = [one for one in recorded if {one.get("event"), one.get("type")} & set(wizard.names)]
    if recorded:
        return (chosen or recorded)[-1]
    return SAMPLE | {"event": wizard.names[0]} if wizard.names else SAMPLE


PAGES: Final = (
    Page(path="/setup/events", show=events),
    Page(path="/setup/events", show=events_chosen, posted=True),
    Page(path="/setup/mapping", show=mapping),
    Page(path="/setup/mapping", show=mapping_given, posted=True),
    Page(path="/setup/preview", show=preview),
    Page(path="/setup/preview", show=tried, posted=True),
    Page(path="/setup/write", show=write, posted=True),
    Page(path="/setup/done", show=done),
)
