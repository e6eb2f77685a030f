from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.config.load import load, read
from engine.errors import ConfigError
from engine.lang.retry import RetryPolicy
from engine.plan import compile_plan
from engine.plugin import Limits, Secret
from tests.support.grown import shop_plan
from tests.support.plans import HEAD, REGISTRY, Box, plan_of, problems_of, told

SYNC = '[syncs.s]\nsource = "shop"\ndestination = "crm"\nevent_types = [{}]\n'


def test_a_destination_has_its_settings_and_its_pace() -> None:
    text = """
    [sources.shop]
    write_keys = ["env:KEY", "other"]
    [destinations.crm]
    type = "box"
    url = "http://crm.test/"
    token = "env:TOKEN"
    rate = "300/m"
    concurrency = 2
    timeout = "3s"
    allow_private = true
    retry = { window = "1h", min_attempts = 5, backoff = "1s..10s", max_age = "1d" }
    [syncs.s]
    source = "shop"
    destination = "crm"
    event_types = [{}]
    """
    plan = plan_of(text, env={"KEY": "k", "TOKEN": "t"})

    crm = plan.destinations["crm"]
    assert (crm.name, crm.type, crm.rate, crm.burst, crm.concurrency) == ("crm", "box", 5.0, 5, 2)
    assert (crm.timeout, crm.allow_private) == (3.0, True)
    assert crm.limits == Limits(batch=2, rate=5.0)
    assert crm.policy == RetryPolicy(window=3600.0, min_attempts=5, base=1.0, cap=10.0, max_age=86400.0, timeout=3.0)
    assert isinstance(crm.destination, Box)
    assert (crm.destination.settings.url, crm.destination.settings.token) == ("http://crm.test/", "t")
    assert plan.sources["shop"].write_keys == (Secret("k"), Secret("other"))


@pytest.mark.parametrize(
    ("lines", "rate", "burst"),
    [("", 100.0, 100), ('rate = "500/s"', 100.0, 100), ('rate = "1/m"', 1 / 60, 1), ("burst = 7", 100.0, 7)],
)
def test_a_user_may_only_lower_the_service_s_rate(lines: str, rate: float, burst: int) -> None:
    crm = plan_of(f"{HEAD}{lines}\n{SYNC}").destinations["crm"]

    assert (crm.rate, crm.burst) == (rate, burst)


def test_a_destination_has_its_own_reading_of_statuses() -> None:
    crm = plan_of(f"{HEAD}retry = {{ retry_on = [409], archive_on = [403, 500], pause_on = [407] }}\n{SYNC}")

    rules = crm.destinations["crm"].policy.rules
    assert (rules.retry, rules.archive, rules.pause) == ({409}, {403, 500}, {407})


def test_payloads_of_one_request_may_have_to_agree() -> None:
    alike = plan_of(f"{HEAD}batch_keys = ['list.id', 'kind']\nlinger = '20ms'\n{SYNC}").destinations["crm"].alike
    assert alike
    told_apart = [b'{"list":{"id":1}}', b'{"list":{"id":"1"}}', b'{"list":{"id":true}}', b'{"list":{"id":null}}', b"{}"]

    assert alike(b'{"list":{"id":1},"kind":{"a":1,"b":2},"n":1}') == alike(b'{"kind":{"b":2,"a":1},"list":{"id":1}}')
    assert len({alike(payload) for payload in told_apart}) == len(told_apart)
    assert plan_of(HEAD + SYNC).destinations["crm"].alike is None


def test_what_does_nothing_in_a_batch_of_one_is_told() -> None:
    crm = '[destinations.crm]\ntype = "webhook"\nurl = "https://crm.test/"\nbatch_keys = ["id"]\n'
    [problem] = shop_plan(crm + SYNC).warnings

    assert (problem.where, problem.what) == (
        "destinations.crm.batch_keys",
        "does nothing: a request holds one delivery",
    )


def test_a_status_means_one_thing() -> None:
    text = f"{HEAD}[destinations.crm.retry]\nretry_on = [409, 403]\narchive_on = [403]\npause_on = [403, 407]\n{SYNC}"

    assert problems_of(text) == [
        "8: destinations.crm.retry.archive_on: 403 stands in retry_on, too\n    keep one of them",
        "9: destinations.crm.retry.pause_on: 403 stands in retry_on, too\n    keep one of them",
    ]
    assert problems_of(text.replace("407", "200"))[0] == (
        "9: destinations.crm.retry.pause_on[1]: "
        "expected a whole number of at least 300 and at most 599, got the number 200"
    )


