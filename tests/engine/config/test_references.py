from __future__ import annotations

from collections.abc import Callable

import pytest

SHOP = '[sources.shop]\nwrite_keys = ["one"]\n'
WEB = '[sources.web]\nwrite_keys = ["two"]\n'


@pytest.mark.parametrize(
    ("config", "problems"),
    [
        (
            '[sources.shop]\nwrite_keys = ["k"]\ncontract = "shop"\nfunctions = ["f"]\n',
            (
                "config.toml:3: sources.shop.contract: there is no contract 'shop'\n      add [contracts.shop]\n"
                "  config.toml:4: sources.shop.functions[0]: there is no function 'f'\n      add [functions.f]"
            ),
        ),
        (
            SHOP + '[syncs.s]\nsource = "shpo"\ndestination = "web hook"\nevent_types = [{}]\n',
            (
                "config.toml:4: syncs.s.source: there is no source 'shpo'\n      did you mean 'shop'?\n"
                "  config.toml:5: syncs.s.destination: there is no destination 'web hook'\n"
                "      add [destinations['web hook']]"
            ),
        ),
        (
            SHOP + WEB + '[[cases]]\nname = "a"\nevent = {}\nexpect = [{ sync = "x" }]\n',
            (
                "config.toml:5: cases[0]: several sources: which one does the event come by?\n"
                "      add source = … (one of: shop, web)\n"
                "  config.toml:8: cases[0].expect[0].sync: there is no sync 'x'\n      add [syncs.x]"
            ),
        ),
        (
            SHOP + '[sources.web]\nwrite_keys = ["two", "env:KEY"]\n',
            (
                "config.toml:4: sources.web.write_keys[1]: the same write key as sources.shop.write_keys[0]\n"
                "      give each source its own"
            ),
        ),
        (
            '[console]\nlisten = "0.0.0.0:8322"\n',
            (
                "config.toml:2: console.listen: 0.0.0.0:8322 is open to others, and there is no token\n"
                '      add token = "env:NAME", or listen on 127.0.0.1'
            ),
        ),
        (
            '[console]\nlisten = "127.0.0.1:8321"\n',
            (
                "config.toml:2: console.listen: 127.0.0.1:8321 is the receiver's address too\n"
                "      give each a port of its own"
            ),
        ),
        (
            '[functions.f]\nfile = "f.py"\n',
            "config.toml:2: functions.f.file: there is no file f.py\n      check file; it is relative to config.toml",
        ),
        (
            '[sources.""]\nwrite_keys = ["k"]\n',
            "config.toml:1: sources['']: a name must not be empty\n      write [sources.NAME]",
        ),
    ],
)
def test_what_does_not_fit_together_is_told(told: Callable[..., str], config: str, problems: str) -> None:
    count = problems.count("config.toml:")

    assert told(config, {"KEY": "one"}) == f"config.toml: {count} problem{'s' * (count > 1)}\n  {problems}"


@pytest.mark.parametrize(
    "config",
    [
        '[console]\nlisten = "0.0.0.0:8322"\ntoken = "env:KEY"\n',
        '[receiver]\nlisten = "0.0.0.0:80"\n[console]\nlisten = "localhost:0"\n',
        '[receiver]\nlisten = "127.0.0.1:0"\n[console]\nlisten = "127.0.0.1:0"\n',
        SHOP + '[[cases]]\nname = "one source"\nevent = {}\n',
    ],
)
def test_what_fits_is_not_told(told: Callable[..., str], config: str) -> None:
    assert not told(config, {"KEY": "one"})
