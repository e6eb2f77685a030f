from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.load import read
from engine.errors import ConfigError
from engine.plan import compile_plan
from tests.support.plans import HEAD, REGISTRY, plan_of, problems_of, told

SYNC = HEAD + '[syncs.s]\nsource = "shop"\ndestination = "crm"\n'
CONTRACT = """
[sources.shop]
write_keys = ["key"]
contract = "promise"
[destinations.crm]
type = "box"
[[contracts.promise.events]]
type = "track"
name = "Order Completed"
[contracts.promise.events.schema.properties.properties.properties]
total = { type = "number" }
coupon = { type = ["string", "null"] }
products = { type = "array", items = { properties = { sku = { type = "string" } } } }
free = { type = "object", additionalProperties = true }
[[contracts.promise.events]]
type = "identify"
schema = { properties = { traits = { properties = { email = { type = "string" } } } } }
[syncs.s]
source = "shop"
destination = "crm"
"""


def warnings(text: str) -> list[str]:
    return told(plan_of(text).warnings)


def test_a_plan_without_mistakes_has_no_warnings() -> None:
    assert warnings(SYNC + "event_types = [{ filter = \"type = 'track'\" }, {}]\n") == []


@pytest.mark.parametrize(
    ("event_types", "expected"),
    [
        (
            "[{ filter = 'event = \"A\"' }]",
            (
                "9: syncs.s.event_types: no event type without a filter: events that none of them takes are filtered\n"
                '    if that is not what you want, add a last one with type = "custom" and no filter'
            ),
        ),
        (
            '[{ filter = \'event = "A" and event = "B"\' }, {}]',
            (
                "9: syncs.s.event_types[0].filter: never true: it asks 'event' to have two values at once\n"
                "    write 'or' for 'and'"
            ),
        ),
        (
            '[{ filter = \'event in ("A", "B") and (userId = 1 and event = "C")\' }, {}]',
            (
                "9: syncs.s.event_types[0].filter: never true: it asks 'event' to have two values at once\n"
                "    write 'or' for 'and'"
            ),
        ),
        (
            "[{ filter = 'event = \"A\"' }, { filter = \"properties.total > 5 and event='A'\" }, {}]",
            (
                "9: syncs.s.event_types[1].filter: can never match: event type 1 takes all of these events\n"
                "    move the narrower filter up"
            ),
        ),
        (
            '[{ mapping = { a = { b = { value = "properties.total" } } } }]',
            (
                '9: syncs.s.event_types[0].mapping.a.b: the constant "properties.total" '
                "reads like a field of the event\n"
                '    for the field write "properties.total" without { value = … }'
            ),
        ),
        (
            '[{ mapping = { a = { value = "userId" } } }]',
            (
                '9: syncs.s.event_types[0].mapping.a: the constant "userId" reads like a field of the event\n'
                '    for the field write "userId" without { value = … }'
            ),
        ),
    ],
)
def test_what_is_probably_a_mistake_is_told(event_types: str, expected: str) -> None:
    assert warnings(SYNC + f"event_types = {event_types}\n") == [expected]


@pytest.mark.parametrize(
    "event_types",
    [
        '[{ filter = \'event = "A" or event = "B"\' }, { filter = \'event = "B"\' }, {}]',
        "[{ filter = 'event = \"A\" and userId = 1' }, { filter = 'event = \"A\"' }, {}]",
        '[{ filter = \'not event = "A" and event = "B"\' }, {}]',
        "[{ filter = 'a = 1 and a = 1' }, {}]",
        '[{ mapping = { a = { value = "properties" }, b = { value = "see properties.total" } } }]',
        '[{ mapping = { a = "text with “curly quotes” and {{ row.x }}" } }]',
    ],
)
def test_what_may_be_meant_is_not_told(event_types: str) -> None:
    assert warnings(SYNC + f"event_types = {event_types}\n") == []


def test_with_match_all_a_wider_filter_may_stand_before_a_narrower_one() -> None:
    text = 'match = "all"\nevent_types = [{ name = "a", filter = "x = 1" }, { filter = "x = 1" }, { name = "c" }]\n'

    assert warnings(SYNC + text) == [
        (
            "10: syncs.s.event_types[1]: several event types of type 'custom' and no name: "
            "their keys change when the order does\n    give it a name"
        )
    ]


def test_a_catch_all_before_another_event_type_is_refused() -> None:
    assert problems_of(SYNC + "event_types = [{}, { filter = 'x = 1' }]\n") == [
        (
            "9: syncs.s.event_types[0]: a catch-all (no filter) before other event types: they never get an event\n"
            '    move it to the end, or set match = "all"'
        )
    ]


def test_a_sync_may_be_narrow_if_another_one_of_its_source_takes_all() -> None:
    narrow = "event_types = [{ filter = 'x = 1' }]\n"
    other = '[syncs.all]\nsource = "shop"\ndestination = "crm"\nevent_types = [{}]\n'

    assert warnings(SYNC + narrow + other) == []


