from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.errors import ConfigError
from engine.plan.setup import put_away, tried, typed
from engine.plan.suggest import form
from engine.plugin import Secret
from engine.registry import Registry
from engine.units import Size
from plugins import BUILTIN


class Login(msgspec.Struct):
    user: str
    password: Secret


class Settings(msgspec.Struct, kw_only=True):
    url: str
    size: Size = Size("1 MiB")
    many: int | None = None
    open: bool = False
    bearer: Secret | None = None
    login: Login | None = None
    headers: dict[str, Secret] = {}
    keys: tuple[Secret, ...] = ()
    script: tuple[int, ...] = ()


@pytest.mark.parametrize(
    ("texts", "settings"),
    [
        ({"url": " https://x "}, {"url": "https://x"}),
        ({"url": "5"}, {"url": "5"}),
        ({"url": '"https://x"'}, {"url": "https://x"}),
        ({"many": "5", "open": "true", "script": "[1, 2]"}, {"many": 5, "open": True, "script": [1, 2]}),
        ({"many": "five", "size": "5"}, {"many": "five", "size": "5"}),
        ({"url": "", "bearer": " "}, {}),
        ({"bearer": "12345"}, {"bearer": "12345"}),
        ({"rate": "5", "timeout": "5s"}, {"rate": 5, "timeout": "5s"}),
        ({"url": "http://localhost:1/"}, {"url": "http://localhost:1/", "allow_private": True}),
        ({"url": "http://127.0.0.1", "allow_private": "false"}, {"url": "http://127.0.0.1", "allow_private": False}),
        ({"url": "http://localhost.example"}, {"url": "http://localhost.example"}),
    ],
)
def test_what_is_typed_becomes_what_the_plugin_takes(texts, settings):
    assert typed(Settings, texts) == settings


@pytest.mark.parametrize(
    ("given", "settings", "files"),
    [
        ({"bearer": "s"}, {"bearer": "file:secrets/crm-bearer"}, {"secrets/crm-bearer": "s"}),
        ({"bearer": "env:S"}, {"bearer": "env:S"}, {}),
        ({"bearer": "file:/s"}, {"bearer": "file:/s"}, {}),
        ({"bearer": 5, "retry": {"window": "4h"}}, {"bearer": 5, "retry": {"window": "4h"}}, {}),
        (
            {"login": {"user": "u", "password": "s"}},
            {"login": {"user": "u", "password": "file:secrets/crm-login-password"}},
            {"secrets/crm-login-password": "s"},
        ),
        (
            {"headers": {"X-Key": "s", "../../up": "t"}},
            {"headers": {"X-Key": "file:secrets/crm-headers-X-Key", "../../up": "file:secrets/crm-headers-..-..-up"}},
            {"secrets/crm-headers-X-Key": "s", "secrets/crm-headers-..-..-up": "t"},
        ),
        ({"keys": ["s", "env:T"]}, {"keys": ["file:secrets/crm-keys-1", "env:T"]}, {"secrets/crm-keys-1": "s"}),
    ],
)  # fmt: skip
def test_a_secret_is_put_away_wherever_it_is(given, settings, files):
    away = put_away("crm", Settings, given)

    assert (away.settings, away.files) == (settings, files)


def test_a_form_says_what_hides_a_secret_and_how_tables_are_written():
    asked = {one.name: one for one in form(Settings)}

    assert {name for name, one in asked.items() if one.hides} == {"bearer", "login", "headers", "keys"}
    assert asked["login"].example == '{ user = "…", password = "env:NAME" }'
    assert asked["headers"].example == '{ Name = "env:NAME" }'


TEXT = """
[sources.shop]
write_keys = ["key"]
[destinations.crm]
type = "webhook"
url = "https://crm.example"
bearer = "file:secrets/crm-bearer"
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
mapping = { user = "userId" }
"""


def test_a_text_is_tried_with_its_secrets_before_either_is_written(tmp_path: Path):
    registry, config = Registry(BUILTIN), tmp_path / "config.toml"

    plan = tried(config, TEXT, {"secrets/crm-bearer": "s"}, registry, env={})

    assert (list(plan.syncs), list(tmp_path.iterdir())) == (["orders"], [])
    with pytest.raises(ConfigError) as caught:
        tried(config, TEXT, {}, registry, env={})
    assert "cannot read secrets/crm-bearer: No such file or directory" in str(caught.value)
