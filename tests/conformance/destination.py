"""What every destination must keep, as checks: one function a promise, each with an `Example` to hold against it.

For a plugin of your own: make an `Example` and call `checks(example)`; see ``plugins/README.md``.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import trio

from engine.config import schema
from engine.config.describe import docs
from engine.plugin import (
    Delivery,
    Destination,
    Direct,
    Field,
    Item,
    PluginError,
    Reply,
    Request,
    Secret,
    Translator,
    Verdict,
    idempotency_key,
)
from plugins import BUILTIN
from tests.support.deliveries import delivery, settings_of
from tests.support.secrets import doubled, plain, secrets_in, with_secrets

HIDDEN = Secret("***")
AT = 1_700_000_000.25
STATUSES = (200, 201, 204, 207, 301, 304, 400, 401, 403, 404, 408, 409, 413, 422, 425, 429, 500, 501, 502, 503, 504)
BODIES = (b"", b"{}", b"[]", b"null", b'{"ok":false,"errors":[{"index":0}]}', b"<html>", b"\xff\xfe", b'{"a":' * 50)
_BY_HTTP = {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin and what it needs to be tried.

    Attributes:
        plugin: the class.
        table: its settings, as in config.toml, with every secret given as a `Secret` of at least 6 characters; called
            with an empty folder.
        payload: returns what a mapping makes for the number it is given; the number's `marker` must be in it.
        output: returns what a `Direct` one has put out into that folder, or None if that cannot be seen.
        overhead: bytes around one payload in a request's body, at most.
    """

    plugin: type[Destination[Any]]
    table: Callable[[Path], dict[str, Any]]
    payload: Callable[[int], dict[str, Any]] = lambda number: {"name": marker(number)}
    output: Callable[[Path], str] | None = None
    overhead: int = 8


Check = Callable[[Example, Path], None]
DirectCheck = Callable[[Example, Path], Awaitable[None]]


def builtin(name: str) -> type[Destination[Any]]:
    """Return the class of a destination that is shipped."""
    module, _, cls = BUILTIN["destinations"][name].partition(":")
    plugin: type[Destination[Any]] = getattr(importlib.import_module(module), cls)
    return plugin


def marker(number: int) -> str:
    """Return a text that stands for one payload and for no other."""
    return f"marker-{number:06d}."


def checks(example: Example) -> tuple[Check, ...]:
    """Return what holds for *example* without making an attempt."""
    return (*_ANY, *_TRANSLATOR) if issubclass(example.plugin, Translator) else _ANY


def direct_checks(example: Example) -> tuple[DirectCheck, ...]:
    """Return what holds for *example* when it makes attempts itself; async, and nothing for one that speaks HTTP."""
    return _DIRECT if issubclass(example.plugin, Direct) else ()


def it_either_speaks_http_or_does_not(example: Example, place: Path) -> None:
    assert issubclass(example.plugin, Translator) != issubclass(example.plugin, Direct)


def its_settings_survive_a_round_trip(example: Example, place: Path) -> None:
    settings = settings_of(example.plugin, example.table(place))
    table = msgspec.to_builtins(settings, enc_hook=plain)

    assert settings_of(example.plugin, table) == settings


def its_settings_cannot_be_changed_nor_misspelt(example: Example, place: Path) -> None:
    settings = settings_of(example.plugin, example.table(place))

    assert settings.__struct_config__.frozen
    with pytest.raises(msgspec.ValidationError, match="unknown field `no_such_key`"):
        settings_of(example.plugin, example.table(place) | {"no_such_key": 1})


def its_settings_are_documented(example: Example, place: Path) -> None:
    assert [
        name for name in example.plugin.Settings.__struct_fields__ if name not in docs(example.plugin.Settings)
    ] == []


def its_settings_do_not_repeat_the_engine_s_keys(example: Example, place: Path) -> None:
    taken = set(schema.Destination.__struct_encode_fields__)

    assert taken.isdisjoint(example.plugin.Settings.__struct_encode_fields__)


def it_never_prints_a_secret(example: Example, place: Path) -> None:
    destination = _made(example, place)

    for secret in secrets_in(destination.settings):
        assert secret not in repr(destination.settings)
        assert secret not in repr(destination)
        assert secret not in repr(vars(destination).get("settings"))


