"""The console is for its own page only, on this machine only."""

from __future__ import annotations

from http.client import HTTPConnection
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from stack.console import server
from stack.console.api import ROUTES
from stack.console.guard import KEY_HEADER
from support.platform import Platform

PAGE = server.PAGE
FILES = [file for file in PAGE.rglob("*") if file.suffix in server.TYPES]


@pytest.fixture
def url(platform: Platform) -> str:
    return f"http://127.0.0.1:{platform.stack.ports.console}"


@pytest.fixture
def key(platform: Platform) -> dict[str, str]:
    return {KEY_HEADER: platform.stack.console_key}


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    """One for all: making one takes long."""
    with httpx.Client(trust_env=False, verify=False, timeout=20) as client:
        yield client


def test_it_listens_on_loopback_only(platform: Platform):
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    addresses = {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[1].endswith(f":{platform.stack.ports.console:04X}")}
    assert addresses == {"0100007F"}


@pytest.mark.parametrize(("method", "name"), ROUTES, ids=lambda one: str(one))
def test_nothing_is_done_without_the_key(http: httpx.Client, url: str, key: dict[str, str], method: str, name: str):
    for headers in ({}, {KEY_HEADER: ""}, {KEY_HEADER: key[KEY_HEADER][:-1]}, {KEY_HEADER: "é".encode()}):
        answer = http.request(method, f"{url}/api/{name}", headers=headers)
        assert (answer.status_code, "key" in answer.json()["error"]) == (401, True)


def test_nor_is_a_call_passed_on(http: httpx.Client, url: str):
    assert http.get(f"{url}/rest/sapi/xmpp/login").status_code == 401


@pytest.mark.parametrize("path", ["/", "/app.js", "/api/state", "/rest/sapi/xmpp/login", "/link/a"])
@pytest.mark.parametrize("headers", [
    {"host": "console.example:5289"}, {"host": "127.0.0.1"}, {"host": "localhost:1"}, {"origin": "http://evil.example"},
    {"origin": "null"}, {"origin": "http://127.0.0.1:1"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}],
    ids=lambda one: "=".join(*one.items()))
def test_other_pages_and_other_names_are_refused(http: httpx.Client, url: str, key: dict[str, str], path: str, headers: dict[str, str]):
    assert http.get(f"{url}{path}", headers=key | headers).status_code == 403


def test_its_own_page_is_not(http: httpx.Client, url: str, key: dict[str, str]):
    own = {"origin": url, "sec-fetch-site": "same-origin"}
    assert http.get(f"{url}/api/people", headers=key | own).status_code == 200


def test_a_connection_needs_key_and_origin(platform: Platform, url: str):
    port, key = platform.stack.ports.console, platform.stack.console_key

    def status(query: str, origin: str | None) -> int:
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{port}/link/a?{query}", origin=origin, subprotocols=["xmpp"], proxy=None)
        return refused.value.response.status_code

    assert [status("", url), status("key=guess", url), status(f"key={key}", None), status(f"key={key}", "http://evil.example")] \
        == [401, 401, 401, 403]
    with connect(f"ws://127.0.0.1:{port}/link/a?key={key}", origin=url, subprotocols=["xmpp"], proxy=None) as socket:
        assert socket.subprotocol == "xmpp"


def test_every_answer_says_what_the_page_may_do(http: httpx.Client, url: str, key: dict[str, str]):
    for path in ("/", "/app.js", "/nothing", "/api/people", "/api/nothing", "/rest/sapi/xmpp/login"):
        headers = http.get(f"{url}{path}", headers=key).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy and "*" not in policy
        assert (headers["cache-control"], headers["referrer-policy"], headers["x-content-type-options"]) == ("no-store", "no-referrer", "nosniff")


