from __future__ import annotations

import http.client
import re
import signal
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from tests.support.child import Child, command

EVENT = {"type": "track", "event": "Demo Requested", "userId": "u9", "properties": {"company": "Us", "seats": 12}}
FATES = """\
received  acked  blocked  filtered  delivered  archived  pending
     418    418        3       409        831         2        0
"""


@pytest.fixture
def demo(tmp_path) -> Iterator[type[Child]]:
    """Return what starts a demo in an empty folder; it is gone when the test is."""
    children: list[Child] = []

    def start(*options: str) -> Child:
        children.append(Child(["demo", *options], tmp_path))
        return children[-1]

    yield start  # type: ignore[misc]
    for child in children:
        child.kill()


def test_it_runs_from_an_empty_folder_to_balanced_books(tmp_path):
    done = command(["demo", "--speed", "400/s"], tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\nevery event has a fate, and the books balance\n")
    assert FATES in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_retry_and_archive_are_to_be_seen(tmp_path):
    out = command(["demo", "--speed", "1000/s"], tmp_path).stdout

    answers = re.search(r"the webhooks answered (.*)", out)
    assert answers is not None
    assert [answer.split(" x ")[1] for answer in answers[1].split(", ")] == ["200", "400", "429", "503"]


def test_kept_it_goes_on_with_what_it_says_to_try(demo):
    child = demo("--keep", "--speed", "1000/s")
    invitation = [child.until(words) for words in ("/v1/track", "headrace send", "/api/v1/status", "tail -f")]
    receiver = re.search(r"http://([0-9.:]+)/v1/track -u (\S+):", invitation[0])
    console = re.search(r"http://([0-9.:]+)/api/v1/status", invitation[2])
    assert receiver is not None
    assert console is not None

    with closing(http.client.HTTPConnection(receiver[1], timeout=5)) as posting:
        posting.request("POST", "/v1/track", msgspec.json.encode(EVENT | {"writeKey": receiver[2]}))
        assert posting.getresponse().read().startswith(b'{"success":true')
    with closing(http.client.HTTPConnection(console[1], timeout=5)) as asking:
        asking.request("GET", "/api/v1/status")
        assert msgspec.json.decode(asking.getresponse().read())["last"] == 418

    child.signal(signal.SIGINT)
    assert (child.wait(), child.errors()) == (0, "")


def test_interrupted_it_ends_quietly(demo):
    child = demo("--speed", "5/s")
    child.until("a morning in a small shop")

    child.signal(signal.SIGINT)
    assert (child.wait(), child.errors()) == (130, "")
