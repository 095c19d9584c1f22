"""One local stack with its console, and one Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console_page import ConsolePage
from support.devtools import Browser
from support.fixtures import admin, room  # noqa: F401
from support.platform import Platform


@pytest.fixture(scope="session")
def platform(folder: Path) -> Iterator[Platform]:
    """The stack as scripts/run has it, console included."""
    platform = Platform(folder, None, has_console=True).start()
    try:
        platform.stack.start_console()
        yield platform
    finally:
        platform.stop()


@pytest.fixture(scope="session")
def browser(folder: Path) -> Iterator[Browser]:
    """Headless Chromium."""
    with Browser(folder) as browser:
        yield browser


@pytest.fixture
def console(platform: Platform, browser: Browser) -> Iterator[Callable[..., ConsolePage]]:
    """Opens the console, as whoever has its address does. It asked nobody else for anything, and broke no rule of its own."""
    pages: list[ConsolePage] = []

    def make(view: str = "chat", **options: object) -> ConsolePage:
        pages.append(ConsolePage(browser, platform.stack.console_url, view, **options))
        return pages[-1]

    yield make
    for page in pages:
        page.check(f"http://127.0.0.1:{platform.stack.ports.console}/")
        page.close()
