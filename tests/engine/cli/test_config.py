from __future__ import annotations

import json
import tomllib

from engine.config.describe import config_schema


def test_schema_prints_the_json_schema(headrace):
    said = headrace("config", "schema")

    assert (said.code, json.loads(said.out)) == (0, config_schema())


def test_show_fills_in_defaults_and_hides_secrets(headrace, shop):
    said = headrace("config", "show")
    shown = tomllib.loads(said.out)

    assert (said.code, said.err) == (0, "")
    assert shown["sources"]["shop"]["write_keys"] == ["***"]
    assert shown["receiver"]["limits"]["event"] == "32 KiB"
    assert shown["destinations"]["crm"]["bearer"] == "***"
    assert shown["destinations"]["crm"]["url"] == "https://crm.example/orders"
    assert shown["destinations"]["crm"]["retry"]["window"] == "4h"


def test_show_never_prints_a_secret_that_stands_in_the_file(headrace, shop):
    shop.write_text(shop.read_text().replace("env:SHOP_KEY", "plain-one").replace("env:CRM_TOKEN", "plain-two"))

    assert "plain" not in headrace("config", "show").out + headrace("config", "show", "--json").out


def test_text_and_json_show_the_same(headrace, shop):
    def without_nulls(value):
        if isinstance(value, dict):
            return {key: without_nulls(each) for key, each in value.items() if each is not None}
        return [without_nulls(each) for each in value] if isinstance(value, list) else value

    shown = json.loads(headrace("config", "show", "--json").out)

    assert tomllib.loads(headrace("config", "show").out) == without_nulls(shown)