class Inline(HTMLParser):
    """Finds what a policy without 'unsafe-inline' forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or tag == "script" and "src" not in names or any(name.startswith("on") or name == "style" for name in names):
            self.found.append(f"{tag} {attrs}")


def test_the_page_has_no_inline_script_and_names_no_other_place():
    parser = Inline()
    parser.feed((PAGE / "index.html").read_text())
    assert parser.found == []
    assert len(FILES) > 20
    namespaces = ("http://jabber.org/", "http://etherx.jabber.org/", "http://www.w3.org/")
    others = [place for file in FILES for place in re.findall(r"https?://[\w.-]+/?", file.read_text()) if not place.startswith(namespaces)]
    assert others == []


def test_no_secret_of_the_stack_is_in_an_answer(http: httpx.Client, platform: Platform, url: str, key: dict[str, str]):
    secrets = [platform.stack.admin_token, platform.stack.rabbitmq.password, "PRIVATE KEY"]
    room = {"jid": "team-7@conference.example.test"}
    questions = {"room": room, "logs": {"source": "prosody"}}
    answers = [http.get(f"{url}/api/{name}", params=questions.get(name, {}), headers=key) for method, name in ROUTES if method == "GET"]
    assert all(answer.status_code == 200 for answer in answers), [answer.text for answer in answers]
    texts = [answer.text for answer in answers] + [file.read_text() for file in FILES] + [platform.stack.console_url]
    for source in ("functions", "bridge", "rabbitmq", "poller"):
        texts.append(http.get(f"{url}/api/logs", params={"source": source}, headers=key).text)
    assert [secret for secret in secrets for text in texts if secret in text] == []


def test_its_key_is_in_no_log(http: httpx.Client, platform: Platform, url: str, key: dict[str, str]):
    http.get(f"{url}/api/state", headers=key)
    assert [log.name for log in platform.paths.logs.glob("*.log") if platform.stack.console_key in log.read_text(errors="replace")] == []


@pytest.mark.parametrize("path", ["/../server.py", "/%2e%2e/server.py", "/style/../../guard.py", "/vendor/README.md"])
def test_only_the_pages_own_files_are_served(platform: Platform, path: str):
    connection = HTTPConnection("127.0.0.1", platform.stack.ports.console, timeout=10)
    connection.request("GET", path)  # as it is: httpx would tidy it up
    assert connection.getresponse().status == 404


@pytest.mark.parametrize(("method", "name", "body", "says"), [
    ("POST", "publish", b"{", ""), ("POST", "publish", b"[]", "no JSON object"), ("POST", "publish", b"{}", "events is missing"),
    ("POST", "publish", b'{"events":[{"key":"","body":"{}"}]}', "routing key"),
    ("POST", "publish", b'{"events":[{"key":"a","body":"{}","count":9999}]}', "500"),
    ("POST", "token", b'{"user":"nobody"}', "name@domain"), ("POST", "process", b'{"name":"init","action":"kill"}', "no process"),
    ("POST", "process", b'{"name":"queue","action":"kill"}', "not killed from here"), ("POST", "link", b'{"link":"a","action":"x"}', "cut"),
    ("POST", "redrive", b'{"queues":["x"]}', "no queue x"), ("POST", "delete", b'{"queue":"x","version":"1"}', "which letter"),
    ("GET", "logs", b"", "write a user"), ("GET", "room", b"", "jid is missing")])
def test_a_call_that_makes_no_sense_is_refused_with_the_reason(http: httpx.Client, url: str, key: dict[str, str], method: str, name: str, body: bytes, says: str):
    answer = http.request(method, f"{url}/api/{name}", content=body, headers=key)
    assert answer.status_code == 400 and says in answer.json()["error"], answer.text


def test_a_body_that_is_too_large_is_not_read(http: httpx.Client, url: str, key: dict[str, str]):
    answer = http.post(f"{url}/api/publish", content=b"x" * (server.MAX_BODY + 1), headers=key)
    assert answer.status_code == 400 and "larger" in answer.text
