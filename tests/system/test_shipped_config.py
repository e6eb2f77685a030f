from __future__ import annotations

import tomllib
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from engine.config.describe import config_schema
from engine.config.load import load
from engine.plan import Plan, compile_plan
from engine.plan.cases import run_cases
from engine.registry import Registry
from plugins import BUILTIN

SHIPPED = Path(__file__).parents[2] / "config.toml"


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The shipped configuration, compiled from an empty folder and without an environment."""
    monkeypatch.chdir(tmp_path)
    return compile_plan(load(SHIPPED, env={}), Registry(BUILTIN))


def test_it_has_no_warning(plan: Plan) -> None:
    assert [str(problem) for problem in plan.warnings] == []


def test_its_cases_hold(plan: Plan) -> None:
    results = run_cases(plan)

    assert len(results) >= 4
    assert [f"{result.name}: {result.text}" for result in results if not result.ok] == []


def test_an_editor_that_knows_the_schema_finds_nothing_wrong_with_it() -> None:
    tables = tomllib.loads(SHIPPED.read_text())

    assert list(jsonschema.Draft202012Validator(config_schema()).iter_errors(tables)) == []


def test_it_is_all_there_is(plan: Plan) -> None:
    assert len(plan.loaded.text) == len(SHIPPED.read_text())
    assert not any(source.has_functions for source in plan.sources.values())
