from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.lang.consent import UNKNOWN, Demands, demands, heard, said

BRAZE = Demands(integration="Braze")
ADS = Demands(consent=frozenset({"advertising"}))
BOTH = Demands(integration="Braze", consent=frozenset({"advertising", "analytics"}))
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["All", "all", "Braze", "context", "consent", "categoryPreferences", "advertising"]), inner
        )
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("integrations", "withheld"),
    [
        (None, ""),
        ({}, ""),
        ("Braze", ""),
        ({"All": True}, ""),
        ({"All": False}, "integrations"),
        ({"all": False}, "integrations"),
        ({"All": False, "Braze": True}, ""),
        ({"All": False, "Braze": {"campaign": 1}}, ""),
        ({"All": False, "Braze": {}}, ""),
        ({"All": False, "braze": True}, "integrations"),
        ({"All": False, "Slack": True}, "integrations"),
        ({"All": True, "Braze": False}, "integrations"),
        ({"Braze": False}, "integrations"),
        ({"Braze": None, "All": False}, "integrations"),
        ({"Braze": None}, ""),
        ({"Slack": False}, ""),
    ],
)
def test_an_event_s_integrations_name_who_may_have_it(integrations, withheld):
    assert BRAZE.withheld(said({"integrations": integrations})) == withheld
    assert ADS.withheld(said({"integrations": integrations})) == ""


@pytest.mark.parametrize(
    ("context", "withheld"),
    [
        (None, ""),
        ({}, ""),
        ({"consent": None}, ""),
        ({"consent": {}}, ""),
        ({"consent": {"categoryPreferences": None}}, ""),
        ({"consent": {"categoryPreferences": {}}}, "consent"),
        ({"consent": {"categoryPreferences": "all"}}, "consent"),
        ({"consent": {"categoryPreferences": {"advertising": True, "analytics": True}}}, ""),
        ({"consent": {"categoryPreferences": {"advertising": True}}}, "consent"),
        ({"consent": {"categoryPreferences": {"advertising": True, "analytics": False}}}, "consent"),
        ({"consent": {"categoryPreferences": {"advertising": True, "analytics": "true"}}}, "consent"),
        ({"consent": {"categoryPreferences": {"advertising": True, "analytics": 1}}}, "consent"),
    ],
)
def test_every_category_of_a_destination_must_be_consented_to(context, withheld):
    assert BOTH.withheld(said({"context": context})) == withheld
    assert BRAZE.withheld(said({"context": context})) == ""


def test_consent_comes_before_integrations():
    event = said({"integrations": {"All": False}, "context": {"consent": {"categoryPreferences": {}}}})

    assert BOTH.withheld(event) == "consent"
    assert (
        BOTH.why("consent") == "the event's context.consent.categoryPreferences do not allow advertising and analytics"
    )
    assert BOTH.why("integrations") == "the event's integrations leave 'Braze' out"


def test_who_asks_for_nothing_need_not_look_and_who_asks_gets_nothing_of_an_event_that_is_gone():
    assert demands("", ()) is None
    assert [each.withheld(UNKNOWN) for each in (BRAZE, ADS, BOTH)] == ["integrations", "consent", "consent"]


@given(JSON, JSON)
def test_what_a_delivery_carries_says_the_same_whatever_the_event_holds(integrations, context):
    event = said({"integrations": integrations, "context": context})

    assert heard(event.encoded()) == event
    assert (event.encoded() == b"") == (event.integrations is None and event.consent is None)
