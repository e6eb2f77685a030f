from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config.load import Loaded, load, read
from engine.config.schema import Config, Retry
from engine.errors import ConfigError
from engine.plugin import Secret, Settings
from engine.units import Rate, Size

GOOD = """\
[receiver.limits]
event = "16 KiB"

[sources.shop]
write_keys = ["env:SHOP_WRITE_KEY", "file:key", "plain"]
contract = "shop"

[[contracts.shop.events]]
type = "track"
name = "Order Completed"
schema = { type = "object", properties = { sentAt = { const = 2025-01-31T12:00:00Z } } }

[destinations.crm]
type = "webhook"
url = "https://crm.example/hooks/orders"
bearer = "env:CRM_TOKEN"
rate = "50/s"
[destinations.crm.retry]
window = "1h"

[syncs.orders]
source = "shop"
destination = "crm"
start = 2025-01-31T12:00:00Z
[[syncs.orders.event_types]]
filter = 'event = "Order Completed"'
[syncs.orders.event_types.mapping]
total = "properties.total"

[[cases]]
name = "an order"
event = { type = "track" }
expect = [{ sync = "orders" }]
"""

SIX = """\
[sources.shop]
write_keys = ["env:SHOP_WRITE_KEY"]
contract = "shopp"

[[contracts.shop.events]]
type = "track"
name = "Order Completed"
schema = { type = "object" }

[destinations.crm]
type = "webhook"
timeout = "10 seconds"
concurrency = "four"

[syncs.orders]
source = "shop"
match = "frist"
[[syncs.orders.event_types]]
filtr = 'event = "Order Completed"'
"""


class WebhookSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str
    """Where to."""
    bearer: Secret | None = None
    """Token."""
    batch: int = 1


def test_a_configuration_is_read_into_structs(folder: Path) -> None:
    (folder / "config.toml").write_text(GOOD)
    (folder / "key").write_text("from file\n")
    loaded = load("config.toml", env={"SHOP_WRITE_KEY": "from env", "CRM_TOKEN": "hush"})
    config = loaded.config

    assert config.receiver.limits.event == Size("16 KiB")
    assert [str(key) for key in config.sources["shop"].write_keys] == ["from env", "from file", "plain"]
    assert config.contracts["shop"].events[0].schema["properties"] == {"sentAt": {"const": "2025-01-31T12:00:00Z"}}
    assert config.destinations["crm"].rate == Rate("50/s")
    assert config.destinations["crm"].retry == Retry(window=cast("Any", 3600.0))
    assert config.syncs["orders"].start.at == 1738324800.0
    assert config.syncs["orders"].event_types[0].mapping == {"total": "properties.total"}
    assert config.cases[0].expect[0].sync == "orders"
    assert (loaded.file, loaded.folder, loaded.text, loaded.problems) == ("config.toml", Path(), GOOD, ())


def test_an_empty_file_is_all_defaults(folder: Path) -> None:
    (folder / "config.toml").write_text("")

    assert load("config.toml", env={}).config == Config()


def test_six_mistakes_are_told_at_once_each_with_line_what_and_what_to_do(told: Callable[..., str]) -> None:
    assert (
        told(SIX, {})
        == """\
config.toml: 7 problems
  config.toml:2: sources.shop.write_keys[0]: SHOP_WRITE_KEY is not set
      export SHOP_WRITE_KEY=…
  config.toml:3: sources.shop.contract: there is no contract 'shopp'
      did you mean 'shop'?
  config.toml:12: destinations.crm.timeout: expected a number and one of ms s m h d, as in "5s", got text "10 seconds"
  config.toml:13: destinations.crm.concurrency: expected a whole number of at least 1, got text "four"
  config.toml:15: syncs.orders: missing key 'destination'
      add destination = "…"  # The name of a destination.
  config.toml:17: syncs.orders.match: expected "all" or "first", got text "frist"
      did you mean 'first'?
  config.toml:19: syncs.orders.event_types[0].filtr: unknown key
      did you mean 'filter'?"""
    )


