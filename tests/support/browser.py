"""A real headless Chromium, driven over its DevTools protocol (https://chromedevtools.github.io/devtools-protocol/)."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import aiohttp
import pytest

_CHANGED = "net::ERR_NETWORK_CHANGED"
_MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}
_CODES = {"Enter": 13, "Escape": 27, "Space": 32, "Tab": 9, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36} | {
    f"Arrow{name}": code for name, code in (("Left", 37), ("Up", 38), ("Right", 39), ("Down", 40))
}


def chromium() -> str:
    """The path of Chromium; skips the test by name if it is not installed."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("chromium is not installed (deploy/peers.sh does it as root on Debian)")
    return path


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = iter(range(1, 1 << 30))
        self.errors: list[str] = []
        """Console errors, uncaught exceptions, and failed loads."""
        self._stand_ins: list[tuple[str, Callable[[str, str, str], tuple[int, str, str]]]] = []
        self._replies: list[asyncio.Task[None]] = []
        self.asked: list[str] = []
        """The URLs that were requested."""

    async def listen(self) -> None:
        async for message in self._socket:
            frame = json.loads(message.data)
            if "id" in frame:
                self._answers.pop(frame["id"]).set_result(frame)
            else:
                self._note(frame["method"], frame.get("params", {}))

    def _note(self, method: str, event: dict[str, Any]) -> None:
        if method == "Runtime.consoleAPICalled" and event["type"] in ("error", "assert"):
            words = " ".join(str(a.get("value", a.get("description", ""))) for a in event["args"])
            self.errors.append(words)
        elif method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and event["entry"]["level"] == "error":
            self.errors.append(f"{event['entry']['text']} {event['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.asked.append(event["request"]["url"])
        elif method == "Fetch.requestPaused":
            self._replies.append(asyncio.create_task(self._reply(event)))

    async def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command; returns its result."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        reply = await asyncio.wait_for(answer, 30.0)
        assert "error" not in reply, reply
        result: dict[str, Any] = reply["result"]
        return result

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript, awaited."""
        got = await self.do("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in got, got
        return got["result"].get("value")

    async def until(self, expression: str, seconds: float = 20.0) -> Any:
        """The value of an expression as soon as it is true. An expression that reads a missing element is not true
        yet."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while loop.time() < deadline:
            try:
                if value := await self.evaluate(expression):
                    return value
            except AssertionError as error:
                if not any(words in str(error) for words in ("properties of null", "properties of undefined")):
                    raise
            await asyncio.sleep(0.05)
        shown = await self.evaluate("document.body.innerText.slice(0, 2000)")
        raise AssertionError(f"never true: {expression}\nerrors: {self.errors[-10:]}\npage: {shown}")

    async def open(self, url: str) -> None:
        """Open a URL; repeated if the machine's network changes meanwhile: containers of other tests come and go, and
        Chromium then cancels its requests."""
        for _ in range(5):
            await self.do("Page.navigate", url=url)
            await self.until("document.readyState === 'complete'")
            await asyncio.sleep(0.1)  # the requests of the page's modules
            if not any(_CHANGED in error for error in self.errors):
                return
            self.errors.clear()

    async def reload(self) -> None:
        await self.evaluate("window.before = true")
        await self.do("Page.reload")
        await self.until("!window.before && document.readyState === 'complete'")

    async def type(self, selector: str, text: str) -> None:
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.do("Input.insertText", text=text)

    async def press(self, *keys: str) -> None:
        """Press keys one after another, with their default actions: "a", "Enter", "Shift+ArrowDown"."""
        for key in keys:
            *modifiers, name = key.split("+") if len(key) > 1 else [key]
            typed = {"Enter": "\r", "Space": " "}.get(name, name if len(name) == 1 else "")
            shown = " " if name == "Space" else name
            about = {"key": shown, "code": name, "modifiers": sum(_MODIFIERS[modifier] for modifier in modifiers)}
            about["windowsVirtualKeyCode"] = _CODES.get(name, ord(name[0].upper()) if len(name) == 1 else 0)
            await self.do("Input.dispatchKeyEvent", type="keyDown", **about, **({"text": typed} if typed else {}))
            await self.do("Input.dispatchKeyEvent", type="keyUp", **about)

    async def middle(self, selector: str) -> tuple[float, float]:
        """The middle of an element, once it exists."""
        box = await self.until(
            f"(e => e && (b => b.width && [b.x + b.width / 2, b.y + b.height / 2])(e.getBoundingClientRect()))"
            f"(document.querySelector({json.dumps(selector)}))"
        )
        return box[0], box[1]

    async def click(self, selector: str, *, button: str = "left", count: int = 1) -> None:
        """Click the middle of an element with the mouse."""
        x, y = await self.middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            await self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, clickCount=count)

    async def press_button(self, words: str, of: str = "button") -> None:
        """Click the control with this text, as a screen reader does."""
        await self.until(
            f"(e => e && (e.click(), true))([...document.querySelectorAll({json.dumps(of)})]"
            f".find(e => e.textContent === {json.dumps(words)}))"
        )

    async def drag(self, selector: str, by: tuple[float, float], steps: int = 6) -> None:
        """Drag the mouse over an element."""
        x, y = await self.middle(selector)
        await self.do("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1)
        for step in range(1, steps + 1):
            at = {"x": x + by[0] * step / steps, "y": y + by[1] * step / steps}
            await self.do("Input.dispatchMouseEvent", type="mouseMoved", button="left", buttons=1, **at)
        await self.do("Input.dispatchMouseEvent", type="mouseReleased", button="left", clickCount=1, **at)

    async def wheel(self, selector: str, down: float) -> None:
        x, y = await self.middle(selector)
        await self.do("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=down)

    async def tap(self, selector: str) -> None:
        """Tap an element with a finger."""
        x, y = await self.middle(selector)
        await self.do("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        await self.do("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    async def swipe(self, selector: str, down: float, steps: int = 8) -> None:
        """Swipe over an element with a finger."""
        x, y = await self.middle(selector)
        await self.do("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        for step in range(1, steps + 1):
            points = [{"x": x, "y": y + down * step / steps}]
            await self.do("Input.dispatchTouchEvent", type="touchMove", touchPoints=points)
        await self.do("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        await asyncio.sleep(0.4)  # the browser would treat an immediate tap as part of the swipe

    async def theme(self, name: str) -> None:
        """Set the system's colour scheme: "light" or "dark"."""
        await self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    async def downloads(self, folder: Path) -> None:
        """Save downloads in a folder."""
        await self.do("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    async def stand_in(self, pattern: str, reply: Callable[[str, str, str], tuple[int, str, str]]) -> None:
        """Answer requests of a URL pattern in place of the archive, with the result of `reply(method, url, body)`:
        status, type and body."""
        self._stand_ins.append((pattern, reply))
        await self.do("Fetch.enable", patterns=[{"urlPattern": known} for known, _ in self._stand_ins])

    async def _reply(self, event: dict[str, Any]) -> None:
        request = event["request"]
        for pattern, reply in self._stand_ins:
            if fnmatch(request["url"], pattern):
                status, media_type, body = reply(request["method"], request["url"], request.get("postData", ""))
                await self.do(
                    "Fetch.fulfillRequest",
                    requestId=event["requestId"],
                    responseCode=status,
                    responseHeaders=[{"name": "Content-Type", "value": media_type}],
                    body=base64.b64encode(body.encode()).decode(),
                )
                return
        await self.do("Fetch.continueRequest", requestId=event["requestId"])

    async def choose_files(self, selector: str, files: Sequence[Path]) -> None:
        """Put files into an input, as if chosen."""
        root = (await self.do("DOM.getDocument"))["root"]["nodeId"]
        node = (await self.do("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]
        await self.do("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    async def size(self, width: int, height: int, *, phone: bool = False) -> None:
        await self.do(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )
        await self.do("Emulation.setTouchEmulationEnabled", enabled=phone, maxTouchPoints=5 if phone else 1)

    async def screenshot(self, path: Path) -> bytes:
        """A PNG of the visible page."""
        image = base64.b64decode((await self.do("Page.captureScreenshot", format="png"))["data"])
        path.write_bytes(image)
        return image


@asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """A tab in a new browser with an empty profile."""
    with tempfile.TemporaryDirectory(prefix="gantry-browser-", ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            chromium(),
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-extensions"),
            *("--enable-unsafe-swiftshader", "--window-size=1280,800", "--remote-debugging-port=0"),
            *(f"--user-data-dir={folder}", "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with aiohttp.ClientSession() as session:
                port = await _port(Path(folder) / "DevToolsActivePort")
                async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                    tabs = await response.json(content_type=None)
                url = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    page = Page(socket)
                    listening = asyncio.create_task(page.listen())
                    for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
                        await page.do(f"{domain}.enable")
                    yield page
                    listening.cancel()
        finally:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _port(file: Path) -> int:
    for _ in range(400):
        if file.exists() and file.read_text().strip():
            return int(file.read_text().split()[0])
        await asyncio.sleep(0.05)
    raise AssertionError("the browser does not start")
