"""Headless Chromium, by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/): what the tests need."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from stack import die_with_parent
from support.wait import until

TIMEOUT = 30.0
SEEN = 'return typeof seen === "function" ? seen() : document.body.innerText.slice(0, 2000)'
"""What a page shows of itself when it is waited for in vain."""
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-breakpad",
    # A shared memory of 64 MiB, as containers have it, is too small.
    "--disable-dev-shm-usage",
    # Pages that are not in front run as fast as others: the tests have several at once.
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--no-proxy-server",
    "--remote-debugging-port=0",
)


class PageError(AssertionError):
    """What was thrown in a page, or what it waited for in vain."""


class Browser:
    """A Chromium of the tests' own, with a profile of its own below `folder`."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("chromium")
        if program is None:
            raise RuntimeError("chromium is missing; install Debian's package chromium, or run scripts/test")
        self._profile = folder / "chromium"
        self._log = (folder / "chromium.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, die_with_parent.__file__, str(os.getpid()), program, *FLAGS,
             f"--user-data-dir={self._profile}", "about:blank"],
            stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL, start_new_session=True)
        self._ids = itertools.count(1)
        self._events: list[dict[str, Any]] = []
        self._closed: list[Page] = []
        try:
            self._socket = self._connect()
        except BaseException:
            self.stop()
            raise

    def _connect(self) -> ClientConnection:
        port_file = self._profile / "DevToolsActivePort"

        def address() -> list[str] | None:
            if self._process.poll() is not None:
                raise RuntimeError(f"chromium ended at its start; see {self._log.name}")
            lines = port_file.read_text().splitlines() if port_file.exists() else []
            return lines if len(lines) == 2 else None

        port, path = until(address, "chromium's DevTools", 60)
        # Entered, not used as a plain call: some versions of websockets connect only then.
        return connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None, ping_interval=None).__enter__()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends it with all of its processes."""
        with contextlib.suppress(AttributeError, OSError, WebSocketException, subprocess.TimeoutExpired):
            self.call("Browser.close", timeout=5)
            self._process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self._log.close()

    def call(self, method: str, session: str | None = None, timeout: float = TIMEOUT, **parameters: Any) -> dict[str, Any]:
        """A command's result."""
        id = next(self._ids)
        command = {"id": id, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        self._socket.send(json.dumps(command))
        deadline = time.monotonic() + timeout
        while True:
            answer = json.loads(self._socket.recv(timeout=max(0.01, deadline - time.monotonic())))
            if answer.get("id") == id:
                if "error" in answer:
                    raise PageError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            if "method" in answer:
                self._events.append(answer)

    def events(self, session: str, *methods: str) -> list[dict[str, Any]]:
        """What a page was told of so far, of these kinds."""
        return [event["params"] for event in self._events
                if event.get("sessionId") == session and event["method"] in methods]

    def forget(self, session: str) -> None:
        """Forgets what a page was told of."""
        self._events = [event for event in self._events if event.get("sessionId") != session]

    def page(self, url: str, *, is_new: bool = False) -> Page:
        """A page that shares nothing with others. It may be one that was closed, for a new one takes up to a second; then
        it remembers answers to preflights."""
        page = self._closed.pop() if self._closed and not is_new else self._new_page()
        page.go(url)
        return page

    def take_back(self, page: Page) -> None:
        """Keeps a page that is not used any more, and has stored nothing."""
        self._closed.append(page)

    def _new_page(self) -> Page:
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, context, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable", session)
        return page


class Page:
    """One tab."""

    def __init__(self, browser: Browser, context: str, session: str) -> None:
        self._browser, self._context, self._session = browser, context, session

    def go(self, url: str) -> None:
        """Loads a page, until its scripts have run."""
        self._browser.call("Page.navigate", self._session, url=url)
        until(lambda: self._evaluate("document.readyState") == "complete" and self._evaluate("location.href") == url,
              f"{url} to be loaded")

    def _evaluate(self, expression: str, timeout: float = TIMEOUT) -> Any:
        answer = self._browser.call("Runtime.evaluate", self._session, timeout, expression=expression, awaitPromise=True,
                                    returnByValue=True)
        if "exceptionDetails" in answer:
            thrown = answer["exceptionDetails"]
            raise PageError(thrown.get("exception", {}).get("description") or json.dumps(thrown)[:2000])
        return answer["result"].get("value")

    def run(self, code: str, timeout: float = TIMEOUT, **values: Any) -> Any:
        """Runs the body of an async function that has `values`; what it returns."""
        names = ", ".join(values)
        arguments = ", ".join(json.dumps(value) for value in values.values())
        return self._evaluate(f"(async ({names}) => {{ {code} }})({arguments})", timeout)

    def wait(self, condition: str, timeout: float = TIMEOUT, **values: Any) -> Any:
        """The first true value of an expression."""
        try:
            return until(lambda: self.run(f"return {condition}", **values), condition, timeout)
        except TimeoutError as error:
            raise PageError(f"{error}; the page has {self.run(SEEN)}, and says {self.said()}") from None

    def said(self) -> list[str]:
        """What it wrote to its console, and what was thrown and not caught."""
        lines = [" ".join(str(part.get("value", part.get("description"))) for part in event["args"])
                 for event in self._browser.events(self._session, "Runtime.consoleAPICalled")]
        return lines + self.thrown()

    def thrown(self) -> list[str]:
        """What was thrown and not caught."""
        return [event["exceptionDetails"].get("exception", {}).get("description", "?")
                for event in self._browser.events(self._session, "Runtime.exceptionThrown")]

    def requests(self) -> list[tuple[str, str]]:
        """Method and address of each HTTP request that it made."""
        return [(event["request"]["method"], event["request"]["url"])
                for event in self._browser.events(self._session, "Network.requestWillBeSent")]

    def log(self) -> list[str]:
        """What the browser says of it."""
        return [event["entry"]["text"] for event in self._browser.events(self._session, "Log.entryAdded")]

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools for this page alone."""
        return self._browser.call(method, self._session, **parameters)

    def dispose(self) -> None:
        """Ends it with all that it has stored."""
        self._browser.forget(self._session)
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)

    def close(self) -> None:
        """Ends what runs in it, with its connections."""
        has_stored = self.run("return localStorage.length + sessionStorage.length + (await indexedDB.databases()).length")
        self.go("about:blank")
        self._browser.forget(self._session)
        if has_stored:
            self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)
        else:
            self._browser.take_back(self)
