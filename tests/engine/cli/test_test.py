from __future__ import annotations

import json

import pytest

CASES = """
[[cases]]
name = "an order has its total as a number"
event = { type = "track", event = "Order Completed", userId = "u1", properties = { total = "12.50" } }
expect = [{ sync = "orders", event_type = "purchase", payload = { customer = "u1", total = 12.5 } }]
"""
WRONG = """
[[cases]]
name = "an order is dear"
event = { type = "track", event = "Order Completed", userId = "u1", properties = { total = "12.50" } }
expect = [{ sync = "orders", event_type = "purchase", payload = { customer = "u1", total = 99 } }]
"""
FAILURE = """\
ok    an order has its total as a number
FAIL  an order is dear (config.toml:30)
      orders/purchase: payload.total: expected 99, got 12.5
2 cases, 1 failed
"""


@pytest.fixture
def with_cases(shop):
    def write(text):
        shop.write_text(shop.read_text() + text)

    return write


def test_each_case_is_named(headrace, with_cases):
    with_cases(CASES)

    assert headrace("test") == (0, "ok    an order has its total as a number\n1 case, 0 failed\n", "")


def test_a_case_that_fails_says_where_it_stands_and_what_differs(headrace, with_cases):
    with_cases(CASES + WRONG)

    assert headrace("test") == (1, FAILURE, "")


def test_json_is_one_object_a_case(headrace, with_cases):
    with_cases(CASES + WRONG)

    said = headrace("test", "--json")

    assert said.code == 1
    assert [json.loads(line)["ok"] for line in said.out.splitlines()] == [True, False]


def test_a_configuration_without_cases_says_so(headrace, shop):
    assert headrace("test") == (0, "config.toml: there are no [[cases]]\n", "")


def test_a_configuration_with_problems_is_told_not_tested(headrace, shop):
    shop.write_text(shop.read_text().replace("bearer", "baerer"))

    said = headrace("test")

    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("config.toml: 1 problem\n  config.toml:8: destinations.crm.baerer: unknown key\n")
