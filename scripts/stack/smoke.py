"""What scripts/smoke does with a stack: a user logs in and keeps a chat list, an event becomes a room, a dead letter comes back."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from stack.broker import Broker
from stack.command_line import Told, in_words
from stack.dead_letters import Letter, Queues
from stack.paths import ROOT

if TYPE_CHECKING:
    from support.xmpp import Client

T = TypeVar("T")
PATIENCE = 120.0
"""Seconds until an event must have had its effect: a cold start and the poller's own pace are in it."""
PAUSE = 0.5
DISCO_INFO = "http://jabber.org/protocol/disco#info"
INVITATION = "jabber:x:conference"
LOGIN = "/sapi/xmpp/login"
CHAT_LIST = "/sapi/xmpp/individualChatList"
POISONED = "users-group-deleted"
"""The function whose dead letters are used: what it is sent names no room."""


class SmokeError(Told):
    """Something is not as it should be; the message says what, and where to look."""


@dataclass(frozen=True)
class Target:
    """A stack."""

    api: str
    """Base of the REST API."""
    access_token: str = field(repr=False)
    amqp_url: str = field(default="", repr=False)
    """Of the broker; empty to publish nothing."""
    exchange: str = "sippo.events"
    queues: Queues | None = None


class Smoke:
    """One round. What it makes has names of its own, and is gone at the end, whatever happens."""

    def __init__(self, target: Target, say: Callable[[str], None] = print) -> None:
        self._target, self._say = target, say
        self._name = f"smoke-{secrets.token_hex(6)}"
        self._login: dict[str, str] = {}
        self._clean: list[tuple[str, Callable[[], object]]] = []

    def run(self) -> None:
        """All of it; SmokeError at the first thing that is wrong."""
        try:
            self._check("a call without a token is refused", self._refused)
            self._check("login", self._log_in)
            self._check("chat list: added, listed, removed", self._keep_list)
            if self._target.amqp_url:
                self._check("event becomes a room, the user is invited; the room goes again", self._make_room)
            else:
                self._say("left out  event to room, dead letters: no broker was named (AMQP_URL)")
            if self._target.amqp_url and self._target.queues:
                self._check("dead letter: with its reason, brought back, deleted", self._redrive)
            elif self._target.amqp_url:
                self._say("left out  dead letters: no queues were named (--queues)")
        finally:
            self._clean_up()

    def _check(self, what: str, step: Callable[[], None]) -> None:
        began = time.monotonic()
        try:
            step()
        except SmokeError as error:
            raise SmokeError(f"{what}: {error}") from error
        except Exception as error:
            raise SmokeError(f"{what}: {in_words(error)}") from error
        self._say(f"ok        {what} ({time.monotonic() - began:.1f} s)")

    def _clean_up(self) -> None:
        for what, undo in reversed(self._clean):
            try:
                undo()
            except Exception as error:  # noqa: BLE001 - the other things have to go, too
                self._say(f"left      {what}: {in_words(error)}; remove it by hand")

    # REST

    def _call(self, method: str, path: str, token: str | None) -> tuple[int, dict[str, str], Any]:
        url = urllib.parse.urlsplit(self._target.api)
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = kind(url.netloc, timeout=30)
        try:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            connection.request(method, url.path.rstrip("/") + path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            try:
                content = json.loads(body or b"null")
            except ValueError:
                content = body.decode(errors="replace")[:300]
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content
        except (OSError, http.client.HTTPException) as error:
            raise SmokeError(f"the API does not answer at {url.netloc} ({in_words(error)})",
                             "see that the functions run (scripts/status), or that --api is the output ApiUrl") from error
        finally:
            connection.close()

    def _expect(self, status: int, method: str, path: str) -> Any:
        answered, _, content = self._call(method, path, self._target.access_token)
        if answered != status:
            raise SmokeError(f"{method} {path} answers {answered} instead of {status}: {json.dumps(content)[:300]}")
        return content

    def _refused(self) -> None:
        status, headers, content = self._call("GET", LOGIN, None)
        if status != 401 or headers.get("content-type") != "application/problem+json":
            raise SmokeError(f"GET {LOGIN} answers {status}, {headers.get('content-type')}: {json.dumps(content)[:300]}; "
                             "it should be 401 and application/problem+json: is --api the output ApiUrl?")
        if not headers.get("www-authenticate", "").startswith('Bearer realm="Users"'):
            raise SmokeError(f"WWW-Authenticate is {headers.get('www-authenticate')}")

    def _log_in(self) -> None:
        self._login = self._expect(200, "GET", LOGIN)
        if missing := {"jid", "token", "expiresAt", "xmppUrl", "mucDomain"} - self._login.keys():
            raise SmokeError(f"the answer lacks {', '.join(sorted(missing))}")
        with self._session() as client:
            client.sync()

    def _keep_list(self) -> None:
        contact = f"{self._name}@{self._login['jid'].rpartition('@')[2]}"
        path = f"{CHAT_LIST}/{contact}"
        self._clean.append((f"{contact} in the chat list", lambda: self._expect(204, "DELETE", path)))
        self._expect(204, "PUT", path)
        if {"jid": contact} not in self._expect(200, "GET", CHAT_LIST):
            raise SmokeError(f"{contact} was added, and is not in the list")
        self._expect(204, "DELETE", path)
        if {"jid": contact} in self._expect(200, "GET", CHAT_LIST):
            raise SmokeError(f"{contact} was removed, and is still in the list")
        self._clean.pop()

    # Events

    def _make_room(self) -> None:
        from support.xmpp import E
        user, _, domain = self._login["jid"].rpartition("@")
        room = f"{self._name}@{self._login['mucDomain']}"
        about = {"id": self._name, "domain": domain}
        self._clean.append((f"the room {room}", lambda: self._publish("usersGroup.deleted", about)))
        with self._session() as client:
            client.presence()
            self._publish("usersGroup.created", about | {"name": "Smoke test", "participants": [f"{user}@{domain}"]})

            def is_there() -> bool:
                return client.iq("get", E("query", DISCO_INFO), room, check=False).get("type") == "result"
            hint = "look for the event in the logs of bridge and functions (docs/OPERATIONS.md)"
            self._wait(is_there, f"{room} is not there", hint)
            client.wait(lambda one: any(x.get("jid") == room for x in one.iter(f"{{{INVITATION}}}x")), PATIENCE)
            self._publish("usersGroup.deleted", about)
            self._wait(lambda: not is_there(), f"{room} is still there", hint)
        self._clean.pop()

    def _redrive(self) -> None:
        queues = self._target.queues
        assert queues is not None
        id = self._publish("usersGroup.deleted", {"domain": self._login["jid"].rpartition("@")[2]})

        def forget() -> None:
            for letter in self._letters(id):
                queues.delete(letter)
        self._clean.append((f"the dead letter {id}", forget))
        hint = f"see the log of {POISONED}, and that the queues' prefix is the output QueueUrlPrefix"
        first = self._wait(lambda: next(self._letters(id), None), f"{id} is no dead letter", hint)
        if first.code != "payload-invalid" and not first.attributes.get("reason"):
            raise SmokeError(f"the dead letter says no reason: {sorted(first.attributes)}")
        queues.redrive(first)

        def again() -> Letter | None:
            return next((one for one in self._letters(id) if one.id != first.id), None)
        second = self._wait(again, f"{id} did not come again after it was brought back", hint)
        queues.delete(second)
        self._clean.pop()

    def _letters(self, id: str) -> Iterator[Letter]:
        """The dead letters of this event; others are there for others again."""
        queues = self._target.queues
        assert queues is not None
        for letter in queues.letters(POISONED):
            if letter.outline.id == id:
                yield letter
            else:
                queues.release(letter)

    def _publish(self, routing_key: str, payload: dict[str, Any]) -> str:
        id = f"{self._name}-{secrets.token_hex(4)}"
        event = {"specversion": "1.0", "id": id, "source": "/smoke", "type": routing_key,
                 "datacontenttype": "application/json", "data": payload}
        with Broker(self._target.amqp_url) as broker:
            broker.publish(self._target.exchange, routing_key, json.dumps(event).encode(), id)
        return id

    @contextlib.contextmanager
    def _session(self) -> Iterator[Client]:
        """An XMPP session of the user's, with a login token of its own."""
        if str(ROOT / "tests") not in sys.path:
            sys.path.insert(0, str(ROOT / "tests"))
        from support.xmpp import AuthFailed, Client, XmppError
        from websockets.exceptions import WebSocketException

        login = self._expect(200, "GET", LOGIN)
        client = Client(login["xmppUrl"], login["jid"], login["token"], self._name, timeout=30)
        try:
            client.connect()
        except AuthFailed as error:
            raise SmokeError(f"the XMPP server refuses the login token ({error})",
                             "see “Login of … failed” in its log, and docs/OPERATIONS.md") from error
        except (OSError, XmppError, WebSocketException) as error:
            raise SmokeError(f"the XMPP server does not answer at {login['xmppUrl']} ({in_words(error)})",
                             "see that it runs (of the local stack: scripts/status), and [xmpp] publicXmppUrl") from error
        with client:
            yield client

    def _wait(self, condition: Callable[[], T | None], what: str, hint: str) -> T:
        deadline = time.monotonic() + PATIENCE
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise SmokeError(f"{what} after {PATIENCE:.0f} s; {hint}")
            time.sleep(PAUSE)
        return value
