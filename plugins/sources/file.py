"""A file that others append to: one event as JSON a line."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar, Final

import msgspec

from engine.plugin import Post, ProtocolError, Settings, Submission
from engine.wire import with_member

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)


class FileSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which file."""

    path: str
    """One event as JSON a line; read from its beginning, then what is appended. Relative to config.toml."""


class _Id(msgspec.Struct, frozen=True, rename="camel"):
    message_id: Any = None


class File:
    """Reads a file as it grows; the engine remembers how far it is."""

    Settings: ClassVar[type[Any]] = FileSettings
    routes: ClassVar[tuple[tuple[str, str], ...]] = ()

    def decode(self, post: Post) -> Submission:
        """Refuse: nothing is posted to a file.

        Raises:
            ProtocolError: always.
        """
        raise ProtocolError(f"nothing is read from {post.path}")

    def item(self, line: bytes, name: str, offset: int) -> bytes:
        """Return *line*, with a messageId made of its place and content if it has none."""
        try:
            own = msgspec.json.decode(line, type=_Id).message_id
        except _UNREADABLE:
            return line
        if own is not None and own != "":
            return line
        digest = hashlib.blake2b(f"{name}\0{offset}\0".encode() + line, digest_size=16).hexdigest()
        return with_member(line, "messageId", digest)