def test_a_plan_knows_what_it_was_made_from() -> None:
    plan = plan_of(HEAD + SYNC)

    assert list(plan.syncs) == ["s"]
    assert plan.config.syncs["s"].destination == "crm"
    assert plan.digest == plan.loaded.digest


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            HEAD.replace('"box"', '"bx"'),
            "5: destinations.crm.type: there is no destination type 'bx'\n    did you mean 'box'? (one of: box)",
        ),
        (HEAD + "ulr = 'x'\n", "6: destinations.crm.ulr: unknown key\n    did you mean 'url'?"),
        (HEAD + "url = 'x'\n", "4: destinations.crm: url must be http or https, not 'x'\n    write http://…"),
        (
            HEAD + "[functions.f]\nfile = 'f.txt'\n",
            (
                "7: functions.f.file: 'f.txt' is not a file that functions are written in\n"
                "    write one in Python (.py) or JavaScript (.js)"
            ),
        ),
        (
            HEAD + "[functions.f]\nfile = 'broken.py'\nisolation = 'inline'\n",
            "7: functions.f.file: broken.py:2: NameError: name 'y' is not defined",
        ),
        (
            HEAD + "[contracts.c]\nevents = [{ type = 'track', name = 'A', schema = { type = 'objct' } }]\n",
            (
                "7: contracts.c.events[0].schema: track 'A': no JSON Schema: /type: "
                "'objct' is not valid under any of the given schemas"
            ),
        ),
    ],
)
def test_what_cannot_be_compiled_is_told(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "f.txt").touch()
    (tmp_path / "broken.py").write_text("x = 1\nx = y\n")

    assert problems_of(text, folder=tmp_path) == [problem]


def test_each_schema_that_does_not_compile_is_told() -> None:
    event = "{{ type = 'track', name = '{}', schema = {} }}"
    events = [event.format("A", "{ type = 5 }"), event.format("B", "{}"), event.format("C", "{ type = 6 }")]

    problems = problems_of(HEAD + f"[contracts.c]\nevents = [{', '.join(events)}]\n")

    assert [problem.split(": ")[1] for problem in problems] == [
        "contracts.c.events[0].schema",
        "contracts.c.events[2].schema",
    ]


MISTAKES = """\
[sources.shop]
write_keys = ["env:NO_SUCH_KEY"]

[destinations.crm]
type = "box"
timeot = "5s"
rate = "fast"

[syncs.orders]
source = "shp"
destination = "crm"
start = "earlyest"

[[syncs.orders.event_types]]
type = "purchase"
fliter = "a = 1"
mapping = { id = "userId", price = "properties.total" }

[[syncs.orders.event_types]]
type = "purchse"
filter = 'event = "A'
mapping = { x = "{{ row.a | castt: 'number' }}" }

[[syncs.orders.event_types]]
when_missing_object = "create"
"""


def test_every_mistake_is_told_at_once_from_the_first_stage_to_the_last(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(MISTAKES)

    with pytest.raises(ConfigError) as caught:
        compile_plan(read(path, env={}), REGISTRY)

    assert told(caught.value.problems) == [
        "2: sources.shop.write_keys[0]: NO_SUCH_KEY is not set\n    export NO_SUCH_KEY=…",
        "6: destinations.crm.timeot: unknown key\n    did you mean 'timeout'?",
        '7: destinations.crm.rate: expected a number above 0, "/" and s, m or h, as in "50/s", got text "fast"',
        "10: syncs.orders.source: there is no source 'shp'\n    did you mean 'shop'?",
        (
            '12: syncs.orders.start: expected "latest", "earliest" or a time, as in "2025-01-31T12:00:00Z", '
            'got text "earlyest"'
        ),
        "16: syncs.orders.event_types[0].fliter: unknown key\n    did you mean 'filter'?",
        "20: syncs.orders.event_types[1].type: 'box' has no event type 'purchse'\n    did you mean 'purchase'?",
        '21: syncs.orders.event_types[1].filter: the string is not closed: expected "\n    event = "A\n            ^',
        (
            "22: syncs.orders.event_types[1].mapping.x: unknown filter 'castt': did you mean 'cast'?\n"
            "    {{ row.a | castt: 'number' }}\n               ^"
        ),
        (
            "25: syncs.orders.event_types[2].when_missing_object: "
            "'box' does not know objects, so it cannot tell whether one is missing\n    take this line out"
        ),
    ]


def test_warnings_of_every_stage_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(HEAD + SYNC + "[destinations.idle]\ntype = 'box'\n")
    loaded = load(path, env={})
    told_before = loaded.problem("syncs.s", "odd", severity="warning")

    plan = compile_plan(msgspec.structs.replace(loaded, problems=(told_before,)), REGISTRY)

    assert told(plan.warnings) == ["6: syncs.s: odd", "10: destinations.idle: no sync uses it"]


BOUND = """
[sources.web]
write_keys = ["a"]
[sources.app]
write_keys = ["b"]
contract = "strict"
[contracts.loose]
sources = ["web", "app"]
[[contracts.loose.events]]
type = "page"
schema = {}
[contracts.strict]
[[contracts.strict.events]]
type = "page"
schema = {}
"""


def test_a_contract_that_names_a_source_holds_for_it_unless_the_source_names_another() -> None:
    sources = plan_of(BOUND).sources

    assert {name: repr(source.contract) for name, source in sources.items()} == {
        "web": "Contract('loose')",
        "app": "Contract('strict')",
    }


def test_two_contracts_that_name_one_source_are_told() -> None:
    text = BOUND.replace("[contracts.strict]", '[contracts.strict]\nsources = ["web"]')

    assert problems_of(text) == [
        (
            "13: contracts.strict.sources: source 'web' would have to keep two contracts: 'loose' and 'strict'\n"
            "    choose one: [sources.web] contract = …"
        )
    ]