def test_what_a_broken_table_refers_to_is_used(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(SYNC + "event_types = 5\n")

    with pytest.raises(ConfigError) as caught:
        compile_plan(read(path, env={}), REGISTRY)

    assert [problem.where for problem in caught.value.problems] == ["syncs.s.event_types"]
    assert caught.value.warnings == ()


def test_what_nothing_uses_is_told() -> None:
    text = SYNC + "event_types = [{}]\n[destinations.other]\ntype = 'box'\n[sources.idle]\nwrite_keys = ['k2']\n"
    text += "[contracts.old]\n[[contracts.old.events]]\ntype = 'identify'\nschema = {}\n"

    assert warnings(text) == [
        "10: destinations.other: no sync uses it",
        "12: sources.idle: no sync uses it",
        "14: contracts.old: no source uses it",
    ]


@pytest.mark.parametrize(
    ("event_types", "expected"),
    [
        (
            "[{ filter = 'event = \"Order Completd\"' }, {}]",
            (
                "21: syncs.s.event_types[0].filter: contract 'promise' declares no event 'Order Completd'\n"
                "    did you mean 'Order Completed'?"
            ),
        ),
        (
            "[{ filter = 'event = \"Order Completed\" and properties.totl > 5' }, {}]",
            (
                "21: syncs.s.event_types[0].filter: contract 'promise' has no 'properties.totl' in 'Order Completed'\n"
                "    did you mean 'total'?"
            ),
        ),
        (
            '[{ filter = \'event = "Order Completed" and properties.total = "5"\' }, {}]',
            (
                "21: syncs.s.event_types[0].filter: 'properties.total = \"5\"' is never true: "
                "'properties.total' is number in contract 'promise'"
            ),
        ),
        (
            "[{ filter = 'event = \"Order Completed\" and 5 < properties.coupon' }, {}]",
            (
                "21: syncs.s.event_types[0].filter: '5 < properties.coupon' is never true: "
                "'properties.coupon' is null or string in contract 'promise'"
            ),
        ),
        (
            "[{ mapping = { a = [\"{{ row.traits.mail | default: 'x' }}\"] } }]",
            (
                "21: syncs.s.event_types[0].mapping.a[0]: contract 'promise' has no 'traits.mail' "
                "in any of its 2 events\n"
                "    did you mean 'email'?"
            ),
        ),
        (
            '[{ type = \'purchase\', mapping = { id = "userId", price = "properties.coupon" } }]',
            (
                "21: syncs.s.event_types[0].mapping.price: 'properties.coupon' is string in contract 'promise', "
                "not number\n"
                "    \"{{ row.properties.coupon | cast: 'number' }}\" turns it into one"
            ),
        ),
        (
            '[{ mapping = { a = { each = "properties.products", as = { id = "skuu" } } } }]',
            (
                "21: syncs.s.event_types[0].mapping.a.as.id: contract 'promise' has no 'properties.products[0].skuu' "
                "in any of its 2 events\n"
                "    did you mean 'sku'?"
            ),
        ),
        (
            '[{ mapping = { a = { flatten = { b = "traits.mail" }, separator = "_" } } }]',
            (
                "21: syncs.s.event_types[0].mapping.a.flatten.b: contract 'promise' has no 'traits.mail' "
                "in any of its 2 events\n"
                "    did you mean 'email'?"
            ),
        ),
        (
            '[{ properties_column = "properties.fre" }]',
            (
                "21: syncs.s.event_types[0].properties_column: contract 'promise' has no 'properties.fre' "
                "in any of its 2 events\n"
                "    did you mean 'free'?"
            ),
        ),
    ],
)
def test_what_the_contract_does_not_promise_is_told(event_types: str, expected: str) -> None:
    text = CONTRACT + f"event_types = {event_types}\n"
    if "purchase" in event_types:
        text = text.replace("{ type = 'purchase'", "{ type = 'purchase', filter = \"type = 'track'\"").replace(
            "}]\n", "}, {}]\n"
        )

    assert warnings(text) == [expected]


@pytest.mark.parametrize(
    "mapping",
    [
        'a = "properties.products[0].sku"',
        'a = "properties.products.0.sku"',
        'a = "properties.free.anything.at.all"',
        'a = "context.page.url"',
        'a = "{{ row.properties.total | times: 2 }}"',
        'a = { each = "properties.products", as = { id = "sku" } }',
        "a = { each = \"{{ row.properties.products }}\", as = { id = 'anything' } }",
        'a = { flatten = "properties.free", separator = "properties.none", omit_arrays = true }',
        'a = { to_json = "properties.products" }, value = "properties.total"',
        'a = { from = "properties.total", default = "properties.nothing" }',
        'a = "traits.email"',
    ],
)
def test_what_the_contract_promises_or_leaves_open_is_not_told(mapping: str) -> None:
    assert warnings(CONTRACT + f"event_types = [{{ mapping = {{ {mapping} }} }}]\n") == []


def test_a_source_with_functions_may_look_for_what_the_contract_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("def transform_events(events):\n    return events\n")
    text = CONTRACT.replace('contract = "promise"', 'contract = "promise"\nfunctions = ["f"]')
    text += "event_types = [{ mapping = { a = 'properties.added' } }]\n[functions.f]\nfile = 'f.py'\n"

    assert plan_of(text, folder=tmp_path).warnings == ()