def it_complains_without_showing_a_secret(example: Example, place: Path) -> None:
    settings = settings_of(example.plugin, example.table(place))
    for spoilt in (with_secrets(settings, lambda secret: Secret(f"{secret}\n\0é")), with_secrets(settings, doubled)):
        try:
            example.plugin(spoilt, "crm")
        except PluginError as error:
            assert [secret for secret in secrets_in(settings) if secret in str(error)] == []  # noqa: PT017 - need not raise


def it_can_be_made_without_its_secrets(example: Example, place: Path) -> None:
    settings = settings_of(example.plugin, example.table(place))

    example.plugin(with_secrets(settings, lambda _: HIDDEN), "crm")


def its_event_types_can_be_shown(example: Example, place: Path) -> None:
    assert example.plugin.event_types
    for name, event_type in example.plugin.event_types.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert event_type.label
        assert event_type.open or event_type.fields
        if event_type.properties_field:
            assert event_type.open or event_type.properties_field in event_type.fields
        for field in event_type.fields.values():
            _check_field(field)


def its_bounds_are_bounds(example: Example, place: Path) -> None:
    bounds = _made(example, place).bounds()

    assert bounds.batch >= 1
    assert bounds.batch_bytes >= 1
    assert bounds.rate is None or bounds.rate > 0


def its_request_is_pure(example: Example, place: Path) -> None:
    for batch in _batches(example, place):
        before = msgspec.json.encode(batch)
        destination = _made(example, place)

        first = _request(destination, batch)

        assert first == _request(destination, batch) == _request(_made(example, place), batch)
        assert msgspec.json.encode(batch) == before


def its_request_can_be_sent(example: Example, place: Path) -> None:
    for batch in _batches(example, place):
        request = _request(_made(example, place), batch)

        url = urlsplit(request.url)
        assert url.scheme in {"http", "https"}
        assert url.hostname
        assert "@" not in url.netloc
        assert request.method in {"POST", "PUT", "PATCH", "GET", "DELETE"}
        names = [name.lower() for name, _ in request.headers]
        assert len(names) == len(set(names))
        assert _BY_HTTP.isdisjoint(names)
        assert all(_TOKEN.fullmatch(name) for name, _ in request.headers)
        assert all(value.isascii() and value.isprintable() and value == value.strip() for _, value in request.headers)


def its_request_keeps_the_order(example: Example, place: Path) -> None:
    for batch in _batches(example, place):
        body = _request(_made(example, place), batch).body.decode()

        assert re.findall(r"marker-\d{6}\.", body) == [marker(each.position) for each in batch]


def its_request_is_not_much_larger_than_its_payloads(example: Example, place: Path) -> None:
    for batch in _batches(example, place):
        body = _request(_made(example, place), batch).body

        assert len(body) <= sum(len(each.payload) + example.overhead for each in batch)


def its_request_shows_every_key_in_order(example: Example, place: Path) -> None:
    for batch in _batches(example, place):
        keys = [idempotency_key(each) for each in batch]
        shown = _text(_request(_made(example, place), batch))

        assert re.findall("|".join(map(re.escape, keys)), shown)[-len(keys) :] == keys


def its_keys_stay_at_a_retry_and_change_with_a_replay(example: Example, place: Path) -> None:
    destination = _made(example, place)
    assert isinstance(destination, Translator)
    one = _delivery(example, 1)
    replayed = msgspec.structs.replace(one, replay=1)

    later = destination.request([msgspec.structs.replace(one, attempts=3, first_at=AT)], AT + 3600.0)

    assert idempotency_key(one) in _text(later)
    assert later.body == _request(destination, [one]).body
    assert idempotency_key(replayed) in _text(_request(destination, [replayed]))


def its_request_holds_no_secret_when_it_was_made_without(example: Example, place: Path) -> None:
    settings = settings_of(example.plugin, example.table(place))
    hidden = example.plugin(with_secrets(settings, lambda _: HIDDEN), "crm")

    shown = _text(_request(hidden, [_delivery(example, 1)]))

    assert [secret for secret in secrets_in(settings) if secret in shown] == []


def its_verdicts_are_one_each_or_none(example: Example, place: Path) -> None:
    destination = _made(example, place)
    assert isinstance(destination, Translator)
    for batch in _batches(example, place):
        for status in STATUSES:
            for body in BODIES:
                items = destination.verdicts(Reply(status=status, body=body), batch)
                _check_items(items, batch)
                if status not in range(200, 300):
                    assert not items or all(item.verdict is not Verdict.DELIVERED for item in items)


