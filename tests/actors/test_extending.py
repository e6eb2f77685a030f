"""One more way through a running engine."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from actors.extending import Extender
from engine.config.draft import Addition, DraftType
from engine.config.load import load
from engine.errors import ConfigError, HeadraceError
from engine.plan import Plan, compile_plan
from tests.support.grown import HEAD, REGISTRY, Engine, at_once, grow

DESK = '[destinations.crm]\ntype = "desk"\n'
SEEN = DraftType(type="custom", mapping={"n": "properties.n"})
MORE = Addition(source="shop", destination="crm", sync="more", event_types=(SEEN,))


def reread(config: Path) -> Plan:
    return compile_plan(load(config, env={}), REGISTRY)


@pytest.fixture
async def engine(nursery, tmp_path):
    (tmp_path / "config.toml").write_text(HEAD + DESK)
    grown = await grow(nursery, DESK, folder=tmp_path)
    grown.tree.reloader.aside = at_once
    grown.tree.reloader.reread = partial(reread, tmp_path / "config.toml")
    yield grown
    grown.tree.stop_now()


def text(engine: Engine) -> str:
    return Path(engine.tree.plan.loaded.file).read_text()


def edit(engine: Engine, said: str) -> None:
    Path(engine.tree.plan.loaded.file).write_text(said)


def lock(engine: Engine) -> None:
    Path(engine.tree.plan.loaded.file).chmod(0o400)


async def test_what_is_written_takes_effect_and_delivers(engine, autojump_clock):
    reloaded = await engine.tree.operator.extender.extend(MORE, "")
    await engine.send(1)
    await engine.settled()

    assert reloaded.changes == ("sync 'more' is new",)
    assert text(engine) == HEAD.lstrip("\n") + DESK + (
        '\n[syncs.more]\nsource = "shop"\ndestination = "crm"\n[[syncs.more.event_types]]\ntype = "custom"\n'
        '[syncs.more.event_types.mapping]\nn = "properties.n"\n'
    )
    assert [each.payload for call in engine.desk().calls for each in call.batch] == [b'{"n":1}']


async def test_what_is_looked_at_must_be_what_is_written_over(engine, autojump_clock):
    extender: Extender = engine.tree.operator.extender
    trial = await extender.trial(MORE)
    edit(engine, HEAD + DESK + "# mine\n")

    with pytest.raises(HeadraceError) as caught:
        await extender.extend(MORE, trial.over)

    assert str(caught.value) == "nothing was written: config.toml is other than before; look at the preview again"
    assert text(engine) == HEAD + DESK + "# mine\n"


async def test_what_cannot_run_is_refused_with_every_problem_and_not_written(engine, autojump_clock):
    wrong = DraftType(type="custom", filter="event =", mapping={"n": "a..b"})
    draft = Addition(source="shop", destination="crm", sync="more", event_types=(wrong,))

    with pytest.raises(ConfigError) as caught:
        await engine.tree.operator.extender.extend(draft, "")

    assert [problem.where for problem in caught.value.problems] == [
        "syncs.more.event_types[0].filter",
        "syncs.more.event_types[0].mapping.n",
    ]
    assert text(engine) == HEAD + DESK


async def test_what_a_reload_refuses_is_taken_back(engine, autojump_clock):
    def refuse() -> Plan:
        raise HeadraceError("not today")

    engine.tree.reloader.reread = refuse

    with pytest.raises(HeadraceError) as caught:
        await engine.tree.operator.extender.extend(MORE, "")

    assert str(caught.value) == "config.toml is as before: not today"
    assert text(engine) == HEAD + DESK


@pytest.mark.parametrize(
    "event_types", [(DraftType(mapping={"a": {"value": None}}),), (DraftType(mapping={"a": [{}, None]}),)]
)
async def test_what_toml_cannot_say_is_refused(engine, autojump_clock, event_types):
    draft = Addition(source="shop", destination="crm", sync="more", event_types=event_types)

    with pytest.raises(HeadraceError, match="the new tables do not go with what is there"):
        await engine.tree.operator.extender.extend(draft, "")


async def test_who_may_not_write_is_told_why(nursery, engine, tmp_path, autojump_clock):
    extender = engine.tree.operator.extender
    assert await extender.why_not() == ""
    lock(engine)
    assert await extender.why_not() == f"{tmp_path}/config.toml is not writable"
    engine.tree.reloader.reread = None
    assert await extender.why_not() == "this engine was not started from a file"
    with pytest.raises(HeadraceError) as caught:
        await extender.extend(MORE, "")
    assert str(caught.value) == "nothing was written: this engine was not started from a file"


async def test_a_configuration_may_say_that_nothing_is_written(engine, autojump_clock):
    loaded = engine.tree.plan.loaded
    config = replace(loaded.config, console=replace(loaded.config.console, setup=False))
    engine.tree.plan = replace(engine.tree.plan, loaded=replace(loaded, config=config))

    assert await engine.tree.operator.extender.why_not() == "[console] has setup = false"


async def test_recorded_events_are_those_of_the_tap_and_after_a_start_of_the_log(engine, autojump_clock):
    extender = engine.tree.operator.extender
    assert await extender.recorded("nobody") == []
    assert await extender.recorded("shop") == []
    await engine.send(3)
    assert [event["properties"]["n"] for event in await extender.recorded("shop")] == [1, 2, 3]
    engine.tree.doors["shop"].tap = type(engine.tree.doors["shop"].tap)()
    assert [event["properties"]["n"] for event in await extender.recorded("shop")] == [1, 2, 3]
