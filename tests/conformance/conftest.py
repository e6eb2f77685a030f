from __future__ import annotations

import pytest

# The checks live beside the tests that run them; without this a failing assert would not say what it compared.
pytest.register_assert_rewrite(
    "tests.conformance.destination",
    "tests.conformance.store_claims",
    "tests.conformance.store_ledger",
    "tests.conformance.store_log",
    "tests.conformance.store_trim",
    "tests.conformance.store_turns",
    "tests.conformance.store_violations",
)
