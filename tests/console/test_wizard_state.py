from __future__ import annotations

import pytest

from actors.console.wizard import Wizard, free, kinds_of, lines, news, placed, unlike_default
from engine.config.draft import Addition, DraftType, inline
from engine.errors import Problem
from engine.observe.status import SyncStatus
from engine.plan.suggest import Asked
from engine.plugin import EventType, Field

MADE = Addition(
    source="shop",
    destination="crm",
    sync="orders",
    event_types=(DraftType(mapping={"a": "b"}), DraftType(mapping={"total": "x", "total amount": "y"})),
)


@pytest.mark.parametrize(
    ("where", "what", "wrong"),
    [
        ("destinations.crm.batch", "too many", {"set-batch": "too many\nless"}),
        ("destinations.crm.script[0].status", "no", {"set-script": "no\nless"}),
        ("destinations.crm", "url: no host", {"set-url": "no host\nless"}),
        ("destinations.crm", "missing key 'url'", {"set-url": "missing key 'url'\nless"}),
        ("destinations.crm2", "url: no host", {"": "destinations.crm2: url: no host\n    less"}),
        ("syncs.orders.event_types[1].filter", "odd", {"filter-1": "odd\nless"}),
        ("syncs.orders.event_types[1].mapping.total", "odd", {"value-1-total": "odd\nless"}),
        ("syncs.orders.event_types[1].mapping['total amount'].value", "odd", {"value-1-total amount": "odd\nless"}),
        ("syncs.orders.event_types[0].type", "odd", {"kind-0": "odd\nless"}),
        ("syncs.others.event_types[0].type", "odd", {"": "syncs.others.event_types[0].type: odd\n    less"}),
        ("", "not TOML", {"": "not TOML\n    less"}),
    ],
)
def test_a_problem_is_shown_at_its_field(where, what, wrong):
    assert placed([Problem(where=where, what=what, hint="less")], MADE) == wrong


def test_a_form_becomes_event_types_and_back():
    kinds = (
        DraftType(type="custom", name="a", filter='event = "A"', mapping={"x": "properties.x", "c": {"value": 5}}),
        DraftType(type="custom", name="b"),
    )
    fields = {}
    for at, kind in enumerate(kinds):
        fields |= {f"{key}-{at}": getattr(kind, key) for key in ("type", "name", "filter")}
        for place, line in enumerate(lines(kind, None, inline)):
            fields |= {f"key-{at}-{place}": line.key, f"value-{at}-{place}": line.value}

    assert kinds_of(fields) == (kinds, {})
    assert kinds_of(fields | {"drop-0": "true"}) == (kinds[1:], {})
    assert kinds_of(fields | {"drop-0": "true", "drop-1": "true"}) == (
        (),
        {"": "a sync needs an event type: leave one in"},
    )


@pytest.mark.parametrize(
    ("target", "value", "mapping", "wrong"),
    [
        ("x", "{{ event }}", {"x": "{{ event }}"}, {}),
        ("x", "{% if a %}b{% endif %}", {"x": "{% if a %}b{% endif %}"}, {}),
        ("x", "{ value = 1 }", {"x": {"value": 1}}, {}),
        ("x", "", {}, {}),
        ("", "event", {}, {"kind-0": "say which field of the payload event goes to"}),
        ("x", "{ value }", {"x": "{ value }"}, {
            "value-0-x": "not a table of TOML: Expected '=' after a key in a key/value pair (at line 1, column 17);"
            " write { value = 5 } for a constant"
        }),
    ],
)  # fmt: skip
def test_a_line_of_a_mapping_is_a_reference_a_template_or_a_table(target, value, mapping, wrong):
    (kind,), found = kinds_of({"filter-0": "", "key-0-0": target, "value-0-0": value})

    assert (kind.mapping, found) == (mapping, wrong)


def test_what_a_destination_knows_comes_first_and_lines_end_empty_if_it_takes_more():
    known = EventType(label="Contact", fields={"email": Field(label="E-mail", required=True)})

    made = lines(DraftType(mapping={"city": "traits.city", "email": "traits.email"}), known, inline)

    assert [(one.key, one.value, one.label, one.required) for one in made] == [
        ("email", "traits.email", "E-mail", True),
        ("city", "traits.city", "", False),
        ("", "", "", False),
        ("", "", "", False),
    ]


def test_steps_open_one_after_the_other_and_a_known_destination_needs_no_settings():
    wizard = Wizard(is_new=False)

    assert [wizard.past("source"), wizard.past("destination")] == ["destination", "events"]
    assert [wizard.may(step) for step in ("source", "settings", "events", "mapping")] == [True, False, True, False]
    wizard.back_to("destination")
    assert not wizard.may("events")


def test_what_is_the_default_is_not_written():
    asked = [Asked(name="url", required=True), Asked(name="batch", default=1), Asked(name="tls", default=True)]

    assert unlike_default(asked, {"url": "u", "batch": "1", "tls": "false", "none": " "}) == {
        "url": "u",
        "tls": "false",
    }


def test_a_name_that_is_taken_gets_a_number():
    assert [free("a", []), free("a", ["a"]), free("a", ["a", "a-2"])] == ["a", "a-2", "a-3"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({}, "Waiting for the first event"),
        ({"lag": 1}, "The first event is on its way"),
        ({"delivered": 1200, "pending": 1}, "It arrived: 1,200 delivered"),
        ({"archived": 1}, "1 could not be delivered: see Errors"),
        ({"filtered": {"no_match": 2}}, "2 came, and none was for this sync"),
    ],
)
def test_what_came_of_a_new_sync_is_a_sentence(status, said):
    assert news(SyncStatus(name="a", source="shop", **status)) == said
