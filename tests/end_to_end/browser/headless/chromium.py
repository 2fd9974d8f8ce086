"""A headless Chromium, spoken to in its own protocol over a pair of pipes: no driver, no port, no package.

https://chromedevtools.github.io/devtools-protocol; messages are JSON, each ended by a zero byte.
"""

import base64
import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SECONDS = 60.0
"""How long the browser may take for anything."""

FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-first-run",
    "--no-proxy-server",
)

KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39}


class BrowserError(AssertionError):
    """The browser refused a command, or a script in the page failed."""


class Chromium:
    """A browser with one tab."""

    def __init__(self, executable: str, profile: Path) -> None:
        from_browser, its_output = os.pipe()
        its_input, to_browser = os.pipe()
        # Above any number that the browser expects something under.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (its_input, its_output)]
        # The kernel's own sandbox cannot be had as root or in most containers, and only our own page is opened.
        command = [executable, *FLAGS, "--no-sandbox", f"--user-data-dir={profile}", "about:blank"]
        actions: list[Any] = [(os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate(ends, start=3)]
        actions += [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
        self._process = os.posix_spawn(executable, command, os.environ, file_actions=actions, setsid=True)
        for end in (*ends, its_input, its_output):
            os.close(end)
        self._reading, self._writing = from_browser, to_browser
        self._received = b""
        self._n_commands = 0
        self._session: str | None = None
        self._context: str | None = None
        self._events: list[dict[str, Any]] = []
        self.begin()

    def begin(self) -> None:
        """Go on in a tab that has nothing to do with the one before."""
        self._session = None
        if self._context is not None:
            self.command("Target.disposeBrowserContext", browserContextId=self._context)
        self._context = self.command("Target.createBrowserContext")["browserContextId"]
        target = self.command("Target.createTarget", url="about:blank", browserContextId=self._context)["targetId"]
        self._session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._events.clear()
        for domain in ("Page", "Runtime", "Log", "DOM", "Network", "Accessibility"):
            self.command(f"{domain}.enable")

    def close(self) -> None:
        self._session = None
        try:
            self.command("Browser.close")
        finally:
            os.close(self._writing)
            os.close(self._reading)
            self._reap()

    def _reap(self) -> None:
        deadline = time.monotonic() + SECONDS
        while os.waitpid(self._process, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.killpg(self._process, signal.SIGKILL)
                os.waitpid(self._process, 0)
                return
            time.sleep(0.02)

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._n_commands += 1
        message: dict[str, Any] = {"id": self._n_commands, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + SECONDS
        while True:
            answer = self._receive(deadline, method)
            if answer.get("id") != self._n_commands:
                self._events.append(answer)
                continue
            if "error" in answer:
                raise BrowserError(f"{method}: {answer['error']}")
            return dict(answer["result"])

    def _receive(self, deadline: float, awaited: str) -> dict[str, Any]:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._reading], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self._reading, 1 << 16) if ready else b""
            if not data:
                raise BrowserError(f"the browser did not answer {awaited}")
            self._received += data
        message, _, self._received = self._received.partition(b"\0")
        return dict(json.loads(message))

    def open(self, url: str) -> None:
        answer = self.command("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def look(self, *, width: int, height: int, scheme: str = "light", motion: str = "no-preference") -> None:
        """See the page on a screen of that size, in the `light` or `dark` scheme."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self.command("Emulation.setEmulatedMedia", features=features)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression, or the promise that it gives, comes to."""
        answer = self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait for an expression to be true."""
        deadline = time.monotonic() + SECONDS
        while not self.value(f"Boolean({expression})"):
            if time.monotonic() > deadline:
                seen = "\n".join([*self.complaints(), str(self.value("document.body.innerText"))])
                raise BrowserError(f"never came true: {expression}\n{seen}")
            time.sleep(0.03)

    def text(self, selector: str) -> str:
        return str(self.value(f"document.querySelector({json.dumps(selector)}).innerText"))

    def press(self, key: str, *, shift: bool = False) -> None:
        text = {"Enter": "\r", " ": " "}.get(key, key if len(key) == 1 else "")
        names: dict[str, Any] = {"key": key, "code": key, "modifiers": 8 if shift else 0}
        names["windowsVirtualKeyCode"] = KEYS.get(key, 0)
        self.command("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **names)
        self.command("Input.dispatchKeyEvent", type="keyUp", **names)

    def write(self, text: str) -> None:
        self.command("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        x, y = self.centre(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def centre(self, selector: str) -> tuple[float, float]:
        where = self.value(
            f"""(() => {{ const node = document.querySelector({json.dumps(selector)});
            node.scrollIntoView({{block: 'center', behavior: 'instant'}});
            const box = node.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"""
        )
        return float(where[0]), float(where[1])

    def choose(self, selector: str, *files: Path) -> None:
        """Give files to an input, as its dialogue would."""
        node = self.command("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        handle = node["result"]["objectId"]
        self.command("DOM.setFileInputFiles", files=[str(file) for file in files], objectId=handle)

    def drop(self, selector: str, *files: Path) -> None:
        """Drag files over an element and let them go."""
        x, y = self.centre(selector)
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.command("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def accessible(self) -> list[Mapping[str, Any]]:
        """What a screen reader is given: role, name and description of each element that it is told of."""
        nodes = self.command("Accessibility.getFullAXTree")["nodes"]
        fields = ("role", "name", "description", "value")
        return [
            {field: node.get(field, {}).get("value", "") for field in fields} for node in nodes if not node["ignored"]
        ]

    def picture(self, path: Path) -> None:
        """Write the whole page as PNG."""
        answer = self.command("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def complaints(self) -> list[str]:
        """What went wrong in the page: exceptions, console errors, breaches of its policy, failed requests."""
        self.value("0")
        found = []
        for event in self._events:
            parameters = event.get("params", {})
            match event.get("method"):
                case "Runtime.exceptionThrown":
                    found.append(str(parameters["exceptionDetails"]))
                case "Runtime.consoleAPICalled" if parameters["type"] in {"error", "warning", "assert"}:
                    found.append(str(parameters["args"]))
                case "Log.entryAdded" if parameters["entry"]["level"] in {"error", "warning"}:
                    found.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        return found

    def forget(self) -> None:
        """Do not count what went wrong so far."""
        self._events.clear()

    def requests(self) -> list[str]:
        """Addresses that the page asked for, `data:` and `blob:` ones left out."""
        sent = [event["params"] for event in self._events if event.get("method") == "Network.requestWillBeSent"]
        addresses = [parameters["request"]["url"] for parameters in sent]
        return [address for address in addresses if not address.startswith(("data:", "blob:"))]
