"""One local stack, one Chromium, and a page with the guide's samples for each library."""

from __future__ import annotations

import functools
import http.server
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import guide
from support.devtools import Browser
from lossy_proxy import LossyProxy
from person import Person
from stack.ports import free_port
from support import node_packages
from support.fixtures import admin, room  # noqa: F401
from support.platform import Platform

SITE = Path(__file__).resolve().parent / "page.html"
LIBRARIES = ("xmpp-client", "strophe")
"""Those that do all that the guide says; the others are tried for login and messages."""
CONVERSE = """<link rel="stylesheet" href="/dist/converse.min.css">
<script type="module">import converse from "/dist/converse.min.js"; window.converse = converse;</script>"""
"""As its author has it: the page loads it, and it loads the rest from /dist."""


@pytest.fixture(scope="session")
def platform(folder: Path, proxy_port: int, site_port: int) -> Iterator[Platform]:
    """The stack; clients are told the proxy's address, and pages of the tests' site may call the REST API."""
    environment = {"SIPPO_XMPP__PUBLIC_XMPP_URL": f"ws://127.0.0.1:{proxy_port}/xmpp-websocket"}
    # In the environment of what starts the stack, as the guide has it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(guide.cors_variable(), f"http://127.0.0.1:{site_port}")
        platform = Platform(folder, "info", environment=environment).start()
        yield platform
        platform.stop()


@pytest.fixture(scope="session")
def proxy_port() -> int:
    """Where the proxy will listen: the stack is told before the proxy can start."""
    return free_port()


@pytest.fixture(scope="session")
def site_port() -> int:
    """Where the site will listen."""
    return free_port()


@pytest.fixture(scope="session")
def proxy(platform: Platform, proxy_port: int) -> Iterator[LossyProxy]:
    """What all pages' connections pass through."""
    proxy = LossyProxy(proxy_port, platform.stack.ports.prosody)
    yield proxy
    proxy.stop()


@pytest.fixture(scope="session")
def site(folder: Path, site_port: int) -> Iterator[Callable[[str], str]]:
    """The address of the page for a library, of another origin than the REST API."""
    node_packages.install()
    root = folder / "site"
    root.mkdir()
    (root / "dist").symlink_to(node_packages.FOLDER / "node_modules" / "converse.js" / "dist")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", site_port), functools.partial(Handler, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()

    @functools.cache
    def address(library: str) -> str:
        script = guide.bundle(root, library)
        head = CONVERSE if library == "converse" else ""
        (root / f"{library}.html").write_text(SITE.read_text().replace("SCRIPT", script).replace("<!-- HEAD -->", head))
        return f"http://127.0.0.1:{site_port}/{library}.html"

    yield address
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser(folder: Path) -> Iterator[Browser]:
    """Headless Chromium."""
    with Browser(folder) as browser:
        yield browser


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    """A client library."""
    return request.param


@pytest.fixture
def person(platform: Platform, proxy: LossyProxy, site: Callable[[str], str], browser: Browser,  # noqa: F811
           library: str) -> Iterator[Callable[..., Person]]:
    """Makes a user of the test's own, with a page of the library's that is not logged in yet."""
    people: list[Person] = []

    def make(name: str = "alice", jid: str | None = None, **options: bool) -> Person:
        jid = jid or f"{name}-{uuid.uuid4().hex[:8]}@example.test"
        people.append(Person(platform, browser.page(site(library), **options), jid))
        return people[-1]

    yield make
    thrown = [line for one in people for line in one.page.thrown()]
    for one in people:
        one.page.close()
    assert thrown == [], "a sample threw what nobody caught"