async def its_attempt_gives_one_item_for_each(example: Example, place: Path) -> None:
    for batch in _batches(example, place):
        destination = _made(example, place)
        assert isinstance(destination, Direct)

        items = await destination.send(batch)

        assert items is not None
        _check_items(items, batch)
        await destination.aclose()


async def its_attempts_keep_the_order(example: Example, place: Path) -> None:
    destination = _made(example, place)
    assert isinstance(destination, Direct)
    batch = [_delivery(example, number) for number in (3, 1, 2)][: destination.bounds().batch]

    await destination.send(batch)
    await destination.send([_delivery(example, 4)])
    await destination.aclose()

    if example.output:
        written = re.findall(r"marker-\d{6}\.", example.output(place))
        assert written == [marker(each.position) for each in batch] + [marker(4)]


async def its_attempts_may_be_cancelled(example: Example, place: Path) -> None:
    destination = _made(example, place)
    assert isinstance(destination, Direct)
    with trio.CancelScope() as scope:
        scope.cancel()
        await destination.send([_delivery(example, 1)])

    items = await destination.send([_delivery(example, 2)])

    assert [item.verdict for item in items] == [Verdict.DELIVERED]
    await destination.aclose()


async def its_attempts_may_overlap(example: Example, place: Path) -> None:
    destination = _made(example, place)
    assert isinstance(destination, Direct)
    send = destination.send
    done: list[Sequence[Item]] = []

    async def attempt(number: int) -> None:
        done.append(await send([_delivery(example, number)]))

    async with trio.open_nursery() as nursery:
        for number in range(1, 5):
            nursery.start_soon(attempt, number)

    assert [len(items) for items in done] == [1] * 4
    await destination.aclose()


async def it_may_be_closed_unused(example: Example, place: Path) -> None:
    destination = _made(example, place)
    assert isinstance(destination, Direct)

    await destination.aclose()


_ANY: tuple[Check, ...] = (
    it_either_speaks_http_or_does_not,
    its_settings_survive_a_round_trip,
    its_settings_cannot_be_changed_nor_misspelt,
    its_settings_are_documented,
    its_settings_do_not_repeat_the_engine_s_keys,
    it_never_prints_a_secret,
    it_complains_without_showing_a_secret,
    it_can_be_made_without_its_secrets,
    its_event_types_can_be_shown,
    its_bounds_are_bounds,
)
_TRANSLATOR: tuple[Check, ...] = (
    its_request_is_pure,
    its_request_can_be_sent,
    its_request_keeps_the_order,
    its_request_is_not_much_larger_than_its_payloads,
    its_request_shows_every_key_in_order,
    its_keys_stay_at_a_retry_and_change_with_a_replay,
    its_request_holds_no_secret_when_it_was_made_without,
    its_verdicts_are_one_each_or_none,
)
_DIRECT: tuple[DirectCheck, ...] = (
    its_attempt_gives_one_item_for_each,
    its_attempts_keep_the_order,
    its_attempts_may_be_cancelled,
    its_attempts_may_overlap,
    it_may_be_closed_unused,
)


def _made(example: Example, place: Path) -> Destination[Any]:
    return example.plugin(settings_of(example.plugin, example.table(place)), "crm")


def _delivery(example: Example, number: int) -> Delivery:
    return delivery(number, msgspec.json.encode(example.payload(number)))


def _batches(example: Example, place: Path) -> Iterator[list[Delivery]]:
    """Yield the smallest batch, a small one and the largest one, none of them sorted."""
    most = _made(example, place).bounds().batch
    for size in sorted({1, min(3, most), most}):
        yield [_delivery(example, number) for number in range(size, 0, -1)]


def _request(destination: Destination[Any], batch: Sequence[Delivery]) -> Request:
    assert isinstance(destination, Translator)
    return destination.request(batch, AT)


def _text(request: Request) -> str:
    return "\n".join([request.url, *(f"{name}: {value}" for name, value in request.headers), request.body.decode()])


def _check_field(field: Field) -> None:
    assert field.label
    if field.choices and isinstance(field.default, dict) and "value" in field.default:
        assert field.default["value"] in field.choices


def _check_items(items: Sequence[Item] | None, batch: Sequence[Delivery]) -> None:
    if items is not None:
        assert len(items) == len(batch)
        assert all(isinstance(item, Item) and isinstance(item.verdict, Verdict) for item in items)
        assert all(re.fullmatch(r"[a-z0-9_]*", item.reason) for item in items)
