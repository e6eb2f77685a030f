from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.config.schema import Config, Console, Source
from engine.config.secrets import Secrets, Unresolved, redacted
from engine.plugin import Secret


def secrets(folder: Path, **env: str) -> Secrets:
    return Secrets(env, folder, Path.read_bytes)


def test_a_secret_is_plain_or_in_the_environment_or_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"from file\r\n")
    given = secrets(tmp_path, KEY="from env")

    assert [str(given.resolve(text)) for text in ("plain", "env:KEY", "file:key", f"file:{tmp_path}/key")] == [
        "plain",
        "from env",
        "from file",
        "from file",
    ]


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("", "an empty secret protects nothing", 'write "env:NAME" or "file:/path"'),
        ("env:GONE", "GONE is not set", "export GONE=…"),
        ("env:VOID", "VOID is empty", "export VOID=…"),
        ("env:", 'no name after "env:"', "export NAME=…"),
        ("file:gone", "cannot read gone: No such file or directory", "check the path and who may read it"),
        ("file:void", "void is empty", "write the secret to it as one line"),
        ("file:bytes", "bytes does not hold UTF-8 text", "write the secret to it as one line"),
        ("file:nul\0", "nul\0 is not a path", "check the path and who may read it"),
    ],
)
def test_a_secret_that_cannot_be_had_says_why(tmp_path: Path, text: str, what: str, hint: str) -> None:
    (tmp_path / "void").write_bytes(b"\n")
    (tmp_path / "bytes").write_bytes(b"\xff")

    with pytest.raises(Unresolved) as caught:
        secrets(tmp_path, VOID="").resolve(text)

    assert (caught.value.what, caught.value.hint) == (what, hint)


@pytest.mark.parametrize("text", ["plain", "env:GONE", "file:gone"])
def test_without_an_environment_nothing_is_looked_up(tmp_path: Path, text: str) -> None:
    assert str(Secrets(None, tmp_path, Path.read_bytes).resolve(text)) == "***"


def test_no_secret_is_printed(tmp_path: Path) -> None:
    config = Config(
        console=Console(token=Secret("hush")),
        sources={"shop": Source(write_keys=(Secret("hush"),))},
    )
    shown = redacted(config)

    assert "hush" not in repr((config, shown, secrets(tmp_path, KEY="hush")))
    assert shown["console"] == {"listen": "127.0.0.1:8322", "token": "***", "setup": True}
    assert shown["sources"]["shop"]["write_keys"] == ["***"]
    assert shown["store"]["retention"] == {"age": "3d", "size": "20 GiB"}
    assert b"hush" not in msgspec.json.encode(shown)
