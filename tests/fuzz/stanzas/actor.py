"""A hostile client: does what it is told, and keeps account of what is due to it."""

from __future__ import annotations

import base64
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass

from fuzz.stanzas.findings import Findings
from fuzz.stanzas.oracles import Inspector
from fuzz.stanzas.places import MAL, TEAM, VERA, name
from fuzz.stanzas.wire import Wire
from fuzz.stanzas.world import World
from support.stanzas import STANZA_ERRORS
from support.xmpp import CLIENT, MUC, Closed, E, XmppError, local, serialize

SM, MAM = "urn:xmpp:sm:3", "urn:xmpp:mam:2"
SYNC = "sync"
MANAGED = ("eve", "mal", "zoe")
"""Who asks for stream management (XEP-0198) at once."""
STREAM_TIMEOUT = 60
ANSWER_TIMEOUT = 120
"""Seconds. Nothing is measured by these: they tell a server that waits from one that works."""


@dataclass
class Due:
    """A request that has to be answered."""

    position: int
    to: str

    @property
    def is_relayed(self) -> bool:
        """Whether another client answers it, which may be lost and waited for."""
        return "/" in self.to


class Actor:
    """One session, through all of its connections."""

    def __init__(self, world: World, findings: Findings, label: str, bare_jid: str, resource: str, secrets: list[str]) -> None:
        self.world, self.findings, self.label = world, findings, label
        self.bare_jid, self.resource = bare_jid, resource
        self.inspector = Inspector(findings, bare_jid, resource, secrets)
        self.peers: list[Actor] = [self]
        """All who are there."""
        self.wire: Wire | None = None
        self.due: dict[str, Due] = {}
        self.watched: dict[str, ET.Element | None] = {}
        """Answers that somebody waits for, by their ids."""
        self.answered: dict[str, str] = {}
        """The answers that came from the server itself: id and address."""
        self.synced = 0
        self.handled: int | None = None
        """Stanzas since stream management is on (XEP-0198)."""
        self.previd = ""
        self.archived = ""
        self.own_end = False
        """Whether the connection's end was its own doing."""
        self.sent = self.received = self.connections = 0

    # Connections

    def known(self, text: str) -> str:
        """The text with what only a running server can tell, in place of each `%name%`."""
        if "%" not in text:
            return text
        token = self.world.token(self.bare_jid)

        def plain(jid: str, password: str) -> str:
            return base64.b64encode(f"\0{name(jid)}\0{password}".encode()).decode()

        values = {
            "token": token, "plain": plain(self.bare_jid, token), "previd": self.previd or "none",
            "archived": self.archived or "none",
            "expired": plain(self.bare_jid, self.world.server.login_token(self.bare_jid, ttl=-10)),
            "crossed": plain(MAL if "eve" in self.label else "eve@x", token),
            "admin": plain(self.world.server.admin_jid, token), "guess": plain(VERA, "x" * 64),
        }
        for key, value in values.items():
            text = text.replace(f"%{key}%", value)
        return text

    def _new_wire(self) -> Wire:
        token = self.world.token(self.bare_jid)
        return Wire(self.world.server.ws_url, self.bare_jid, token, self.resource, timeout=STREAM_TIMEOUT)

    def connect(self) -> None:
        """A new session."""
        self.wire = self._new_wire()
        self.wire.connect()
        self._begin()

    def resume(self, element: str) -> None:
        """A new connection for the session as it was, or a new session. `element`: instead of the right `<resume/>`."""
        wire = self._new_wire()
        try:
            wire.open()
            wire.authenticate()
            right = f"<resume xmlns='{SM}' previd='{self.previd}' h='{(self.handled or 0) % (1 << 32)}'/>"
            wire.send(self.known(element) or right)
            answer = wire.wait(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"))
        except XmppError:
            wire.abort()
            return self.connect()
        self.wire = wire
        self.connections += 1
        if local(answer) == "failed":
            wire.bind()
            return self._begin()
        self.own_end = False
        wire.collect()
        if element:  # with a count that was not right things come twice, or never
            self.forget()

    def _begin(self) -> None:
        assert self.wire is not None
        self.connections += 1
        self.own_end, self.handled, self.previd = False, None, ""
        self.forget()
        self.wire.collect()
        self.wire.frames.clear()
        if self.label in MANAGED:
            self.write(f"<enable xmlns='{SM}' resume='true'/>")
        self.write(f"<presence xmlns='{CLIENT}'/>")
        self.write(f"<presence xmlns='{CLIENT}' to='{TEAM}/{name(self.bare_jid)}'><x xmlns='{MUC}'/></presence>")

    def forget_new(self) -> None:
        """What was sent lately may be lost with the connection before the server has read it (XEP-0198 has it sent again)."""
        self.due = {ident: due for ident, due in self.due.items() if due.position < self.findings.since}

    def forget(self) -> None:
        """Nothing is due any more: the session has ended."""
        self.due.clear()
        self.answered.clear()

    def live(self) -> Wire:
        """A connection, a new one if need be."""
        if self.wire is None or self.wire.closed:
            self.settle_end()
            self.connect()
        assert self.wire is not None
        return self.wire

    def settle_end(self) -> None:
        """The connection has ended: by a stream error, a WebSocket close, or by the client itself."""
        if self.wire is None:
            return
        end = self.wire.wait_closed()
        last = list(self.wire.frames)[-2:]
        self.drain()
        is_explained = self.own_end or self.wire.was_reset or self.wire.close_code is not None
        if isinstance(end, Closed) and not is_explained and end.condition != "stream-closed":
            self.findings.add("end", f"a connection of {self.label} ended without a word; at last {last}")
        self.forget()
        self.wire = None

    # Sending

    def write(self, text: str) -> None:
        """Sends a message; an end of the connection is seen later."""
        assert self.wire is not None
        self.sent += 1
        try:
            self.wire.send(text)
        except XmppError:
            pass

    def expect(self, position: int, text: str) -> None:
        """Notes what is due if the text is a request (RFC 6120, section 8.2.3)."""
        request = is_request(text)
        if request is not None:
            self.due[request.get("id") or ""] = Due(position, request.get("to") or "")

    def sync(self) -> str:
        """A ping to the own account: when it is answered, all before it has been handled. Returns its id."""
        self.synced += 1
        ident = f"{SYNC}{self.synced}"
        self.due[ident] = Due(self.findings.position, "")
        self.write(f"<iq xmlns='{CLIENT}' type='get' id='{ident}'><ping xmlns='urn:xmpp:ping'/></iq>")
        return ident

    # Receiving

    def drain(self) -> None:
        """Looks at all that has come."""
        while self.wire is not None and self.wire.frames:
            self.received += 1
            element = self.inspector.look(self.wire.frames.popleft())
            if element is not None:
                self._handle(element)

    def wait(self, condition: Callable[[], bool], timeout: float = ANSWER_TIMEOUT) -> None:
        """Until the condition holds. TimeoutError when it does not in time: the server has no such times."""
        deadline = time.monotonic() + timeout
        while True:
            for one in self.peers:  # what is awaited may be theirs to answer
                one.drain()
            if condition():
                return
            if time.monotonic() > deadline:
                raise TimeoutError
            Wire.news.wait(0.1)
            Wire.news.clear()

    def _handle(self, element: ET.Element) -> None:
        if element.tag == f"{{{SM}}}enabled":
            self.handled, self.previd = 0, element.get("id") or ""
        elif element.tag == f"{{{SM}}}r" and self.handled is not None:
            self.write(f"<a xmlns='{SM}' h='{self.handled % (1 << 32)}'/>")
        elif element.tag in (f"{{{CLIENT}}}message", f"{{{CLIENT}}}presence", f"{{{CLIENT}}}iq"):
            if self.handled is not None:
                self.handled += 1
            if local(element) == "iq":
                self._iq(element)
            else:
                for result in element.findall(f"{{{MAM}}}result"):
                    self.archived = result.get("id") or self.archived

    def _iq(self, iq: ET.Element) -> None:
        kind, ident, sender = iq.get("type"), iq.get("id") or "", iq.get("from") or ""
        if kind in ("get", "set"):
            error = E("error", None, E("service-unavailable", STANZA_ERRORS), type="cancel")
            to = {"to": sender} if sender else {}
            self.write(serialize(E("iq", None, error, type="error", id=ident, **to)))
        elif ident in self.due:
            if ident in self.watched:
                self.watched[ident] = iq
            if self.due[ident].is_relayed or "/" not in sender:
                due = self.due.pop(ident)
                if not due.is_relayed:
                    self.answered[ident] = sender
        elif ident in self.answered and self.answered[ident] == sender and not ident.startswith(SYNC):
            self.findings.add("twice", f"answered twice: {serialize(iq)[:500]}")


def is_request(text: str) -> ET.Element | None:
    """The element, if an answer to it is due."""
    try:
        element = ET.fromstring(text)
    except ET.ParseError:
        return None
    return element if element.tag == f"{{{CLIENT}}}iq" and element.get("type") in ("get", "set") and element.get("id") else None
