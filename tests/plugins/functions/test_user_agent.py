from __future__ import annotations

from typing import Any

import pytest

from engine.errors import SettingsError
from plugins.functions.user_agent import UserAgent, UserAgentSettings

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def parsed(event: dict[str, Any], **settings: Any) -> dict[str, Any]:
    [made] = UserAgent(UserAgentSettings(**settings), "ua").transform([event])
    return made


@pytest.mark.parametrize(
    ("text", "client"),
    [
        (
            IPHONE,
            {
                "browser": {"name": "Mobile Safari", "version": "17.4"},
                "os": {"name": "iOS", "version": "17.4"},
                "device": {"family": "iPhone", "brand": "Apple", "model": "iPhone"},
            },
        ),
        (FIREFOX, {"browser": {"name": "Firefox", "version": "128.0"}, "os": {"name": "Linux"}}),
        ("nobody's agent", {}),
        ("(" * 100_000, {}),
    ],
)
def test_what_sent_an_event_is_told(text: str, client: dict[str, Any]) -> None:
    assert parsed({"context": {"userAgent": text}}) == {"context": {"userAgent": text, "client": client}}


@pytest.mark.parametrize(
    "event",
    [{}, {"context": "x"}, {"context": {"userAgent": 5}}, {"context": {"userAgent": FIREFOX, "client": {"own": 1}}}],
)
def test_what_says_nothing_or_says_it_itself_stays_as_it_is(event: dict[str, Any]) -> None:
    assert parsed(dict(event)) == event


def test_other_fields_may_be_named() -> None:
    made = parsed({"properties": {"ua": FIREFOX}}, field="properties.ua", into="properties.by")

    assert made["properties"]["by"]["browser"] == {"name": "Firefox", "version": "128.0"}


def test_a_reference_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError) as raised:
        UserAgent(UserAgentSettings(into=""), "ua")
    [problem] = raised.value.problems
    assert problem.what == "'' is no reference to a field; write properties.email, for example"
