"""A real Chromium without a window, driven over its DevTools protocol by our own WebSocket client."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
import trio

from engine.runtime.beside import Beside
from engine.runtime.http_server import Request, Response, Service, serve
from engine.runtime.websocket import Bounds, Closed, WebSocket, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
ALONE = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--remote-debugging-port=0",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
"""A browser that talks to nobody but the pages it is shown."""
KINDS = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript"}


def chromium() -> str:
    """Return the browser's path; skip the test if there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("Chromium is needed: none of " + ", ".join(NAMES) + " is here")
    return found


class Pages:
    """Serves files below some folders on 127.0.0.1: an origin of its own, as a shop's pages are.

    Args:
        folders: first part of a path to a folder.
    """

    def __init__(self, **folders: Path) -> None:
        self._folders = folders
        self.port = 0

    @property
    def origin(self) -> str:
        """Return scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, task_status: trio.TaskStatus[Pages] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled; ``nursery.start`` returns this once it listens."""
        service = Service(handler=self._answer, crashed=_raise)
        async with Beside() as nursery:
            self.port = await nursery.start(partial(serve, "127.0.0.1", 0, service, stop=trio.Event()))
            task_status.started(self)
            await trio.sleep_forever()

    async def _answer(self, request: Request) -> Response:
        _, first, *rest = request.path.split("/")
        path = self._folders.get(first, Path("/nowhere")).joinpath(*rest)
        if not path.is_file():
            return Response(status=404)
        kind = KINDS.get(path.suffix, "text/plain")
        return Response(status=200, headers=[("content-type", f"{kind}; charset=utf-8")], body=path.read_bytes())


class Browser:
    """One browser with one page; an async context manager.

    Args:
        profile: an empty folder.
    """

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._process: subprocess.Popen[str] | None = None
        self._beside = Beside()
        self._socket: WebSocket | None = None
        self._session = ""
        self._asked = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._moved = trio.Event()
        self.hosts: set[str] = set()
        """Every host that was asked for something."""
        self.errors: list[str] = []
        """What pages said is wrong."""

    async def __aenter__(self) -> Self:
        nursery = await self._beside.__aenter__()
        command = [chromium(), *ALONE, f"--user-data-dir={self._profile}", "about:blank"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)  # noqa: ASYNC220
        url = await trio.to_thread.run_sync(self._address)
        self._socket = await connect(url, nursery=nursery, bounds=Bounds(max_message=64 << 20, messages=4096))
        nursery.start_soon(self._listen)
        page = await self._ask("Target.createTarget", url="about:blank")
        session = await self._ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = session["sessionId"]
        for part in ("Page", "Runtime", "Network"):
            await self._ask(f"{part}.enable")
        return self

    async def __aexit__(self, *error: object) -> bool | None:
        assert self._process is not None
        if self._socket is not None:
            with trio.CancelScope(shield=True):
                await self._socket.close()
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        return await self._beside.__aexit__(*error)  # type: ignore[arg-type]

    async def show(self, url: str) -> None:
        """Load a page, and return when it and its scripts are there."""
        await self._ask("Page.navigate", url=url)
        await self.run(
            "new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))"
        )

    async def run(self, script: str) -> Any:
        """Return what *script* is in the page, or resolves to."""
        with trio.fail_after(30):
            said = await self._ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def _address(self) -> str:
        assert self._process is not None
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if line.startswith("DevTools listening on "):
                return line.split()[-1]
        raise AssertionError("the browser ended before it listened")

    async def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        assert self._socket is not None
        self._asked += 1
        number, session = self._asked, {"sessionId": self._session} if self._session else {}
        question = {"id": number, "method": method, "params": params, **session}
        await self._socket.send(msgspec.json.encode(question).decode())
        while number not in self._answers:
            await self._moved.wait()
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    async def _listen(self) -> None:
        assert self._socket is not None
        try:
            while True:
                said = msgspec.json.decode(await self._socket.receive())
                if "id" in said:
                    self._answers[said["id"]] = said
                    self._moved.set()
                    self._moved = trio.Event()
                else:
                    self._note(said["method"], said["params"])
        except Closed:
            return

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.hosts.add(params["request"]["url"].split("/")[2].partition(":")[0])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"].get("exception", params["exceptionDetails"])))


def _raise(error: Exception) -> None:
    raise error
