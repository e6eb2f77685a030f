"""What to do next about an entry of the ledger, by its reason. Pure."""

from __future__ import annotations

from engine.messages import State, Trouble

NEXT = {
    "contract_violation": "mend the sender or the contract, then replay it",
    "undeclared_event": "declare the event in the contract, or let undeclared events pass, then replay it",
    "contract_failed": "the contract itself failed on it: see the trace, mend the schema, then replay it",
    "validator_died": "two validators died of it: see the trace, and tell the maintainers",
    "router_died": "two routers died of it: see the trace, and tell the maintainers",
    "function_failed": "mend the function (the trace says where), then replay it",
    "function_timeout": "make the function quicker or raise its timeout, then replay it",
    "function_died": "the function ended its process: mend it or raise its memory, then replay it",
    "mapping_failed": "mend the mapping or the sender, then replay it",
    "request_failed": "the destination could make no request of the payload: mend the mapping, then replay it",
    "needs_attention": "check the destination's credentials; it is tried again every 30 s until they are right",
    "rejected_401": "check the destination's credentials, then retry it",
    "rejected_403": "the destination refuses just this one: check what it may take, then retry or discard it",
    "rejected_413": "alone it is too large for the destination: map less of it, then replay it",
    "retries_exhausted": "the destination was down for longer than [retry] window: once it is well again, retry it",
    "too_old": "it waited longer than [retry] max_age: retry it if it is still worth sending",
    "sender_died": "it may have arrived; it is sent again with the same idempotency key",
    "sync_removed": "its sync is gone: discard it, or bring the sync back and retry it",
    "order_timeout": "the order of its key went on without it: retry it, out of order, or discard it",
    "consent": "its event does not consent to this destination's purpose: leave it, or replay it if that was a mistake",
    "integrations": "its event's integrations leave this destination out: leave it, or replay it if that was a mistake",
    "object_missing": "create the object, or let when_missing_object say create or skip, then retry it",
    "expired": "the store needed its room: retry it if it is still worth sending",
    "network": "nothing came back: it is tried again by itself; look at the address and the network",
    "timeout": "no answer came in time: it is tried again by itself; look at the destination, or raise its timeout",
    "reply_unreadable": "it may have arrived, and is sent again with the same key: see the response, mend the plugin",
    "disk_full": "make room on the destination's disk; it is tried again by itself",
    "file_failed": "look at the file's folder and rights; it is tried again by itself",
}
"""By reason; what is not here is told by `advice` from state and stage."""


def advice(trouble: Trouble) -> str:
    """Return what to do next, in one sentence."""
    return advice_on(trouble.state, trouble.reason)


def advice_on(state: State, reason: str) -> str:
    """Return what to do next about all that have state and reason in common."""
    if state is State.DISCARDED:
        return "nothing: it was discarded"
    if found := NEXT.get(reason):
        return found
    if state is State.RETRYING:
        return "wait: it is tried again by itself; or retry it at once"
    if reason.startswith("rejected_"):  # only what was sent can be
        return "the response says why it was refused: mend the mapping and replay it, or retry it as it is"
    return "retry it as it is, replay it with today's plan, or discard it"
