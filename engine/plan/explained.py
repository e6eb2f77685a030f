"""What ``headrace explain`` says about one event, as Structs: their JSON is an interface that others rely on."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.lang.filters import Clause


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the source's contract says.

    Attributes:
        name: of the contract; null if the source has none.
        allowed: whether the event goes on.
        reason: ``contract_violation`` or ``undeclared_event`` when it does not, "" otherwise.
        violations: ``pointer: message`` each, whatever the enforcement.
        omitted: pointers of undeclared fields that were taken out.
    """

    name: str | None = None
    allowed: bool = True
    reason: str = ""
    violations: tuple[str, ...] = ()
    omitted: tuple[str, ...] = ()


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One event type that was asked whether it takes the event.

    Attributes:
        filter: its text; "" takes every event.
        clauses: each comparison of the filter with its own answer.
    """

    event_type: str
    filter: str
    takes: bool
    clauses: tuple[Clause, ...] = ()


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP request that would be made, secrets redacted.

    Attributes:
        headers: name to value; a repeated one joined with ", ".
        body: decoded if it is JSON, else its text.
    """

    method: str
    url: str
    headers: dict[str, str]
    body: Any = None


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """One event's way through one sync: one entry per delivery, or one that says why there is none.

    Attributes:
        event_type: the one that took the event, or null.
        fate: deliver | filtered | blocked | archived.
        reason: one documented code; "" for deliver.
        payload: what the mapping made, or null.
        request: what would be sent for this delivery alone, or null.
        error: what failed, for a person.
        trace: the traceback, if our code or the user's raised.
        message_id: which event: functions may have made several.
        tried: the event types that were asked, in order.
        notes: what a reader should know beside.
    """

    sync: str
    event_type: str | None = None
    fate: str
    reason: str = ""
    payload: Any = None
    request: Shown | None = None
    error: str = ""
    trace: str = ""
    message_id: str = ""
    tried: tuple[Tried, ...] = ()
    notes: tuple[str, ...] = ()


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """The whole way of one event.

    Attributes:
        event: as the filters see it: normalised, undeclared fields taken out; before the functions.
        refused: ``code: message`` if the door would not take it, "" otherwise.
        functions: what the source's functions made of it: every event that came out; null without functions.
        function_error: the traceback if one failed.
        syncs: of this source, in the file's order.
    """

    event: dict[str, Any]
    source: str
    contract: Verdict
    syncs: tuple[Walk, ...]
    refused: str = ""
    functions: tuple[dict[str, Any], ...] | None = None
    function_error: str = ""