def test_what_could_be_read_is_there_beside_the_problems(folder: Path) -> None:
    (folder / "config.toml").write_text(SIX.replace('source = "shop"', 'source = "shop"\ndestination = "crm"'))
    loaded = read("config.toml", env=None)

    assert [problem.where for problem in loaded.problems] == [
        "sources.shop.contract",
        "destinations.crm.timeout",
        "destinations.crm.concurrency",
        "syncs.orders.match",
        "syncs.orders.event_types[0].filtr",
    ]
    assert loaded.config.destinations["crm"].concurrency == 4
    assert len(loaded.config.syncs["orders"].event_types) == 1


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('a = "x', "config.toml:1: not valid TOML at the end of the file: unterminated string"),
        ("[a]\nb = 1\nb = 2\n", "config.toml:3: not valid TOML at column 6: cannot overwrite a value"),
        ("[a]\nb = [1,\n", "config.toml:3: not valid TOML at the end of the file: invalid value"),
    ],
)
def test_a_syntax_error_has_line_and_column(told: Callable[..., str], text: str, error: str) -> None:
    hint = "check quotes, brackets and commas on this line and the one before"

    assert told(text) == f"config.toml: 1 problem\n  {error}\n      {hint}"


def test_a_file_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load("config.toml", env={})

    assert str(caught.value) == (
        "config.toml: 1 problem\n  there is no file config.toml\n      name another with -c FILE"
    )


def test_a_file_that_is_not_text_is_told_with_its_line(folder: Path) -> None:
    (folder / "config.toml").write_bytes(b"# fine\n# \xff\n")

    with pytest.raises(ConfigError) as caught:
        load("config.toml", env={})

    assert str(caught.value) == "config.toml: 1 problem\n  config.toml:2: not UTF-8 text\n      save it as UTF-8"


