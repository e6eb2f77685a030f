"""A source's stages, compiled: contract, functions, and what becomes of an event that fails in one."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from engine.lang.contract import Checked, Contract, Violation
from engine.lang.envelope import normalise
from engine.lang.keys import delivery_key
from engine.messages import Event, Logged, Result, Stage, State, Trouble, trouble_id
from engine.plan.breaches import blocked_reason, propagated, violated, violation_texts
from engine.plan.functions import Functions
from engine.plan.windows import WindowPlan
from engine.plugin import Secret, Shaped
from engine.results import VALIDATOR_DIED
from engine.violated import Violated


class Doorway(msgspec.Struct, frozen=True, kw_only=True):
    """Who may come in by a source, and how.

    Attributes:
        origins: where pages may be from that send, ``*`` for any part; empty for anywhere.
        quota: events a second for each write key from servers, or None.
        kind: the plugin whose routes it has, if that needs settings; None for SDKs and WebSocket.
        settings: what *kind* makes of the source's table.
    """

    origins: tuple[str, ...] = ()
    quota: float | None = None
    kind: type[Shaped] | None = None
    settings: Any = None


_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class SourcePlan:
    """One source, compiled.

    Attributes:
        name: as in config.toml.
        enabled: whether it accepts events.
        write_keys: what clients show.
        contract: what its events promise, or None.
        shadow: a contract that is tried out: held against the same events, and never enforced; or None.
        functions: user code between contract and filters, or None.
        windows: what is counted of that which passed.
        doorway: who may come in, and how.
    """

    def __init__(
        self,
        name: str,
        *,
        enabled: bool = True,
        write_keys: tuple[Secret, ...] = (),
        contract: Contract | None = None,
        shadow: Contract | None = None,
        functions: Functions | None = None,
    ) -> None:
        self.name = name
        self.enabled = enabled
        self.write_keys = write_keys
        self.contract = contract
        self.shadow = shadow
        self.functions = functions
        self.windows: tuple[WindowPlan, ...] = ()
        self.doorway = Doorway()

    @property
    def has_functions(self) -> bool:
        """Return whether `transform` has anything to do."""
        return self.functions is not None

    @property
    def keeps_results(self) -> bool:
        """Return whether what became of an event may be stored, instead of computed again."""
        return self.functions is not None or bool(self.windows)

    def fired(self, logged: Logged, events: Sequence[Event], derived: Sequence[dict[str, Any]]) -> Result:
        """Return what to store where windows fire: what passed, and behind it what they made."""
        raws = [_encode(event.body) for event in events]
        return Result(position=logged.position, outcome="passed", events=(*raws, *(_encode(body) for body in derived)))

    def examine(
        self, logged: Logged, now: float, note: Callable[[Violated], None] | None = None
    ) -> dict[str, Any] | Trouble:
        """Return the normalised event, or why it goes no further; never raises because of an event.

        Blocked by the contract: state ``blocked``, reason ``contract_violation`` or ``undeclared_event``. An event on
        which our own code fails is archived with its traceback, reason ``contract_failed``.

        Args:
            logged: the event as it lies in the log.
            now: epoch seconds.
            note: called with what the event broke, of the contract and of the one that is tried out.
        """
        if not logged.raw:
            return self._erased(logged, now)
        try:
            body = normalise(_decode(logged.raw), logged.envelope)
            if note and self.shadow:
                self._try_out(logged, body, note)
            return self._checked(logged, body, now, note) if self.contract else body
        except Exception as error:  # noqa: BLE001 - one event must not stop its source
            return self._failed(logged, error, now)

    def _checked(
        self, logged: Logged, body: dict[str, Any], now: float, note: Callable[[Violated], None] | None
    ) -> dict[str, Any] | Trouble:
        assert self.contract
        checked = self.contract.check(body)
        if not checked.violations:
            return checked.event
        if note:
            note(violated(logged, body, self.contract, checked, shadow=False))
        if not checked.allowed:
            return self._blocked(logged, checked, now)
        return propagated(checked.event, self.contract, checked) if self.contract.spec.propagate else checked.event

    def _try_out(self, logged: Logged, body: dict[str, Any], note: Callable[[Violated], None]) -> None:
        """Hold the event against the contract that is tried out; what fails in it harms nobody."""
        assert self.shadow
        try:
            checked = self.shadow.check(body)
        except Exception as error:  # noqa: BLE001 - it is not enforced, so neither are its faults
            broken = Violation(pointer="", rule="contract_failed", message=repr(error), enforced=False)
            checked = Checked(allowed=True, event=body, violations=(broken,))
        if checked.violations:
            note(violated(logged, body, self.shadow, checked, shadow=True))

    def transform(self, batch: Sequence[tuple[Logged, dict[str, Any]]]) -> list[Result]:
        """Run the user's functions over *batch*; return one result per event, in order. Raises nothing of theirs.

        See `Functions.transform` for identities, and for how a batch that fails is taken apart.
        """
        assert self.functions, "asked to transform without functions: look at has_functions"
        return self.functions.transform((logged.position, body) for logged, body in batch)

    def events(self, logged: Logged, body: dict[str, Any]) -> tuple[Event, ...]:
        """Return what goes to the routers when there is no function: the event itself."""
        envelope = logged.envelope
        event = Event(
            position=logged.position, message_id=envelope.message_id, received_at=envelope.received_at, body=body
        )
        return (event,)

    def restored(self, logged: Logged, result: Result) -> tuple[Event, ...]:
        """Return what goes to the routers, from a stored result; nothing if the event was dropped or failed."""
        bodies = [_decode(raw) for raw in result.events]
        return tuple(
            Event(
                position=logged.position,
                n=n,
                message_id=body.get("messageId", ""),  # what was erased has none
                received_at=logged.envelope.received_at,
                body=body,
            )
            for n, body in enumerate(bodies)
        )

    def failed(self, logged: Logged, result: Result, now: float) -> Trouble:
        """Return the archive entry of an event on which a function failed, or on which validators had died."""
        what = result.error.rpartition("\n")[2]
        if result.reason == VALIDATOR_DIED:
            return self._unexamined(logged, now, what, reason=VALIDATOR_DIED, trace=result.error)
        error = f"a function of source '{self.name}' failed: {what}\nmend the function, then replay the event"
        return self._trouble(logged, Stage.FUNCTION, now, reason=result.reason, error=error, trace=result.error)

    def _erased(self, logged: Logged, now: float) -> dict[str, Any] | Trouble:
        """Return what is left of an erased event: nothing, which every sync filters; or that it was blocked."""
        if logged.envelope.erased != "blocked":
            return {}
        return self._trouble(logged, Stage.CONTRACT, now, state=State.BLOCKED, reason="erased", error="it was erased")

    def _blocked(self, logged: Logged, checked: Checked, now: float) -> Trouble:
        return self._trouble(
            logged,
            Stage.CONTRACT,
            now,
            state=State.BLOCKED,
            reason=blocked_reason(checked),
            error="\n".join(violation_texts(checked)),
        )

    def died(self, logged: Logged, error: Exception, now: float) -> Trouble:
        """Return the archive entry of an event that killed two validators with *error*."""
        return self._failed(logged, error, now, reason=VALIDATOR_DIED)

    def unjudged(self, logged: Logged, error: Exception) -> Result:
        """Return what is stored of an event that killed two validators with *error*: nothing of it passed."""
        return Result(position=logged.position, outcome="failed", reason=VALIDATOR_DIED, error=_trace(error))

    def _failed(self, logged: Logged, error: Exception, now: float, reason: str = "contract_failed") -> Trouble:
        return self._unexamined(logged, now, f"{type(error).__name__}: {error}", reason=reason, trace=_trace(error))

    def _unexamined(self, logged: Logged, now: float, what: str, **parts: str) -> Trouble:
        text = f"the event could not be examined: {what}"
        return self._trouble(logged, Stage.CONTRACT, now, error=text, **parts)

    def _trouble(self, logged: Logged, stage: Stage, now: float, **parts: Any) -> Trouble:
        """Return the ledger row of an event that goes no further; archived unless *parts* says otherwise."""
        message_id = logged.envelope.message_id
        key = delivery_key(self.name, message_id, "", stage)
        row = Trouble(
            id=trouble_id(logged.position, key),
            state=State.ARCHIVED,
            stage=stage,
            reason="",
            source=self.name,
            position=logged.position,
            key=key,
            message_id=message_id,
            received_at=logged.envelope.received_at,
            first_at=now,
            last_at=now,
            event=logged.raw,
        )
        return msgspec.structs.replace(row, **parts)


def _trace(error: Exception) -> str:
    return "".join(traceback.format_exception(error)).strip()
