"""Headless Chromium, driven by its DevTools protocol: one page, what it shows, and every error that it logs."""

from __future__ import annotations

import base64
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-port=0",
)
_LONGEST = 64 << 20


class ScriptFailed(Exception):
    """An expression raised."""


class Page:
    """One page of a browser."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self.errors: list[str] = []
        """Exceptions of scripts and what the browser logs as an error."""
        self._connection = connection
        self._numbers = count(1)
        self._answers: dict[int, tuple[trio.Event, list[dict[str, Any]]]] = {}

    async def listen(self) -> None:
        """Take answers and events until the browser is gone."""
        while True:
            try:
                message = msgspec.json.decode(await self._connection.get_message())
            except ConnectionClosed:
                return
            if "id" in message:
                event, place = self._answers.pop(message["id"])
                place.append(message)
                event.set()
            else:
                self._note(message["method"], message["params"])

    def _note(self, method: str, about: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
            self.errors.append(str(about["args"]))

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser for something."""
        number, event, place = next(self._numbers), trio.Event(), list[dict[str, Any]]()
        self._answers[number] = event, place
        words = {"id": number, "method": method, "params": parameters}
        await self._connection.send_message(msgspec.json.encode(words).decode())
        with trio.fail_after(30):
            await event.wait()
        if "error" in place[0]:
            raise ScriptFailed(f"{method}: {place[0]['error']}")
        answer: dict[str, Any] = place[0]["result"]
        return answer

    async def run(self, script: str) -> Any:
        """Return the value of an expression, awaited if it is a promise; raise ScriptFailed."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise ScriptFailed(answer["exceptionDetails"].get("exception", {}).get("description", script))
        return answer["result"].get("value")

    async def until(self, script: str, seconds: float = 10) -> float:
        """Wait until an expression is true; return how long that took; raise TooSlowError."""
        began = trio.current_time()
        with trio.fail_after(seconds):
            while not await self.run(script):  # noqa: ASYNC110  # a page has no events of ours
                await trio.sleep(0.02)
        return trio.current_time() - began

    async def look(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Set the size of the window, and whether the person prefers it dark."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", features=scheme)

    async def open(self, url: str) -> None:
        """Load a page."""
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def press(self, key: str) -> None:
        """Press a key."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = {"Enter": 13}.get(key, 0)
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=code)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def write(self, text: str) -> None:
        """Write into what has the focus."""
        await self.call("Input.insertText", text=text)

    async def shoot(self, path: Path, *, whole: bool = True) -> None:
        """Keep a picture: of the whole page, or of what is in the window."""
        answer = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        await trio.Path(path).write_bytes(base64.b64decode(answer["data"]))


@asynccontextmanager
async def open_page() -> AsyncIterator[Page]:
    """Start a browser for the length of the block."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        async with trio.open_nursery() as nursery:
            start = partial(trio.run_process, command, stderr=-3, stdout=-3, check=False)
            process: trio.Process = await nursery.start(start)
            try:
                port = await _port(Path(profile) / "DevToolsActivePort")
                async with httpx.AsyncClient() as client:
                    pages = (await client.get(f"http://127.0.0.1:{port}/json/list")).json()
                url = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
                async with open_websocket_url(url, max_message_size=_LONGEST) as connection:
                    page = Page(connection)
                    nursery.start_soon(page.listen)
                    for domain in ("Page", "Runtime", "Log"):
                        await page.call(f"{domain}.enable")
                    yield page
            finally:
                process.terminate()
                with trio.CancelScope(shield=True), trio.move_on_after(5):
                    await process.wait()
                nursery.cancel_scope.cancel()


async def _port(file: Path) -> int:
    path = trio.Path(file)
    with trio.fail_after(30):
        while not await path.exists() or "\n" not in await path.read_text():  # noqa: ASYNC110
            await trio.sleep(0.02)
    return int((await path.read_text()).split("\n")[0])
