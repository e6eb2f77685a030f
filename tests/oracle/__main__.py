"""``python -m tests.oracle``: what filters and templates mean here and elsewhere, in figures, and every difference.

Needs node 20 or newer and npm; fetches `package-lock.json`'s packages once. Ends with 1 if a difference has no waiver,
or a waiver no difference.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from msgspec import UNSET

from engine.errors import LangError, MappingFailed
from engine.lang.filters import compile_filter
from engine.lang.template import compile_template
from tests.oracle import filters, templates

HERE = Path(__file__).parent
FEWEST_FILTERS, FEWEST_TEMPLATES = 2_000, 120


def main() -> int:
    """Ask both oracles and print how often they agree."""
    reason = unfit()
    if reason:
        print(f"oracle: skipped, {reason}")
        return 0
    install()
    pairs = filters.pairs()
    texts = list(dict.fromkeys(pair.text for pair in pairs))
    asked = {
        "filters": [{"text": text, "events": [pair.event for pair in pairs if pair.text == text]} for text in texts],
        "templates": [{"text": text} for text in templates.TEMPLATES],
        "row": templates.ROW,
        "context": templates.CONTEXT,
    }
    told = json.loads(
        subprocess.run(
            ["node", "oracle.js"], cwd=HERE, input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=True
        ).stdout
    )
    answers = dict(zip(texts, told["filters"], strict=True))
    wrong = compare_filters(pairs, answers) + compare_templates(told["templates"])
    print("\n".join(wrong) if wrong else "oracle: every difference has its waiver, every waiver its difference")
    return 1 if wrong else 0


def unfit() -> str:
    """Return why the oracles cannot run here, or nothing."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "node and npm are not here"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return "" if int(version.lstrip("v").partition(".")[0]) >= 20 else f"node is {version}, older than 20"


def install() -> None:
    """Fetch what the lock names, unless it is here."""
    if not (HERE / "node_modules" / "liquidjs").exists():
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.DEVNULL)


def compare_filters(pairs: list[filters.Pair], answers: dict[str, Any]) -> list[str]:
    """Print the figures; return what differs without a waiver."""
    taken: Counter[str] = Counter()
    reasons = {waiver.name: waiver.reason for waiver in (*filters.WAIVERS, filters.MIXED, filters.IN_PARENTHESES)}
    waived: Counter[str] = Counter()
    wrong, equal, true = [], 0, 0
    for pair in pairs:
        position = taken[pair.text]
        taken[pair.text] += 1
        theirs = answers[pair.text]["values"][position]
        ours = compile_filter(pair.text).test(pair.event)
        true += ours
        waiver = filters.waiver_of(pair)
        if ours == theirs:
            equal += 1
        elif waiver:
            waived[waiver.name] += 1
        else:
            wrong.append(f"filter {pair.text!r}: ours {ours}, Segment's {theirs}, for {json.dumps(pair.event)}")
    print(f"filters: {len(pairs)} pairs ({len(taken)} filters), {equal} equal ({true} true), {waived.total()} waived")
    print("\n".join(f"  {count:5} {name}: {reasons[name]}" for name, count in waived.most_common()))
    wrong += [f"waiver without a difference: {name}" for name in reasons if not waived[name]]
    return wrong + ([f"fewer than {FEWEST_FILTERS} pairs are equal"] if equal < FEWEST_FILTERS else [])


def compare_templates(theirs: list[dict[str, Any]]) -> list[str]:
    """Print the figures; return what differs without a waiver."""
    wrong, equal, unused = [], 0, set(templates.WAIVERS)
    for text, told in zip(templates.TEMPLATES, theirs, strict=True):
        ours = rendered(text)
        if same(ours, told):
            equal += 1
        elif text in templates.WAIVERS:
            unused.discard(text)
        else:
            wrong.append(f"template {text!r}: ours {json.dumps(ours)}, LiquidJS {json.dumps(told)}")
    waived = len(templates.WAIVERS) - len(unused)
    print(f"templates: {len(theirs)}, {equal} equal, {waived} waived")
    print("\n".join(f"  {text}: {reason}" for text, reason in templates.WAIVERS.items()))
    wrong += [f"waiver without a difference: {text}" for text in sorted(unused)]
    return wrong + ([f"fewer than {FEWEST_TEMPLATES} templates are equal"] if equal < FEWEST_TEMPLATES else [])


def rendered(text: str) -> dict[str, Any]:
    """Return what ours makes of a template, in the oracle's words."""
    try:
        value = compile_template(text).render({"row": templates.ROW, "context": templates.CONTEXT})
    except (LangError, MappingFailed) as error:
        return {"error": str(error).partition("\n")[0]}
    return {"missing": True} if value is UNSET else {"value": value}


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Return whether both failed, or both have the same JSON; 950 and 950.0 are the same there."""
    if "value" not in ours or "value" not in theirs:
        return ours.keys() == theirs.keys()
    return json.dumps(ours["value"]) == json.dumps(theirs["value"]) or (
        filters.is_number(ours["value"]) and filters.is_number(theirs["value"]) and ours["value"] == theirs["value"]
    )


if __name__ == "__main__":
    sys.exit(main())
