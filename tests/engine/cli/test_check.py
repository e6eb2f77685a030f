from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
WARNING = """\
config.toml: 1 warning
  config.toml:13: syncs.orders.event_types: no event type without a filter: events that none of them takes are filtered
      if that is not what you want, add a last one with type = "custom" and no filter
"""
PROBLEMS = """\
config.toml: 2 problems
  config.toml:8: destinations.crm.baerer: unknown key
      did you mean 'bearer'?
  config.toml:17: syncs.orders.event_types[0].mapping.customer: empty segment: a name is missing
      a..b
        ^
      a string is a field reference; a constant is written { value = … }
"""


def test_a_good_configuration_is_told_in_one_line(headrace, shop):
    assert headrace("check") == (0, WARNING + "config.toml: fine; 1 source, 1 sync, 1 destination, 0 cases\n", "")


def test_errors_and_warnings_are_told_at_once_each_with_its_line(headrace, shop):
    shop.write_text(shop.read_text().replace("bearer", "baerer").replace('"userId"', '"a..b"', 1))

    said = headrace("check")

    assert said == (1, PROBLEMS + WARNING, "")


def test_json_carries_every_problem_with_its_severity(headrace, shop):
    shop.write_text(shop.read_text().replace("bearer", "baerer"))

    said = headrace("check", "--json")
    report = json.loads(said.out)

    assert (said.code, report["file"], report["ok"]) == (1, "config.toml", False)
    assert [(each["severity"], each["line"]) for each in report["problems"]] == [("error", 8), ("warning", 13)]


def test_a_file_that_is_not_there_is_told(headrace):
    assert headrace("check", "-c", "nope.toml") == (
        1,
        "nope.toml: 1 problem\n  there is no file nope.toml\n      name another with -c FILE\n",
        "",
    )


def test_the_shipped_configuration_is_fine(headrace):
    said = headrace("check", "-c", str(ROOT / "config.toml"))

    assert said.code == 0
    assert said.out.endswith("fine; 1 source, 3 syncs, 3 destinations, 6 cases\n")


def test_it_starts_without_loop_network_database_and_log(shop):
    program = (
        "import sys\n"
        "from engine.cli import House, run\n"
        "from plugins import BUILTIN\n"
        "code = run(House(builtin=BUILTIN, tree=None), ['check', '-c', sys.argv[1]])\n"
        "heavy = {'trio', 'httpx', 'sqlite3', 'structlog'} & sys.modules.keys()\n"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else code)\n"
    )

    command = [sys.executable, "-c", program, str(shop)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "10.1.2.3", "192.168.0.5", "169.254.169.254"])
def test_a_destination_that_may_not_be_reached_is_noted(headrace, shop, host):
    text = shop.read_text()
    shop.write_text(text.replace("https://crm.example/", f"http://{host}:9000/"))
    noted = (
        f"  config.toml:7: destinations.crm.url: {host.strip('[]')} is not a public address, "
        "and nothing will be sent to it\n"
        "      set allow_private = true on this destination if it is meant to reach it\n"
    )

    assert noted in headrace("check").out + headrace("check").err
    shop.write_text(shop.read_text().replace("bearer = ", "allow_private = true\nbearer = "))
    assert noted not in headrace("check").out + headrace("check").err
