"""An event that broke a contract, as the store keeps it and ``headrace violations`` shows it."""

from __future__ import annotations

import msgspec


class Violated(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event's violations of one contract, whether they were enforced or not.

    Attributes:
        position: of the event in the log; with ``contract`` the identity of this entry.
        at: epoch seconds of the event's receipt.
        source: which source it came by.
        contract: the contract's name.
        shadow: whether the contract is only tried out.
        type: the event's call type.
        name: the event's name, "" for calls without one.
        version: the version it was held against, "" if the event is not declared.
        message_id: the event's own.
        allowed: whether it went on in spite of it.
        undeclared_event, undeclared_fields, schema_violated: which kinds of breach there were.
        rules: of each violation, in order: ``undeclared_event``, ``undeclared_field``, or the schema's keyword.
        violations: each as ``pointer: message``, in order.
        event: the event's original JSON.
    """

    position: int
    at: float
    source: str
    contract: str
    shadow: bool = False
    type: str
    name: str = ""
    version: str = ""
    message_id: str
    allowed: bool
    undeclared_event: bool = False
    undeclared_fields: bool = False
    schema_violated: bool = False
    rules: tuple[str, ...]
    violations: tuple[str, ...]
    event: bytes

    @property
    def id(self) -> str:
        """What ``headrace violations show`` finds it by."""
        return f"{self.position}-{self.contract}"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries; every given part must hold.

    Attributes:
        event: an event's name, or its call type.
        position: of the event; 0 for any.
        since: epoch seconds of receipt; not older.
        limit: how many, the newest first.
    """

    contract: str = ""
    source: str = ""
    event: str = ""
    position: int = 0
    since: float = 0.0
    limit: int = 100
