"""Any service that can post JSON: each request becomes a track event with its body and headers as properties."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any, ClassVar, Final, Literal

import msgspec
from msgspec import UNSET

from engine.plugin import Post, ProtocolError, Secret, Settings, SignatureError, Submission, reader
from engine.signing import TOLERANCE, Signer, secret_problems
from engine.wire import shown_key

PATH: Final = "/v1/webhook"
HIDDEN: Final = frozenset({"authorization", "cookie", "proxy-authorization", "x-write-key"})
"""Headers that never become part of an event: they hold secrets."""
LONGEST: Final = 100
"""Characters of a messageId."""

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)


class WebhookSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a service's requests become events."""

    event: str = ""
    """Where in the body the event's name stands, for example `type`; none given: `name` names them all."""
    id: str = ""
    """Where in the body its id stands: the messageId, by which a request that is sent again is recognised."""
    user: str = ""
    """Where in the body the user's id stands."""
    name: str = "Webhook"
    """The event's name where the body has none."""
    signature: Literal["", "standard", "sha256", "sha1"] = ""
    """How requests are signed: `standard` (Standard Webhooks), or an HMAC of the body, in hex or base64."""
    signature_header: str = "x-signature"
    """Where the HMAC stands; `sha256=` before it is passed over."""
    secret: Secret | None = None
    """What requests are signed with."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for key in ("event", "id", "user"):
            if reference := getattr(self, key):
                try:
                    reader(reference)
                except ValueError as error:
                    raise ValueError(f"{key}: {error}") from None
        if bool(self.signature) != bool(self.secret):
            raise ValueError("signature and secret belong together: give both, or neither")
        for problem in secret_problems(self.secret) if self.secret and self.signature == "standard" else ():
            raise ValueError(f"{problem.where}: {problem.what}; {problem.hint}")


class Webhook:
    """``POST /v1/webhook``, with the write key as ``?writeKey=``, or wherever else an SDK would show it."""

    Settings: ClassVar[type[Any]] = WebhookSettings
    routes: ClassVar[tuple[tuple[str, str], ...]] = (("POST", PATH),)

    def decode(self, post: Post) -> Submission:
        """Return the write key; the body is read when it is known what with."""
        key = post.query.get("writeKey") or shown_key(post.header("authorization")) or post.header("x-write-key")
        return Submission(write_key=key or None, items=(post.body,))

    def shape(self, post: Post, submission: Submission, settings: WebhookSettings, at: float) -> Submission:
        """Return one track event with ``properties = {body, headers}``.

        Raises:
            ProtocolError: the body is not JSON.
            SignatureError: there is a secret, and the request is not signed with it.
        """
        if settings.secret is not None:
            _verify(post, settings, settings.secret, at)
        try:
            body = msgspec.json.decode(post.body)
        except _UNREADABLE as error:
            raise ProtocolError(f"the body does not parse as JSON: {error}") from error
        event = _event(post, body, settings)
        return msgspec.structs.replace(submission, items=(msgspec.json.encode(event),))


def _event(post: Post, body: Any, settings: WebhookSettings) -> dict[str, Any]:
    headers = {name: value for name, value in post.headers if name not in HIDDEN}
    found = body if isinstance(body, dict) else {}
    name, own, user = (_text(found, where) for where in (settings.event, settings.id, settings.user))
    own = own or post.header("webhook-id") or ""
    # An event needs somebody it is about; a service that names nobody is itself that.
    who = {"userId": user} if user else {"anonymousId": settings.name}
    event = {"type": "track", "event": name or settings.name, **who, "properties": {"body": body, "headers": headers}}
    return {**event, "messageId": _short(own)} if own else event


def _text(body: dict[str, Any], where: str) -> str:
    value = reader(where)(body) if where else UNSET
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _short(message_id: str) -> str:
    return message_id if len(message_id) <= LONGEST else hashlib.sha256(message_id.encode()).hexdigest()


def _verify(post: Post, settings: WebhookSettings, secret: Secret, at: float) -> None:
    """Return if *post* is signed with *secret*.

    Raises:
        SignatureError: says what is missing; not what it should have been.
    """
    if settings.signature == "standard":
        if not Signer(secret).signed(post.header, at, post.body):
            raise SignatureError(f"the request has no Standard Webhooks signature of the last {TOLERANCE // 60:g} min")
        return
    claim = (post.header(settings.signature_header.lower()) or "").removeprefix(f"{settings.signature}=")
    digest = hmac.digest(secret.encode(), post.body, settings.signature)
    good = (digest.hex(), base64.b64encode(digest).decode())
    if not any(hmac.compare_digest(claim.encode(), right.encode()) for right in good):
        raise SignatureError(f"the request is not signed in {settings.signature_header}")
