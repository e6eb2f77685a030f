from __future__ import annotations

import pytest

from engine.plugin import Item, Verdict
from plugins.destinations.log import Log
from tests.support.deliveries import delivery, made


@pytest.mark.parametrize("stream", ["stderr", "stdout"])
async def test_each_delivery_is_a_line_on_the_stream(capsys, stream):
    items = await made(Log, stream=stream).send([delivery(1, b'{"name":"J\xc3\xb6rg"}'), delivery(2)])

    assert items == [Item(verdict=Verdict.DELIVERED)] * 2
    assert getattr(capsys.readouterr(), "err" if stream == "stderr" else "out") == (
        '{"key":"00000000000000000000000000000001","sync":"orders","event_type":"purchase","message_id":"m1",'
        '"payload":{"name":"Jörg"}}\n'
        '{"key":"00000000000000000000000000000002","sync":"orders","event_type":"purchase","message_id":"m2",'
        '"payload":{"n":2}}\n'
    )


async def test_the_stream_is_stderr_unless_told(capsys):
    await made(Log).send([delivery(1)])

    assert capsys.readouterr().out == ""


async def test_a_stream_that_is_gone_fails_the_batch(monkeypatch, tmp_path):
    with (tmp_path / "closed").open("w") as stream:
        pass
    monkeypatch.setattr("sys.stdout", stream)

    with pytest.raises(ValueError, match=r"^I/O operation on closed file"):
        await made(Log, stream="stdout").send([delivery(1)])
