"""The Admin REST against its own description: what schemathesis makes up, a whole engine answers as documented."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.conftest import TOKEN, Served
from tests.support import sdks

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    running = Served(tmp_path, f'token = "{TOKEN}"')
    running.send({"event": "Order Completed", "properties": {"total": 5}}, {"event": "Order Completed"})
    yield running
    running.child.kill()


def attack(served: Served, folder: Path, token: str, *more: str) -> None:
    """Let schemathesis make requests up, and fail with its words if an answer is not as described."""
    command = [
        str(sdks.python().with_name("schemathesis")), "run", str(folder / "openapi.json"), "--url", served.url,
        "--checks", CHECKS, "--seed", "1", "--header", f"Authorization: Bearer {token}", "--workers", "2",
        "--suppress-health-check", "all", "--no-color", "--exclude-path-regex", "/(tap|looks)$", *more,
    ]  # fmt: skip
    (folder / "openapi.json").write_bytes(served.ask("/api/v1/openapi.json"))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("token", [TOKEN, "wrong"])
def test_no_request_gets_a_5xx_or_an_answer_that_is_not_described(served: Served, tmp_path: Path, token: str) -> None:
    attack(served, tmp_path, token, "--phases", "examples,fuzzing", "--max-examples", "4")


@pytest.mark.full
def test_many_requests_get_no_5xx_and_no_answer_that_is_not_described(served: Served, tmp_path: Path) -> None:
    attack(served, tmp_path, TOKEN, "--max-examples", "50")
