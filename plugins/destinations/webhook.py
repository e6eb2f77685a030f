"""Any service that takes JSON over HTTP: one payload a request, or an array of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import msgspec

import engine
from engine.plugin import (
    Delivery,
    Destination,
    EventType,
    Item,
    Limits,
    Reply,
    Request,
    Secret,
    Settings,
    SettingsError,
    Size,
    idempotency_key,
)
from engine.signing import Signer, secret_problems
from plugins.headers import Auth, Basic, Named, headers_problems, url_problems


class WebhookSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to send, how to say who we are, and how much at once."""

    url: str
    """Where to; http or https, without a user or password in it."""
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    """The HTTP method of every request."""
    headers: dict[str, Secret] = {}  # noqa: RUF012 - msgspec copies it
    """Further headers by name; their values are never printed."""
    bearer: Secret | None = None
    """A token, sent as ``Authorization: Bearer …``."""
    basic: Basic | None = None
    """A user and password, sent as ``Authorization: Basic …``."""
    header: Named | None = None
    """A header of your own that carries a key, for example ``X-Api-Key``."""
    secret: Secret | None = None
    """Signs every request the Standard Webhooks way; ``whsec_<base64>``, or any other text as it is."""
    batch: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    """Payloads in one request; above 1 the body is a JSON array, also when it holds only one."""
    batch_bytes: Size = Size("1 MiB")
    """Bytes of payloads in one request, summed; a larger single payload goes alone."""


class Webhook(Destination[WebhookSettings]):
    """POSTs the mapped payload as it is.

    A request with one payload shows its key as ``Idempotency-Key``; one that holds an array shows all of them, in
    order, as ``Headrace-Delivery-Keys``. An array of one shows both: the key is that payload's own either way.
    """

    Settings = WebhookSettings
    event_types: ClassVar[Mapping[str, EventType]] = {
        "custom": EventType(label="Custom", help="Any JSON object; what the mapping makes is what is sent."),
    }

    def __init__(self, settings: WebhookSettings, name: str) -> None:
        """Check *settings* and make the headers that every request has.

        Raises:
            SettingsError: a URL, header or secret that cannot work, or two ways to say who we are; names all of them.
        """
        super().__init__(settings, name)
        auth = Auth(bearer=settings.bearer, basic=settings.basic, header=settings.header)
        problems = [*url_problems(settings.url), *auth.problems(), *headers_problems(settings.headers, auth)]
        if settings.secret is not None:
            problems += secret_problems(settings.secret)
        if problems:
            raise SettingsError(problems)
        self._signer = Signer(settings.secret) if settings.secret is not None else None
        self._headers = _fixed(settings.headers, auth.pair())

    def bounds(self) -> Limits:
        """Return what the settings allow: a webhook has no limits of its own."""
        return Limits(batch=self.settings.batch, batch_bytes=self.settings.batch_bytes)

    def request(self, batch: Sequence[Delivery], at: float) -> Request:
        """Return the request that carries *batch*; the payloads' bytes are not looked into."""
        keys = [idempotency_key(delivery) for delivery in batch]
        headers = list(self._headers)
        if len(keys) == 1:
            headers.append(("Idempotency-Key", keys[0]))
        if self.settings.batch == 1:
            body = batch[0].payload
        else:
            body = b"[" + b",".join([delivery.payload for delivery in batch]) + b"]"
            headers.append(("Headrace-Delivery-Keys", ",".join(keys)))
        if self._signer:
            headers += self._signer.headers(_message_id(keys), at, body)
        return Request(method=self.settings.method, url=self.settings.url, headers=tuple(headers), body=body)

    def verdicts(self, reply: Reply, batch: Sequence[Delivery]) -> Sequence[Item] | None:  # noqa: ARG002 - the contract's names
        """Let the status decide: there is no common form for what became of each payload."""
        return None


def _fixed(headers: Mapping[str, Secret], auth: tuple[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Return the headers of every request: ours, unless one of *headers* takes its place."""
    pairs = [("Content-Type", "application/json"), ("User-Agent", f"headrace/{engine.__version__}")]
    pairs += [(name, str(value)) for name, value in headers.items()]
    pairs += [auth] if auth else []
    return tuple({name.lower(): (name, value) for name, value in pairs}.values())


def _message_id(keys: Sequence[str]) -> str:
    """Return what ``webhook-id`` says: equal for every attempt with the same payloads, and without a full stop."""
    return keys[0] if len(keys) == 1 else hashlib.blake2b(",".join(keys).encode(), digest_size=16).hexdigest()
