"""Asking an engine that is there and does not answer, or something else that does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.cli.asking import Late, NotRunning, Refusal, ask


@pytest.fixture
def door() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def config(folder: Path, door: socket.socket) -> Path:
    file = folder / "config.toml"
    file.write_text(f'[console]\nlisten = "127.0.0.1:{door.getsockname()[1]}"\n')
    return file


def test_an_engine_that_takes_its_time_is_not_taken_for_none(door, tmp_path):
    with pytest.raises(Late) as caught:
        ask(config(tmp_path, door), "GET", "/replays", dict, patience=0.05)

    assert str(caught.value) == (
        f"the engine at 127.0.0.1:{door.getsockname()[1]} has not answered within 0.05 s\n"
        "    it may still do what it was asked: look before you ask again"
    )


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", NotRunning),
        (b"nothing that HTTP knows\r\n\r\n", NotRunning),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", NotRunning),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", Refusal),
    ],
)
def test_what_is_no_answer_is_told_as_one_line(door, tmp_path, answer, kind):
    def reply() -> None:
        connection, _ = door.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(answer)

    thread = threading.Thread(target=reply)
    thread.start()
    with pytest.raises(kind):
        ask(config(tmp_path, door), "GET", "/replays", dict)
    thread.join()
