"""The console in a browser, as the tests use it: by what a person sees."""

from __future__ import annotations

import base64
from typing import Any

from support.devtools import Browser, Page
from support.wait import until

EYES = r"""
window.all = (selector, root = document) => [...(typeof root === "string" ? document.querySelector(root) : root)?.querySelectorAll(selector) ?? []];
window.isSeen = (one) => one.checkVisibility() && !one.classList.contains("hidden");
window.nameOf = (one) => (one.getAttribute("aria-label") ?? one.innerText ?? "").trim().split("\n")[0].trim();
window.control = (name, root) => all("button, a, summary, label", root ?? document).find((one) => nameOf(one) === name && isSeen(one) && !one.disabled);
window.field = (label, root) => all("label", root ?? document).filter((one) => one.textContent.trim() === label).map((one) => one.control).find(Boolean);
window.fill = (one, value) => {
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(one), "value").set.call(one, value);
  one.dispatchEvent(new Event(one.localName === "select" ? "change" : "input", { bubbles: true }));
};
window.text = (selector) => all(selector).map((one) => one.innerText.trim());
"""


class ConsolePage:
    """One tab with the console."""

    def __init__(self, browser: Browser, url: str, view: str, *, width: int = 1280, height: int = 800, is_dark: bool = False) -> None:
        self._browser, self.url = browser, url
        self.page: Page = browser.page("about:blank", is_new=True)
        self.look(width, height, is_dark)
        self.open(url)
        self.show(view)

    def open(self, url: str) -> None:
        """Loads the page by an address."""
        self.page.command("Page.navigate", url=url)
        until(lambda: self.page.run("return document.readyState === 'complete' && document.querySelector('main, [role=alert]') !== null"), "the page")
        self.page.run(EYES)

    def look(self, width: int, height: int, is_dark: bool = False) -> None:
        """Has a window of this size, and the system's colours."""
        self.page.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.page.command("Emulation.setEmulatedMedia", features=[scheme, {"name": "prefers-reduced-motion", "value": "reduce"}])

    def show(self, view: str) -> ConsolePage:
        """Goes to a view, as its link does."""
        self.page.run("location.hash = `#/${view}`", view=view)
        self.wait("all(`main.view-${name}`).length === 1 && all('main .loading').length === 0", name=view.split("/")[0])
        return self

    def run(self, code: str, **values: Any) -> Any:
        """Code in the page, with `values`."""
        return self.page.run(code, **values)

    def wait(self, condition: str, timeout: float = 20, **values: Any) -> Any:
        """Until an expression is true."""
        return self.page.wait(condition, timeout, **values)

    def click(self, name: str, within: str | None = None) -> None:
        """A button or link by its name, as soon as it can be clicked."""
        self.wait("Boolean(control(name, within))", name=name, within=within)
        self.run("control(name, within).click()", name=name, within=within)

    def fill(self, label: str, value: str, within: str | None = None) -> None:
        """A field by its label."""
        self.wait("Boolean(field(label, within))", label=label, within=within)
        self.run("fill(field(label, within), value)", label=label, within=within, value=value)

    def wait_text(self, selector: str, text: str, timeout: float = 20) -> None:
        """Until one of these elements has this text in it."""
        self.wait("text(selector).some((one) => one.includes(wanted))", timeout, selector=selector, wanted=text)

    def press(self, key: str, code: str | None = None, text: str | None = None) -> None:
        """A key of the keyboard."""
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            self.page.command("Input.dispatchKeyEvent", type=kind, key=key, code=code or key, windowsVirtualKeyCode=KEYS.get(key, 0), **extra)

    def screenshot(self) -> bytes:
        """What it looks like, as PNG."""
        return base64.b64decode(self.page.command("Page.captureScreenshot", format="png")["data"])

    # A user's device in the chat view

    def log_in(self, seat: int, jid: str) -> None:
        """Logs a user in on one side."""
        within = f'[data-seat="{seat}"]'
        self.fill("User", jid, within)
        self.click("Log in", within)
        self.wait_text(f"{within} .seat-head .pill", "online")

    def talk_to(self, seat: int, jid: str) -> None:
        """Puts a user on a device's chat list, and opens the conversation."""
        within = f'[data-seat="{seat}"]'
        self.fill("Add to the chat list", jid, within)
        self.click("Add", within)
        self.click(jid.split("@")[0], within)

    def say(self, seat: int, text: str) -> None:
        """Writes into the conversation that is open."""
        within = f'[data-seat="{seat}"]'
        self.run("fill(all('.write input', within)[0], text)", within=within, text=text)
        self.click("Send", within)

    def check(self, own: str) -> None:
        """It has thrown nothing, asked nobody but the console, and its policy had nothing to forbid."""
        others = [url for _, url in self.page.requests() if not url.startswith((own, own.replace("http:", "ws:"), "about:", "data:"))]
        assert others == [], "the page uses no network but the console's port"
        assert self.page.thrown() == [], self.page.thrown()
        forbidden = [entry for entry in self.page.log() if "Content Security Policy" in entry]
        assert forbidden == []

    def close(self) -> None:
        """Forgets it."""
        self.page.dispose()


KEYS = {"Tab": 9, "Enter": 13, " ": 32, "Escape": 27}
