"""What an event broke, as texts, as entries for the store, and as part of the event itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from engine.lang.contract import Checked, Contract
from engine.messages import Logged
from engine.violated import Violated

ADDED = "violations"
"""The key in an event's context under which ``propagate`` puts what it broke."""


def blocked_reason(checked: Checked) -> str:
    """Return the documented code for an event that its contract does not allow."""
    enforced = {violation.rule for violation in checked.violations if violation.enforced}
    return "undeclared_event" if enforced == {"undeclared_event"} else "contract_violation"


def violation_texts(checked: Checked) -> list[str]:
    """Return every violation as ``pointer: message``, in order; those that were allowed say so."""
    return [
        f"{violation.pointer or '/'}: {violation.message}{'' if violation.enforced else ' (allowed)'}"
        for violation in checked.violations
    ]


def violated(logged: Logged, body: dict[str, Any], contract: Contract, checked: Checked, *, shadow: bool) -> Violated:
    """Return the entry of an event that broke *contract*.

    Args:
        logged: the event as it lies in the log.
        body: the same, normalised.
        contract: what it was held against.
        checked: what came of it.
        shadow: whether nothing is enforced.
    """
    kind = body.get("type")
    name = body.get("event" if kind == "track" else "name")
    rules = tuple(violation.rule for violation in checked.violations)
    return Violated(
        position=logged.position,
        at=logged.envelope.received_at,
        source=logged.source,
        contract=contract.name,
        shadow=shadow,
        type=str(kind),
        name=name if isinstance(name, str) else "",
        version=checked.version,
        message_id=logged.envelope.message_id,
        allowed=checked.allowed or shadow,
        undeclared_event="undeclared_event" in rules,
        undeclared_fields="undeclared_field" in rules,
        schema_violated=any(rule not in {"undeclared_event", "undeclared_field"} for rule in rules),
        rules=rules,
        violations=tuple(f"{violation.pointer or '/'}: {violation.message}" for violation in checked.violations),
        event=logged.raw,
    )


def propagated(body: dict[str, Any], contract: Contract, checked: Checked) -> dict[str, Any]:
    """Return *body* with what it broke in ``context.violations``; what is not changed is shared with it."""
    context = body.get("context")
    told = [
        {"contract": contract.name, "rule": violation.rule, "pointer": violation.pointer, "message": violation.message}
        for violation in checked.violations
    ]
    return {**body, "context": {**(context if isinstance(context, dict) else {}), ADDED: told}}


MOST = 100
"""Entries a second of one contract, event and rule; what is above is counted only."""
NAMES = 1000
"""Events that are counted by name; clients can invent names, and a store must not grow with them."""


class Samples:
    """Says which entries are kept, and counts them all. Its state is its owner's, and small."""

    def __init__(self) -> None:
        self._second = 0
        self._seen: Counter[tuple[str, str, str]] = Counter()
        self._names: set[str] = set()

    def keeps(self, one: Violated, now: float) -> bool:
        """Return whether *one* is kept: whether for any of its rules there were not too many in this second.

        Args:
            one: an entry.
            now: epoch seconds.
        """
        if int(now) != self._second:
            self._second = int(now)
            self._seen.clear()
        kept = False
        for rule in set(one.rules):
            key = (one.contract, self._name(one), rule)
            self._seen[key] += 1
            kept = kept or self._seen[key] <= MOST
        return kept

    def counts(self, some: Iterable[Violated]) -> dict[tuple[str, str], int]:
        """Return (``contract:NAME``, ``event<tab>rule``) to how many of *some* broke that rule."""
        found: Counter[tuple[str, str]] = Counter()
        for one in some:
            found.update((f"contract:{one.contract}", f"{self._name(one)}\t{rule}") for rule in set(one.rules))
        return dict(found)

    def _name(self, one: Violated) -> str:
        name = f"{one.type} {one.name}".rstrip()
        if name not in self._names and len(self._names) < NAMES:
            self._names.add(name)
        return name if name in self._names else f"{one.type} …"
