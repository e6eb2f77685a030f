from __future__ import annotations

import tomllib

import pytest

from engine.config.draft import Draft, DraftType, written
from engine.errors import HeadraceError

DRAFT = Draft(source="shop", write_key="env:K", destination="crm", type="log", sync="orders")


def test_names_and_values_that_need_quotes_get_them() -> None:
    draft = Draft(
        source="my shop",
        write_key='a"b',
        destination="crm.eu",
        type="webhook",
        settings={"url": "https://x.example/ü", "headers": {"X Y": "env:Z"}, "batch": 5, "flag": True},
        sync="all",
        event_types=(DraftType(filter='event = "it\'s"', mapping={"a.b": {"value": ["x", 1]}, "tab": "a\tb"}),),
    )

    assert tomllib.loads(written("", draft)) == {
        "sources": {"my shop": {"write_keys": ['a"b']}},
        "destinations": {
            "crm.eu": {
                "type": "webhook",
                "url": "https://x.example/ü",
                "headers": {"X Y": "env:Z"},
                "batch": 5,
                "flag": True,
            }
        },
        "syncs": {
            "all": {
                "source": "my shop",
                "destination": "crm.eu",
                "event_types": [
                    {
                        "type": "custom",
                        "filter": 'event = "it\'s"',
                        "mapping": {"a.b": {"value": ["x", 1]}, "tab": "a\tb"},
                    }
                ],
            }
        },
    }


def test_comments_order_and_blank_lines_stay() -> None:
    text = '# ours\n\n[sources.shop] # the shop\nwrite_keys = [ "k" ]\n\n\n[store]\npath   = "x" # odd\n'

    assert written(text, DRAFT) == text + (
        '\n[destinations.crm]\ntype = "log"\n\n[syncs.orders]\nsource = "shop"\ndestination = "crm"\n'
        '[[syncs.orders.event_types]]\ntype = "custom"\n'
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "syncs = { orders = { source = 'shop' } }\n",
            "there is a sync 'orders' already\n    give this one another name",
        ),
        (
            "a = \n",
            "config.toml cannot be read: Unexpected character: '\\n' at line 1 col 4\n    headrace check says where",
        ),
        (
            "sources = { shop = { write_keys = ['k'] } }\ndestinations = {}\n",
            (
                'the new tables do not go with what is there: Key "destinations" already exists. at line 7 col 0\n'
                "    write them by hand"
            ),
        ),
    ],
)
def test_what_does_not_fit_is_refused(text: str, error: str) -> None:
    with pytest.raises(HeadraceError) as raised:
        written(text, DRAFT)
    assert str(raised.value) == error
