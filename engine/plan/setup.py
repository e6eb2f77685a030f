"""What every wizard does with what it is told: settings from texts, secrets put away, the whole tried unwritten."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect as types

from engine.config.keeping import SECRETS
from engine.config.load import read
from engine.config.wording import arms
from engine.plan.compile import Plan, compile_plan
from engine.plugin import Secret
from engine.registry import Registry

SAMPLE = {"type": "track", "event": "Order Completed", "userId": "u1", "properties": {"total": 12.5, "currency": "EUR"}}
"""What a preview shows while nothing was recorded."""
_REFERS = ("env:", "file:")


class PutAway(msgspec.Struct, frozen=True, kw_only=True):
    """Settings without a secret in them.

    Attributes:
        settings: as config.toml has them; where a secret was, ``file:PATH``.
        files: path, relative to config.toml, to the secret.
    """

    settings: dict[str, Any]
    files: dict[str, str] = {}


def typed(settings: type[Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return what was typed, key by key, as config.toml would have it; what was left empty is left out.

    Where a plugin takes text, it is text; else a number, true or false, a list or table if it reads as one. A key that
    the plugin does not know is one that every destination has.
    """
    known = _fields(settings)
    made = {key: _value(text.strip(), known.get(key)) for key, text in texts.items() if text.strip()}
    if _is_here(made.get("url")) and "allow_private" not in made:
        made["allow_private"] = True  # config.toml asks for it in so many words; who types localhost has said it
    return made


def put_away(destination: str, settings: type[Any], given: Mapping[str, Any]) -> PutAway:
    """Return *given* with each secret, but for ``env:`` and ``file:``, taken out into a file of its own."""
    known = _fields(settings)
    files: dict[str, str] = {}
    made = {
        key: _hidden(value, known[key], f"{destination}-{key}", files) if key in known else value
        for key, value in given.items()
    }
    return PutAway(settings=made, files=files)


def hides(info: types.Type) -> bool:
    """Return whether a value of *info* is a secret, or has one in it."""
    match info:
        case types.CustomType(cls=cls):
            return issubclass(cls, Secret)
        case types.UnionType():
            return any(map(hides, arms(info)))
        case types.StructType():
            return any(hides(field.type) for field in info.fields)
        case types.DictType():
            return hides(info.value_type)
        case types.VarTupleType() | types.ListType():
            return hides(info.item_type)
        case _:
            return False


def tried(config: Path, text: str, files: Mapping[str, str], registry: Registry, env: Mapping[str, str] | None) -> Plan:
    """Return the plan of config.toml as if *text* stood in it, and *files* beside it.

    Args:
        config: where it would stand; what it names is read from there.
        text: all of it.
        files: secrets by path, as `PutAway` has them.
        registry: the plugins.
        env: as for `read`.

    Raises:
        ConfigError: it cannot be run; with every problem.
    """
    beside = {config.parent / path: secret for path, secret in files.items()} | {config: text}

    def read_file(path: Path) -> bytes:
        return beside[path].encode() if path in beside else path.read_bytes()

    return compile_plan(read(config, env=env, read_file=read_file), registry)


def _fields(settings: type[Any]) -> dict[str, types.Type]:
    info = types.type_info(settings)
    assert isinstance(info, types.StructType)
    return {field.encode_name: field.type for field in info.fields}


def _value(text: str, info: types.Type | None) -> Any:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return text if info is not None and _is_text(info) and not isinstance(value, str) else value


def _is_text(info: types.Type) -> bool:
    if isinstance(info, types.UnionType):
        return all(map(_is_text, arms(info)))
    return isinstance(info, (types.StrType, types.CustomType, types.LiteralType))


def _hidden(value: Any, info: types.Type, place: str, files: dict[str, str]) -> Any:
    """Return *value* without its secrets, which *files* then has."""
    match info, value:
        case types.CustomType(cls=cls), str() if issubclass(cls, Secret) and value and not value.startswith(_REFERS):
            path = f"{SECRETS}/{re.sub(r'[^A-Za-z0-9_.-]+', '-', place)}"
            files[path] = value
            return f"file:{path}"
        case types.UnionType(), _:
            for arm in arms(info):
                value = _hidden(value, arm, place, files)
            return value
        case types.StructType(), dict():
            known = {field.encode_name: field.type for field in info.fields}
            inner = ((key, one, known.get(key, types.AnyType())) for key, one in value.items())
            return {key: _hidden(one, kind, f"{place}-{key}", files) for key, one, kind in inner}
        case types.DictType(), dict():
            return {key: _hidden(one, info.value_type, f"{place}-{key}", files) for key, one in value.items()}
        case types.VarTupleType() | types.ListType(), list():
            return [_hidden(one, info.item_type, f"{place}-{at}", files) for at, one in enumerate(value, 1)]
        case _:
            return value


def _is_here(url: Any) -> bool:
    """Return whether *url* plainly leads to this machine."""
    host = str(url or "").partition("://")[2].partition("/")[0].rpartition("@")[2]
    return host.partition(":")[0] in {"localhost", "127.0.0.1"} or host.startswith("[::1]")
