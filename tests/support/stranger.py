"""Certificates, good and bad ones, of an authority that a test trusts and of one that it does not."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import trustme

LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


class Papers:
    """What a server on 127.0.0.1 may show.

    Args:
        folder: where the authority's certificate is written.

    Attributes:
        authority: a file with the certificate that clients trust.
    """

    def __init__(self, folder: Path) -> None:
        trusted = trustme.CA()
        self.authority = folder / "authority.pem"
        trusted.cert_pem.write_to_path(str(self.authority))
        self._leaves = {
            "good": trusted.issue_cert("127.0.0.1"),
            "expired": trusted.issue_cert("127.0.0.1", not_after=LONG_AGO),
            "stranger": trustme.CA().issue_cert("127.0.0.1"),
            "other": trusted.issue_cert("127.0.0.2"),
        }
        self._folder = folder

    def context(self, kind: str) -> ssl.SSLContext:
        """Return a server's context: ``good``, ``expired``, ``stranger``, ``other`` or ``own``."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if kind == "own":
            alone = trustme.CA()  # an authority's certificate is signed by itself
            path = str(self._folder / "own.pem")
            alone.private_key_pem.write_to_path(path)
            alone.cert_pem.write_to_path(path, append=True)
            context.load_cert_chain(path)
        else:
            self._leaves[kind].configure_cert(context)
        return context
