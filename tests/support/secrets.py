"""Finding and replacing the secrets in a plugin's settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from engine.plugin import Secret


def plain(value: Any) -> Any:
    """Return a unit or secret as a plain value."""
    return next(kind(value) for kind in (str, int, float) if isinstance(value, kind))


def secrets_in(value: Any) -> list[str]:
    """Return the text of every secret in *value*."""
    found: list[str] = []

    def note(secret: Secret) -> Secret:
        found.append(str(secret))
        return secret

    with_secrets(value, note)
    return found


def with_secrets(value: Any, change: Callable[[Secret], Secret]) -> Any:
    """Return *value*, a Struct or what is inside one, with every secret changed."""
    if isinstance(value, Secret):
        return change(value)
    if isinstance(value, msgspec.Struct):
        fields = {name: with_secrets(getattr(value, name), change) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **fields)
    if isinstance(value, dict):
        return {key: with_secrets(inner, change) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(with_secrets(inner, change) for inner in value)
    return value


def doubled(secret: Secret) -> Secret:
    """Return a secret that is likely to be wrong: of the right start, but not of the right form."""
    return Secret(f"whsec_{secret}!")
