"""What a reply says about when the next request may come: Retry-After and the RateLimit fields. Pure.

Sources: RFC 9110, 10.2.3 (Retry-After); draft-ietf-httpapi-ratelimit-headers, up to 06 with a field for each number
(``RateLimit-Remaining``, ``RateLimit-Reset``), 07 with ``remaining=0, reset=7`` in one, from 08 on with quotas by name
(``"burst";r=0;t=7``, and their windows in ``RateLimit-Policy``); ``X-RateLimit-*`` is nobody's: its reset is seconds
from now for some, and for others a moment since 1970 (Braze), or the same in milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from engine.lang.retry import LONGEST_WAIT, retry_after

ASKING = frozenset({429, 503})
"""Statuses whose Retry-After asks us to wait: with others the header means something else."""

_A_MOMENT = 1e9
"""Above it a reset is no number of seconds, but a moment since 1970; see `_A_MOMENT_MS`."""
_A_MOMENT_MS = 1e12
_NUMBER = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*")
_PART = re.compile(r"""\s*(r|t|w|remaining|reset)\s*=\s*"?([0-9]{1,15})""", re.IGNORECASE)
_LISTS = frozenset({"ratelimit", "ratelimit-policy"})
_SPLIT = ("ratelimit-", "x-ratelimit-", "x-rate-limit-")

Headers = Iterable[tuple[str, str]]
"""Names in lower case."""


def asked_wait(status: int, headers: Headers, now: float) -> float:
    """Return the seconds for which a destination asks to be left alone by refusing a request; 0.0 if it does not.

    Such a request is no attempt. Retry-After counts before the RateLimit fields; at most `LONGEST_WAIT`.
    """
    if status not in ASKING:
        return 0.0
    said = next((value for name, value in headers if name == "retry-after"), "")
    found = retry_after(said, now)
    return spent_wait(headers, now) if found is None else found


def spent_wait(headers: Headers, now: float) -> float:
    """Return the seconds until a quota that is used up is filled again, of all that a reply names; 0.0 if none is.

    It holds for any status: the next request would be refused.
    """
    own = [(name, value) for name, value in headers if "ratelimit" in name or "rate-limit" in name]
    if not own:
        return 0.0
    named = dict(own)
    for name in _LISTS & named.keys():  # may come in several lines, RFC 9651, 3.1
        named[name] = ", ".join([value for other, value in own if other == name])
    wait = max([_in_one(named), *(_split(named, prefix, now) for prefix in _SPLIT)])
    return min(wait, LONGEST_WAIT)


def _split(named: Mapping[str, str], prefix: str, now: float) -> float:
    """Return the wait that fields of one number each ask for."""
    if _number(named.get(f"{prefix}remaining", "")) != 0.0:
        return 0.0
    seconds = _number(named.get(f"{prefix}reset-after", ""))
    reset = _number(named.get(f"{prefix}reset", "")) if seconds is None else seconds
    if reset is None:
        return 0.0
    if reset >= _A_MOMENT_MS:
        return max(reset / 1000 - now, 0.0)
    return max(reset - now, 0.0) if reset >= _A_MOMENT else reset


def _in_one(named: Mapping[str, str]) -> float:
    """Return the wait that ``RateLimit`` asks for: the longest of the quotas that are used up.

    One that does not say when takes its window from the policy of the same name.
    """
    field = named.get("ratelimit", "")
    if "remaining" in field.lower():  # draft 07: the whole field is one quota
        quotas = [_parts(field.replace(",", ";"))]
        return max(_of(each, "reset") for each in quotas) if quotas[0].get("remaining") == 0 else 0.0
    windows = {_name(each): _parts(each) for each in named.get("ratelimit-policy", "").split(",")}
    waits = [0.0]
    for each in field.split(","):
        quota = _parts(each)
        if quota.get("r") == 0:
            waits.append(_of(quota, "t") or _of(windows.get(_name(each), {}), "w"))
    return max(waits)


def _of(parts: Mapping[str, int], key: str) -> float:
    return float(parts.get(key, 0))


def _name(item: str) -> str:
    return item.partition(";")[0].strip()


def _parts(item: str) -> dict[str, int]:
    """Return the numbers of one item's parameters."""
    found = (_PART.match(part) for part in item.split(";"))
    return {match[1].lower(): int(match[2]) for match in found if match}


def _number(text: str) -> float | None:
    match = _NUMBER.fullmatch(text)
    return float(match[1]) if match else None