def test_a_byte_order_mark_and_carriage_returns_do_no_harm(folder: Path) -> None:
    (folder / "config.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())

    assert load("config.toml", env=None).lines.where("syncs.orders.match") == ("config.toml", 21)


def test_no_error_shows_a_secret(told: Callable[..., str]) -> None:
    text = """\
[console]
token = ["hush"]
[sources.shop]
write_keys = "hush"
[sources.other]
write_keys = ["hush", 5, "hush"]
[sources.third]
write_keys = ["hush"]
"""
    problems = told(text, {})

    assert problems.count("hush") == 0
    assert (
        problems
        == """\
config.toml: 5 problems
  config.toml:2: console.token: expected text, got an array
  config.toml:4: sources.shop.write_keys: expected an array, got text
      put it in brackets: ["env:NAME"]
  config.toml:6: sources.other.write_keys[1]: expected text, got a number
  config.toml:6: sources.other.write_keys[2]: the same write key as sources.other.write_keys[0]
      give each source its own
  config.toml:8: sources.third.write_keys[0]: the same write key as sources.other.write_keys[0]
      give each source its own"""
    )
    assert "hush" not in told('[console]\ntoken = "hush\n')


def test_without_an_environment_no_secret_is_needed_and_none_is_there(folder: Path) -> None:
    (folder / "config.toml").write_text(GOOD)

    assert [str(key) for key in load("config.toml", env=None).config.sources["shop"].write_keys] == ["***"] * 3


def test_the_digest_is_that_of_the_texts_and_not_of_their_place(folder: Path) -> None:
    (folder / "config.toml").write_text('[functions.f]\nfile = "f.py"\n')
    (folder / "f.py").write_text("x = 1\n")
    first = load("config.toml", env={}).digest
    elsewhere = load(folder / "config.toml", env={}).digest
    (folder / "f.py").write_text("x = 2\n")

    assert first == elsewhere
    assert first != load("config.toml", env={}).digest


def test_a_plugin_s_settings_are_the_keys_that_are_not_every_destination_s(folder: Path) -> None:
    (folder / "config.toml").write_text(GOOD)
    (folder / "key").write_text("y")
    loaded = load("config.toml", env={"SHOP_WRITE_KEY": "x", "CRM_TOKEN": "hush"})
    made, problems = loaded.settings(WebhookSettings, "crm")
    hidden, _ = loaded.settings(WebhookSettings, "crm", hide=True)

    assert (made, problems) == (WebhookSettings(url="https://crm.example/hooks/orders", bearer=Secret("hush")), [])
    assert hidden == WebhookSettings(url="https://crm.example/hooks/orders", bearer=Secret("***"))
    assert "hush" not in repr((loaded, made))


def test_a_wrong_key_of_a_plugin_is_judged_with_both_lists(folder: Path) -> None:
    (folder / "config.toml").write_text(
        GOOD.replace("rate =", "rte =").replace("bearer =", "token =").replace("url", "batch")
    )
    made, problems = read("config.toml", env=None).settings(WebhookSettings, "crm")

    assert made is None
    assert "\n".join(map(str, problems)) == (
        "config.toml:16: destinations.crm.token: unknown key\n"
        "    one of: allow_private, batch, batch_keys, bearer, breaker, burst, concurrency, consent, integration, "
        "linger, rate, retry, timeout, type, url\n"
        "config.toml:17: destinations.crm.rte: unknown key\n"
        "    did you mean 'rate'?\n"
        "config.toml:13: destinations.crm: missing key 'url'\n"
        '    add url = "…"  # Where to.\n'
        "config.toml:15: destinations.crm.batch: expected a whole number, "
        'got text "https://crm.example/hooks/orders"'
    )


def toml(value: Any) -> str:
    """Write *value* as an inline TOML value."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    text = msgspec.json.encode(value).decode() if not isinstance(value, float) else repr(value)
    return text.replace("\x7f", "\\u007f")


def loaded_or_refused(read_file: Callable[[Path], bytes]) -> tuple[Loaded | None, ConfigError | None]:
    try:
        return load("nowhere/config.toml", env={}, read_file=read_file), None
    except ConfigError as error:
        return None, error


WORDS = st.sampled_from(
    [
        *Config.__struct_fields__,
        "shop",
        "crm",
        "path",
        "events",
        "type",
        "name",
        "schema",
        "track",
        "file",
        "write_keys",
        "source",
        "destination",
        "event_types",
        "mapping",
        "listen",
        "token",
        "start",
        "retry",
        "expect",
        "sync",
        "event",
        "env:X",
        "file:gone",
        "5s",
        "1/s",
        "first",
        "gone/*.toml",
        "*",
        "..",
        "**x",
        "/",
        "\x00",
        "",
    ]
)
PLAIN = WORDS | st.text(max_size=5) | st.booleans() | st.integers() | st.floats()
TREES = st.recursive(
    PLAIN,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), x, max_size=4),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(Config.__struct_fields__), TREES, max_size=5), st.data())
def test_whatever_is_written_is_read_or_refused_with_problems(tree: dict[str, Any], data: st.DataObject) -> None:
    text = "".join(f"{key} = {toml(value)}\n" for key, value in tree.items())
    cut = data.draw(st.integers(0, len(text)) | st.just(len(text)))
    config = (text[:cut] + data.draw(st.sampled_from(["", "\n", "[", "'"]))).encode(errors="replace")

    def read_file(path: Path) -> bytes:
        if path == Path("nowhere/config.toml"):
            return config
        return path.read_bytes()

    loaded, error = loaded_or_refused(read_file)
    if loaded:
        assert loaded.tables.keys() == tomllib.loads(config.decode()).keys() - {"include"}
    else:
        assert error
        assert all(problem.what for problem in error.problems)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40) | st.text(alphabet="[]{}=.\"'#\n ab1,\\", max_size=60).map(str.encode))
def test_bytes_of_any_kind_are_read_or_refused_with_problems(content: bytes) -> None:
    loaded, error = loaded_or_refused(lambda _: content)

    assert loaded or (error and error.problems)


def test_nesting_without_end_is_refused(told: Callable[..., str]) -> None:
    assert told("include = [" + "[" * 5000 + "]" * 5000 + "]").partition("\n")[2] == (
        "  config.toml: nested too deeply\n      use fewer levels"
    )
