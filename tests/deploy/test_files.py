"""What is shipped to run Headrace elsewhere: as far as it can be held to without that elsewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.house import ROOT

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "headrace.service"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
SEVERITIES = {"page", "ticket"}


def parsed(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def unit() -> dict[str, list[str]]:
    """Return each key of the unit with its values."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text()))

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )

    # It looks at what the unit depends on, too, and a container lacks some of that.
    ours = [line for line in done.stderr.splitlines() if UNIT.name in line and "not found" not in line]
    assert ours == []


def test_the_unit_waits_for_ready_watches_and_lets_it_drain() -> None:
    keys = unit()

    assert keys["Type"] == ["notify"]
    assert int(keys["WatchdogSec"][0]) >= 10
    assert int(keys["TimeoutStopSec"][0]) >= 60
    assert keys["KillMode"] == ["mixed"]
    assert keys["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert keys["ExecStart"][0].endswith("headrace run -c /etc/headrace/config.toml")
    assert {
        "NoNewPrivileges",
        "ProtectSystem",
        "PrivateTmp",
        "SystemCallFilter",
        "CapabilityBoundingSet",
    } <= keys.keys()
    assert keys["User"] != ["root"]


def test_the_image_runs_what_the_lock_says_as_nobody_in_particular() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]

    assert re.search(r"^USER (?!0\b|root)\d+$", final, re.MULTILINE)
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
    assert "pip install" not in final
    assert "HEALTHCHECK" in final
    assert "/healthz" in final
    least = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == [f"python:{least}-slim"] * 2


def test_what_the_image_is_made_of_is_there() -> None:
    copied = [
        name for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]
    ]
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert {*shipped["packages"], *shipped.get("force-include", {})} <= set(copied)


def test_the_compose_file_gives_the_engine_no_more_than_it_needs() -> None:
    composed = parsed("compose.yml")
    engine = composed["services"]["headrace"]

    assert (DEPLOY / engine["build"]["context"] / engine["build"]["dockerfile"]).is_file()
    assert engine["read_only"] is True
    assert engine["cap_drop"] == ["ALL"]
    assert "127.0.0.1:8322:8322" in engine["ports"]
    assert {mount.partition(":")[0] for mount in engine["volumes"]} - {"./config.toml"} == set(composed["volumes"])


def test_prometheus_reads_the_alerts_that_are_there() -> None:
    scrape = parsed("prometheus/prometheus.yml")

    assert [(DEPLOY / "prometheus" / name).is_file() for name in scrape["rule_files"]] == [True]
    assert [one["metrics_path"] for one in scrape["scrape_configs"]] == ["/metrics"]


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    rules = [rule for group in parsed("prometheus/alerts.yml")["groups"] for rule in group["rules"]]

    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert rule["labels"]["severity"] in SEVERITIES
        assert rule["annotations"].keys() == {"summary", "description"}


def test_the_dashboard_s_panels_ask_for_something_and_do_not_overlap() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    panels = dashboard["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    places = set()
    for panel in panels:
        assert panel["type"] == "row" or all(one["expr"] for one in panel["targets"])
        box = panel["gridPos"]
        own = {(x, y) for x in range(box["x"], box["x"] + box["w"]) for y in range(box["y"], box["y"] + box["h"])}
        assert not own & places
        assert box["x"] + box["w"] <= 24
        places |= own
