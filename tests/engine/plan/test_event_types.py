from __future__ import annotations

import pytest

from tests.support.plans import HEAD, NOW, event, plan_of, problems_of

SYNC = HEAD + '[syncs.s]\nsource = "shop"\ndestination = "crm"\n'


@pytest.mark.parametrize(
    ("event_types", "names"),
    [
        ('[{ type = "custom" }]', ["custom"]),
        ('[{ filter = "a = 1" }, { filter = "b = 1" }, {}]', ["custom", "custom-2", "custom-3"]),
        ('[{ filter = "a = 1" }, { name = "custom-2", filter = "b = 1" }, {}]', ["custom", "custom-2", "custom-3"]),
        ('[{ name = "custom", filter = "a = 1" }, {}]', ["custom", "custom-2"]),
        ('[{ filter = "a = 1" }, { name = "custom" }]', ["custom-2", "custom"]),
    ],
)
def test_event_types_have_names_of_their_own(event_types: str, names: list[str]) -> None:
    sync = plan_of(SYNC + f"event_types = {event_types}\n").syncs["s"]

    assert [kind.name for kind in sync.event_types] == names


def test_a_field_s_default_is_mapped_unless_the_user_maps_it() -> None:
    text = (
        'event_types = [{ type = "purchase", mapping = { id = "userId", price = 1, currency = { value = "USD" } } }]\n'
    )
    (delivery,) = plan_of(SYNC + text).syncs["s"].route(event({"userId": "u"}), NOW).deliveries

    assert delivery.body() == {"id": "u", "price": 1, "currency": "USD"}


def test_a_properties_column_goes_where_the_destination_wants_properties() -> None:
    text = 'event_types = [{ type = "wrapped", properties_column = "properties", mapping = { id = "userId" } }]\n'
    (delivery,) = plan_of(SYNC + text).syncs["s"].route(event({"userId": "u", "properties": {"a": 1}}), NOW).deliveries

    assert delivery.body() == {"id": "u", "attributes": {"a": 1}}


def test_a_properties_column_may_bring_the_required_fields() -> None:
    text = 'event_types = [{ type = "purchase", properties_column = "properties" }]\n'
    (delivery,) = (
        plan_of(SYNC + text).syncs["s"].route(event({"properties": {"id": "i", "price": 2.5}}), NOW).deliveries
    )

    assert delivery.body() == {"id": "i", "price": 2.5, "currency": "EUR"}


@pytest.mark.parametrize(
    ("event_type", "problem"),
    [
        (
            '{ type = "purchse" }',
            "9: syncs.s.event_types[0].type: 'box' has no event type 'purchse'\n    did you mean 'purchase'?",
        ),
        (
            '{ type = "zzz" }',
            (
                "9: syncs.s.event_types[0].type: 'box' has no event type 'zzz'\n"
                "    one of: closed, custom, purchase, wrapped"
            ),
        ),
        (
            '{ when_missing_object = "create" }',
            (
                "9: syncs.s.event_types[0].when_missing_object: "
                "'box' does not know objects, so it cannot tell whether one is missing\n    take this line out"
            ),
        ),
        (
            '{ filter = "event = " }',
            "9: syncs.s.event_types[0].filter: expected a value after '='\n    event = \n            ^",
        ),
        (
            '{ mapping = { a = { b = "x..y" } } }',
            (
                "9: syncs.s.event_types[0].mapping.a.b: empty segment: a name is missing\n    x..y\n      ^\n"
                "    a string is a field reference; a constant is written { value = … }"
            ),
        ),
        (
            '{ properties_column = "x." }',
            "9: syncs.s.event_types[0].properties_column: empty segment: a name is missing\n    x.\n      ^",
        ),
        (
            '{ mapping = { a = { variable = "sync.nam" } } }',
            "9: syncs.s.event_types[0].mapping.a: unknown variable 'sync.nam'\n    did you mean 'sync.name'?",
        ),
        (
            '{ type = "purchase", mapping = { price = "x" } }',
            "9: syncs.s.event_types[0].mapping: 'id' (Id) is required by 'purchase' and not mapped\n    add id = \"…\"",
        ),
        (
            '{ type = "purchase", mapping = { id = "x", price = { value = "12" } } }',
            "9: syncs.s.event_types[0].mapping.price: 'price' (Price) is a number, not '12'",
        ),
        (
            '{ type = "purchase", mapping = { id = 5, price = 1 } }',
            "9: syncs.s.event_types[0].mapping.id: 'id' (Id) is a string, not 5\n    write { value = \"5\" }",
        ),
        (
            '{ type = "purchase", mapping = { id = "x", price = 1, currency = { value = "EURO" } } }',
            (
                "9: syncs.s.event_types[0].mapping.currency: 'currency' (Currency) cannot be 'EURO'\n"
                "    did you mean 'EUR'?"
            ),
        ),
        (
            '{ type = "closed", mapping = { nam = "x" } }',
            "9: syncs.s.event_types[0].mapping.nam: 'closed' has no field 'nam'\n    did you mean 'name'?",
        ),
    ],
)
def test_what_does_not_fit_the_destination_or_the_language_is_told(event_type: str, problem: str) -> None:
    assert problems_of(SYNC + f"event_types = [{event_type}]\n") == [problem]


@pytest.mark.parametrize(
    ("value", "given"),
    [
        ("\"{{ row.a | cast: 'string' }}\"", "a string"),
        ("\"{{ row.a | cast: 'date' }}\"", "a string"),
        ('"{{ row.a | upcase }}"', "a string"),
        ('"{{ row.a }} EUR"', "a string"),
        ("\"{{ row.a | split: ',' }}\"", "an array"),
        ('"{{ row.a | regex_test: row.b }}"', "a boolean"),
        ('["a"]', "an array"),
        ('{ each = "a", as = "b" }', "an array"),
        ('{ nested = "a" }', "an object"),
        ('{ flatten = "a" }', "an object"),
        ('{ to_json = "a" }', "a string"),
        ('{ variable = "sync.name" }', "a string"),
        ("{ from = \"{{ row.a | cast: 'boolean' }}\", default = false }", "a boolean"),
    ],
)
def test_a_form_that_never_gives_what_the_destination_wants_is_told(value: str, given: str) -> None:
    text = f'{SYNC}event_types = [{{ type = "purchase", mapping = {{ id = "userId", price = {value} }} }}]\n'

    assert problems_of(text) == [
        (
            f"9: syncs.s.event_types[0].mapping.price: 'price' (Price) is a number, and this gives {given}\n"
            "    a template may end in | cast: 'number'"
        )
    ]


@pytest.mark.parametrize(
    "value",
    [
        '"a"',
        '"{{ row.a }}"',
        "\"{{ row.a | cast: 'integer' }}\"",
        '"{{ row.a | times: 2 }}"',
        '"{{ row.a | cast: row.b }}"',
        "\"{{ row.a | cast: 'string' | default: 3 }}\"",
        '{ parse_json = "a" }',
        '{ from = "a", default = "x" }',
        '{ from = "{{ row.a | size }}", default = 1.5 }',
    ],
)
def test_a_form_that_may_give_what_the_destination_wants_is_not_told(value: str) -> None:
    plan_of(f'{SYNC}event_types = [{{ type = "purchase", mapping = {{ id = "userId", price = {value} }} }}]\n')


def test_two_event_types_of_one_name_are_told() -> None:
    text = 'event_types = [{ name = "a", filter = "x = 1" }, { name = "a" }]\n'

    assert problems_of(SYNC + text) == [
        "9: syncs.s.event_types[1].name: another event type of this sync is called 'a'\n    give it a name of its own"
    ]
