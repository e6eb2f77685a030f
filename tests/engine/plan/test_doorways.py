from __future__ import annotations

import pytest

from engine.config.load import load
from engine.errors import ConfigError
from engine.plan import Doorway, compile_plan
from engine.plugin import Secret
from engine.registry import Registry
from plugins import BUILTIN
from plugins.sources.webhook import Webhook, WebhookSettings


def doorway_of(text: str) -> Doorway:
    source = f'[sources.shop]\nwrite_keys = ["k"]\n{text}\n'
    loaded = load("config.toml", env={"HUSH": "whisper"}, read_file=lambda _: source.encode())
    return compile_plan(loaded, Registry(BUILTIN, entry_points=False)).sources["shop"].doorway


def test_a_source_of_sdks_has_no_settings_of_its_own() -> None:
    assert doorway_of('origins = ["https://shop.example"]\nquota = "90/m"') == Doorway(
        origins=("https://shop.example",), quota=1.5
    )


def test_a_webhook_has_those_of_its_plugin() -> None:
    text = 'type = "webhook"\nevent = "type"\nsignature = "sha256"\nsecret = "env:HUSH"'

    assert doorway_of(text) == Doorway(
        kind=Webhook, settings=WebhookSettings(event="type", signature="sha256", secret=Secret("whisper"))
    )


UNKNOWN_KEY = "3: sources.shop.write_key: unknown key\n      did you mean 'write_keys'?"
UNKNOWN_TYPE = """\
3: sources.shop.type: there is no source type 'webhok'
      did you mean 'webhook'? (one of: file, http, posthog, webhook)"""
WRONG = "1: sources.shop: event: empty segment: a name is missing"
NO_ORIGIN = """\
3: sources.shop.origins[0]: 'https://shop.example/x' is no origin: scheme and host, no path
      write it as "https://shop.example\""""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('write_key = "k"', UNKNOWN_KEY),
        ('type = "webhok"', UNKNOWN_TYPE),
        ('type = "webhook"\nevent = "a..b"', WRONG),
        ('origins = ["https://shop.example/x"]', NO_ORIGIN),
    ],
    ids=["unknown key", "unknown type", "wrong setting", "no origin"],
)
def test_what_cannot_work_is_told(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        doorway_of(text)

    assert str(caught.value).startswith(f"config.toml: 1 problem\n  config.toml:{told}")
