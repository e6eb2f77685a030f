"""Makes one SDK for Python send: calls.py MODULE URL KEY SCENE; prints what the SDK said, as JSON."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def all_calls(client: Any) -> None:
    client.identify("u1", {"plan": "pro"})
    client.track("u1", "Order Completed", {"price": 9.5}, timestamp=AT)
    client.page("u1", "Docs", "Home", {"path": "/"})
    client.screen("u1", "App", "Start", {"tab": 1})
    client.group("u1", "g1", {"size": 3})
    client.alias("u0", "u1")


def bad_event(client: Any) -> None:
    client.track("u1", "first", {})
    client.track("u1", "deep", deep(150))
    client.track("u1", "last", {})


def oversize(client: Any) -> None:
    client.track("u1", "first", {})
    client.track("u1", "large", {"text": "x" * 40_000})
    client.track("u1", "last", {})


def one(client: Any) -> None:
    client.track("u1", "only", {})


def main(module: str, url: str, key: str, scene: str) -> None:
    said: list[str] = []
    logging.disable(logging.CRITICAL)
    client = importlib.import_module(module).Client(
        key, host=url, max_retries=3, upload_interval=0.5, on_error=lambda error, _: said.append(str(error))
    )
    raised = ""
    try:
        {"all": all_calls, "bad": bad_event, "large": oversize, "one": one}[scene](client)
    except Exception as error:  # noqa: BLE001 - whatever an SDK raises is what is asked for
        raised = f"{type(error).__name__}: {error}"
    client.shutdown()
    print(json.dumps({"said": said, "raised": raised}))  # noqa: T201


main(*sys.argv[1:])
