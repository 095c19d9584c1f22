"""How an actor does each kind of action."""

from __future__ import annotations

import re
from typing import Any

from fuzz.stanzas.action import Action
from fuzz.stanzas.actor import Actor, is_request
from fuzz.stanzas.downloads import Malformed, Response, exchange, parse, wanted
from fuzz.stanzas.places import ACTORS, FORGED
from fuzz.stanzas.wire import Wire
from support.frames import TEXT, frame
from support.xmpp import BIND, FRAMING, SASL, XmppError

UPLOAD = "urn:xmpp:http:upload:0"


class Doer:
    """All actors of a round, and the slots that they have been given."""

    def __init__(self, actors: dict[str, Actor]) -> None:
        self.actors = actors
        self.port = next(iter(actors.values())).world.server.settings.http_port
        self.slot = {"put": "/none", "get": "/none", "auth": "none"}
        """Paths and header of the last slot."""

    def do(self, action: Action) -> None:
        """Does it. Whatever is due of it is noted with the actor."""
        actor = self.actors[action.actor]
        getattr(self, f"_{action.do}")(actor, action)

    def _stanza(self, actor: Actor, action: Action) -> None:
        actor.live()
        text = actor.known(action.data)
        actor.expect(action.position, text)
        actor.write(text)

    def _frames(self, actor: Actor, action: Action) -> None:
        wire = actor.live()
        if action.data["right"]:
            actor.expect(action.position, action.data["text"])
        actor.sent += 1
        try:
            for one in action.data["frames"]:
                wire.send_bytes(as_bytes(one))
            if not action.data["right"]:  # the server may wait for more of them
                actor.own_end = True
                wire.half_close()
        except (XmppError, OSError):
            pass
        except TimeoutError:
            actor.findings.add("end", "a connection that its client has ended stays", action.position)
            wire.abort()

    def _cut(self, actor: Actor, action: Action) -> None:
        wire, data = actor.live(), action.data
        whole = frame(data["text"])
        actor.sent += 1
        actor.own_end = True
        try:
            wire.send_bytes(whole[:int(len(whole) * data["part"])])
        except OSError:
            pass
        wire.abort()
        wire.wait_closed()
        actor.drain()
        actor.forget_new()
        if data["resume"] and actor.previd:
            actor.resume(data["element"])
        else:
            actor.settle_end()
            actor.connect()

    def _end(self, actor: Actor, _action: Action) -> None:
        wire = actor.live()
        actor.own_end = True
        actor.write(f"<close xmlns='{FRAMING}'/>")
        try:
            wire.wait_closed(60)
        except TimeoutError:
            actor.findings.add("end", "a stream that its client has closed stays")
        wire.abort()

    def _login(self, actor: Actor, action: Action) -> None:
        wire = Wire(actor.world.server.ws_url, actor.bare_jid, "", has_stream=False)
        good = any("%plain%" in text for text in action.data["frames"])
        try:
            wire.open()
            for text in action.data["frames"]:
                actor.sent += 1
                wire.send(actor.known(text))
            wire.send(f"<close xmlns='{FRAMING}'/>")
            wire.half_close()
        except (XmppError, OSError):
            pass
        except TimeoutError:
            actor.findings.add("end", "a login that its client has ended stays", action.position)
        wire.abort()
        for text in list(wire.frames):
            element = actor.inspector.look(text)
            if element is None:
                continue
            if element.tag == f"{{{SASL}}}success" and not good:
                actor.findings.add("login", f"logged in by {action.data['frames']}", action.position)
            jid = element.findtext(f".//{{{BIND}}}jid")
            if jid and jid.partition("/")[0] != actor.bare_jid:
                actor.findings.add("login", f"{actor.bare_jid} has become {jid}", action.position)

    # HTTP

    def _http(self, actor: Actor, action: Action) -> None:
        request = action.data["request"]
        for key, value in (("%get%", self.slot["get"]), ("%put%", self.slot["put"]), ("%slotauth%", self.slot["auth"])):
            request = request.replace(key, value)
        actor.sent += 1
        received = exchange(self.port, request.encode("utf-8", "surrogateescape"))
        if received and not received.startswith((b"HTTP/1.1 101", b"HTTP/1.1 100")):
            self._parse(actor, action, received, " " not in request or request.startswith("HEAD"))

    def _parse(self, actor: Actor, action: Action, received: bytes, head_only: bool = False) -> Response | None:
        if not received:
            return None  # a server that has not read all of a request may end it with a reset, which takes the answer away
        actor.inspector.look_for_secrets(received.decode("latin-1"), "an HTTP answer has")
        try:
            response = parse(received, head_only)
        except Malformed as error:
            actor.findings.add("http", str(error), action.position)
            return None
        if response.rest:
            actor.findings.add("http", f"more than the answer: {response.rest[:200]!r}", action.position)
        return response

    def _upload(self, actor: Actor, action: Action) -> None:
        actor.live()
        data = action.data
        actor.expect(action.position, data["request"])
        actor.write(data["request"])
        slot = self._wait_slot(actor, data["request"])
        if slot is None:
            return
        size = re.search(r" size='([0-9]+)'", data["request"])
        content = (f"<{FORGED}>{action.position:09}".encode() * 8000)[:int(size[1]) if size and int(size[1]) < 100_000 else 300]
        put = slot["put"] + data["put"].replace("%", "")
        sent = content[:-1] if data["short"] else content
        request = (f"PUT {put} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {slot['auth']}\r\nContent-Length: {len(sent)}\r\n"
                   "Connection: close\r\n\r\n")
        status = 0
        for _ in range(1 + data["twice"]):
            response = self._parse(actor, action, exchange(self.port, request.encode() + sent, 10))
            status = status or (response.status if response else 0)
        for range_header in ["", *data["ranges"]]:
            self._fetch(actor, action, slot["get"], range_header, content if status == 201 else None)

    def _wait_slot(self, actor: Actor, request: str) -> dict[str, str] | None:
        """The slot that the request is answered with."""
        element = is_request(request)
        wire, ident = actor.wire, element.get("id") if element is not None else None
        if wire is None or ident is None:
            return None
        actor.watched[ident] = None
        actor.wait(lambda: ident not in actor.due or wire.closed)
        answer = actor.watched.pop(ident)
        put, get = (answer.find(f".//{{{UPLOAD}}}{one}") for one in ("put", "get")) if answer is not None else (None, None)
        if put is None or get is None:
            return None
        header = put.find(f"{{{UPLOAD}}}header[@name='Authorization']")
        token = header.text or "" if header is not None else "none"
        self.slot = {"put": path(put.get("url")), "get": path(get.get("url")), "auth": token}
        return self.slot

    def _fetch(self, actor: Actor, action: Action, where: str, range_header: str, content: bytes | None) -> None:
        method = action.data["method"] if not range_header else "GET"
        extra = f"Range: {range_header}\r\n" if range_header else ""
        request = (f"{method} {where} HTTP/1.1\r\nHost: localhost\r\n{extra}Origin: https://evil.example\r\n"
                   "Connection: close\r\n\r\n")
        response = self._parse(actor, action, exchange(self.port, request.encode(), 10), method == "HEAD")
        if response is None or method != "GET" or content is None:
            return
        status, part = wanted(range_header, content) if range_header else (200, content)
        if status and response.status != status or part is not None and response.body != part:
            got = f"{response.status}, {len(response.body)} bytes"
            actor.findings.add("http", f"{range_header or 'all'} of {len(content)} bytes: {got}", action.position)
        if response.status == 200 and "content-security-policy" not in response.headers:
            actor.findings.add("http", f"a file without a policy: {response.headers}", action.position)


def as_bytes(one: dict[str, Any]) -> bytes:
    """A frame of an action."""
    payload = one["payload"].encode("latin-1") if one.get("latin") else one["payload"].encode()
    options = {key: one[key] for key in ("fin", "masked", "reserved", "length") if key in one}
    return frame(payload, one.get("opcode", TEXT), **options)


def path(url: str | None) -> str:
    """Of a URL, without scheme and host."""
    return "/" + (url or "").split("/", 3)[3]
