"""The HTTP surface against its own description: what schemathesis makes up, a whole engine answers as documented."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import sdks
from tests.support.engines import Engine

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    running = Engine(tmp_path, "shop")
    yield running
    running.end()


def attack(engine: Engine, folder: Path, key: str, *more: str) -> None:
    """Let schemathesis make requests up, and fail with its words if an answer is not as described."""
    command = [
        str(sdks.python().with_name("schemathesis")), "run", f"{engine.url}/openapi.json", "--checks", CHECKS,
        "--seed", "1", "--header", f"Authorization: Bearer {key}", "--workers", "2",
        "--suppress-health-check", "all", "--no-color", *more,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_no_request_gets_a_5xx_or_an_answer_that_is_not_described(engine: Engine, tmp_path: Path) -> None:
    attack(engine, tmp_path, "shop-key", "--phases", "examples,fuzzing", "--max-examples", "5")

    assert engine.accepted("shop")  # what is described can be sent


@pytest.mark.full
@pytest.mark.parametrize("key", ["shop-key", "wrong"])
def test_many_requests_get_no_5xx_and_no_answer_that_is_not_described(engine: Engine, tmp_path: Path, key: str) -> None:
    attack(engine, tmp_path, key, "--max-examples", "25")
