from __future__ import annotations

import socket

import pytest
import trio

from engine.runtime.at_once import write_at_once


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield trio.SocketStream(trio.socket.from_stdlib_socket(ours)), theirs
    theirs.close()
    ours.close()


async def test_what_the_kernel_takes_is_written_without_a_checkpoint(pair) -> None:
    stream, theirs = pair
    with trio.testing.assert_no_checkpoints():
        assert write_at_once(stream, b"hello") == 5

    assert theirs.recv(10) == b"hello"


async def test_a_full_socket_takes_a_part_and_then_nothing(pair) -> None:
    stream, _ = pair
    much = b"x" * (1 << 24)
    first = write_at_once(stream, much)

    assert 0 < first < len(much)
    assert write_at_once(stream, much) == 0


async def test_a_peer_that_went_and_a_stream_that_cannot_take_nothing(pair) -> None:
    stream, theirs = pair
    theirs.close()
    assert write_at_once(stream, b"hello") == 0
    await stream.aclose()
    assert write_at_once(stream, b"hello") == 0
    assert write_at_once(trio.testing.memory_stream_pair()[0], b"hello") == 0


async def test_after_the_end_of_sending_nothing_is_written(pair) -> None:
    stream, _ = pair
    await stream.send_eof()

    assert write_at_once(stream, b"hello") == 0
