from __future__ import annotations

from bench.language import TARGETS, TARGETS_US, cases, measure


def test_each_has_a_cost_a_floor_and_a_ratio():
    found = measure(smoke=True)

    for name in cases():
        assert {f"{name}, us", f"{name}, by hand, us", f"{name}, ratio"} <= found.keys()
    for name in {**TARGETS, **TARGETS_US}:
        assert "met" in str(found[f"{name}, verdict"]) or "missed" in str(found[f"{name}, verdict"])
