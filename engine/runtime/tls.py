"""TLS of our own server: its certificate, and no less than TLS 1.2."""

from __future__ import annotations

import ssl
from pathlib import Path

from engine.errors import HeadraceError


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return a context that shows *cert*, whose private key is *key*; both PEM.

    Raises:
        HeadraceError: a file cannot be read, or the two do not belong together; says which.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    for path in (cert, key):
        try:
            path.read_bytes()
        except OSError as error:
            hint = "see [receiver.tls]; paths are relative to config.toml"
            raise HeadraceError(f"cannot read {path}: {error.strerror}\n    {hint}") from None
    try:
        context.load_cert_chain(cert, key)
    except ssl.SSLError as error:
        hint = "[receiver.tls] cert takes the certificate and its chain, key its private key, both PEM"
        raise HeadraceError(f"{cert} and {key} are no certificate with its key: {error.reason}\n    {hint}") from None
    return context
