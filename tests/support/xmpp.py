"""A small synchronous XMPP client over WebSocket (RFC 7395) for tests."""

from __future__ import annotations

import base64
import itertools
import socket
import ssl as tls
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

CLIENT = "jabber:client"
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
STREAMS = "http://etherx.jabber.org/streams"
STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
MUC = "http://jabber.org/protocol/muc"
MUC_USER = "http://jabber.org/protocol/muc#user"
STANZAS = {f"{{{CLIENT}}}{name}" for name in ("message", "presence", "iq")}

TIMEOUT = 10.0
"""Seconds until a test that waits for an answer gives up."""

Element = ET.Element
Predicate = Callable[[Element], bool]


class XmppError(Exception):
    """What the server refused, by its defined condition."""

    def __init__(self, condition: str, text: str | None = None) -> None:
        super().__init__(condition if text is None else f"{condition}: {text}")
        self.condition = condition
        self.text = text


class AuthFailed(XmppError):
    """SASL failure (RFC 6120, section 6.5)."""


class StreamError(XmppError):
    """The stream was closed with an error (RFC 6120, section 4.9)."""


class StanzaError(XmppError):
    """An error stanza (RFC 6120, section 8.3), raised where the caller asked for success."""


class Closed(XmppError):
    """The stream or its connection ended without a stream error."""


def local(element: Element) -> str:
    """The element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def namespace(element: Element) -> str:
    """The element's namespace."""
    return element.tag.rpartition("}")[0].lstrip("{")


def E(name: str, xmlns: str | None = None, /, *children: Element | str, **attributes: str) -> Element:
    """An element in `xmlns` (default jabber:client); a trailing underscore in `from_` is dropped."""
    element = ET.Element(f"{{{xmlns or CLIENT}}}{name}", {key.rstrip("_"): value for key, value in attributes.items()})
    for child in children:
        if isinstance(child, str):
            element.text = (element.text or "") + child
        else:
            element.append(child)
    return element


def serialize(element: Element) -> str:
    """XML text without prefixes: each element declares its own namespace where it differs from its parent's."""

    def write(node: Element, parent: str | None) -> Element:
        xmlns = namespace(node)
        copy = ET.Element(local(node), dict(node.attrib))
        if xmlns and xmlns != parent:
            copy.set("xmlns", xmlns)
        copy.text, copy.tail = node.text, node.tail
        copy.extend(write(child, xmlns or parent) for child in node)
        return copy

    return ET.tostring(write(element, None), encoding="unicode")


def error_condition(stanza: Element) -> str | None:
    """The defined condition of an error stanza, None for any other."""
    if stanza.get("type") != "error":
        return None
    error = stanza.find(f"{{{CLIENT}}}error")
    for child in error if error is not None else ():
        if namespace(child) == STANZA_ERRORS and local(child) != "text":
            return local(child)
    return "undefined-condition"


def body(message: Element) -> str | None:
    """The text of a message."""
    return message.findtext(f"{{{CLIENT}}}body")


class Client:
    """One XMPP session. Everything received is kept until a `wait` takes it, so nothing is lost."""

    def __init__(
        self,
        url: str,
        jid: str,
        password: str,
        resource: str | None = None,
        ssl: tls.SSLContext | None = None,
        authzid: str = "",
        timeout: float = TIMEOUT,
    ) -> None:
        self.url, self.password, self.resource = url, password, resource
        self.bare_jid = jid.partition("/")[0]
        self.user, _, self.domain = self.bare_jid.rpartition("@")
        self.jid = self.bare_jid
        self.ssl, self.authzid, self.timeout = ssl, authzid, timeout
        self.features: Element | None = None
        self._socket: ClientConnection | None = None
        self._received: list[Element] = []
        self._changed = threading.Condition()
        self._end: XmppError | None = None
        self._ids = itertools.count(1)

    # Session

    def connect(self) -> Client:
        """Opens the stream, logs in with SASL PLAIN and binds a resource."""
        try:
            self.open()
            self.authenticate()
            self.bind()
        except BaseException:
            self.abort()
            raise
        return self

    def open(self) -> Client:
        """Opens connection and stream; `features` are then the server's first ones."""
        # entered, not used as a plain call: some versions of websockets connect only then; the reader closes it
        self._socket = connect(
            self.url, subprotocols=["xmpp"], ssl=self.ssl, open_timeout=self.timeout, max_size=None, proxy=None
        ).__enter__()
        threading.Thread(target=self._read, args=(self._socket,), daemon=True).start()
        self._open_stream()
        return self

    def _open_stream(self) -> None:
        self.send(E("open", FRAMING, to=self.domain, version="1.0"))
        self.features = self.wait(lambda e: e.tag == f"{{{STREAMS}}}features")

    def mechanisms(self) -> set[str]:
        """SASL mechanisms offered."""
        return {e.text or "" for e in self.features.iter(f"{{{SASL}}}mechanism")} if self.features is not None else set()

    def authenticate(self, mechanism: str = "PLAIN", message: bytes | None = None) -> None:
        """SASL PLAIN (RFC 4616), then the new stream."""
        if message is None:
            message = f"{self.authzid}\0{self.user}\0{self.password}".encode()
        self.send(E("auth", SASL, base64.b64encode(message).decode(), mechanism=mechanism))
        answer = self.wait(lambda e: namespace(e) == SASL)
        if local(answer) != "success":
            conditions = [local(child) for child in answer if local(child) != "text"]
            raise AuthFailed(conditions[0] if conditions else "not-authorized", answer.findtext(f"{{{SASL}}}text"))
        self._open_stream()

    def bind(self) -> str:
        """Binds a resource (RFC 6120, section 7) and returns the full JID."""
        request = E("bind", BIND)
        if self.resource is not None:
            request.append(E("resource", BIND, self.resource))
        reply = self.iq("set", request)
        self.jid = reply.findtext(f".//{{{BIND}}}jid") or self.jid
        return self.jid

    def close(self) -> None:
        """Ends the stream in order, and the connection in any case."""
        if self._socket is None:
            return
        try:
            if not self.closed:
                self.send(E("close", FRAMING))
                self.wait_closed()
        except XmppError:
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """Drops the connection without a word, as a lost network does."""
        if self._socket is not None:
            try:
                self._socket.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is down already

    def __enter__(self) -> Client:
        return self if self._socket is not None else self.connect()

    def __exit__(self, *_: object) -> None:
        self.close()

    # Receiving

    def _read(self, connection: ClientConnection) -> None:
        end: XmppError = Closed("connection-closed")
        try:
            for frame in connection:
                element = ET.fromstring(frame)
                if element.tag == f"{{{STREAMS}}}error":
                    conditions = [local(e) for e in element if local(e) != "text" and namespace(e) == STREAM_ERRORS]
                    end = StreamError(conditions[0] if conditions else "undefined-condition",
                                      element.findtext(f"{{{STREAM_ERRORS}}}text"))
                elif element.tag == f"{{{FRAMING}}}close":
                    if isinstance(end, Closed):
                        end = Closed("stream-closed")
                    break
                with self._changed:
                    self._received.append(element)
                    self._changed.notify_all()
        except (ConnectionClosed, OSError, ET.ParseError):
            pass
        finally:
            with self._changed:
                self._end = end
                self._changed.notify_all()
            connection.close()

    @property
    def closed(self) -> bool:
        """Whether the session has ended."""
        return self._end is not None

    def wait(self, predicate: Predicate, timeout: float | None = None) -> Element:
        """Takes the first element that fits out of all received and yet to come.

        Raises TimeoutError, or what ended the stream.
        """
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        with self._changed:
            while True:
                for index, element in enumerate(self._received):
                    if predicate(element):
                        return self._received.pop(index)
                if self._end is not None:
                    raise self._end
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise TimeoutError(f"{self.jid} waited in vain; unclaimed: "
                                       f"{[serialize(e)[:300] for e in self._received[-5:]]}")
                self._changed.wait(remaining)

    def wait_closed(self, timeout: float | None = None) -> XmppError:
        """Waits until the session has ended and returns how."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._end is not None, self.timeout if timeout is None else timeout):
                raise TimeoutError(f"{self.jid} is still connected")
        assert self._end is not None
        return self._end

    @contextmanager
    def not_reading(self) -> Iterator[None]:
        """Takes nothing off the connection meanwhile; sending works."""
        with self._changed:  # the reading thread needs it for each element
            yield

    def received(self, predicate: Predicate = lambda _: True) -> list[Element]:
        """A look at what has come and was not taken yet; takes nothing."""
        with self._changed:
            return [element for element in self._received if predicate(element)]

    def messages(self) -> list[Element]:
        """Takes all messages that have come so far. Call `sync` before to be sure of those under way."""
        with self._changed:
            found = [e for e in self._received if e.tag == f"{{{CLIENT}}}message"]
            self._received = [e for e in self._received if e.tag != f"{{{CLIENT}}}message"]
        return found

    def wait_message(self, text: str | None = None, timeout: float | None = None) -> Element:
        """Takes the first message, or the first with this body."""
        return self.wait(
            lambda e: e.tag == f"{{{CLIENT}}}message" and (text is None or body(e) == text), timeout)

    # Sending

    def send(self, stanza: Element | str) -> None:
        """Sends an element, or text as it is."""
        assert self._socket is not None, "connect first"
        try:
            self._socket.send(stanza if isinstance(stanza, str) else serialize(stanza))
        except (ConnectionClosed, OSError):
            raise self.wait_closed() from None

    def send_bytes(self, data: bytes) -> None:
        """Sends bytes as they are, past the WebSocket's framing (see support.frames)."""
        assert self._socket is not None, "connect first"
        self._socket.socket.sendall(data)

    def iq(
        self, type: str, payload: Element, to: str | None = None, *, check: bool = True, timeout: float | None = None
    ) -> Element:
        """Sends a request and returns its reply; an error reply raises StanzaError unless `check` is false."""
        id = self.next_id()
        attributes = {"type": type, "id": id} | ({"to": to} if to is not None else {})
        self.send(E("iq", None, payload, **attributes))
        reply = self.wait(
            lambda e: e.tag == f"{{{CLIENT}}}iq" and e.get("id") == id and e.get("type") in ("result", "error"), timeout)
        condition = error_condition(reply)
        if check and condition is not None:
            raise StanzaError(condition, reply.findtext(f".//{{{STANZA_ERRORS}}}text"))
        return reply

    def next_id(self) -> str:
        """A stanza id not used before in this session."""
        return f"t{next(self._ids)}"

    def sync(self, to: str | None = None) -> None:
        """A ping (XEP-0199) to the own account or `to`: what was sent before it has been handled when this returns."""
        self.iq("get", E("ping", "urn:xmpp:ping"), to, check=False)

    def message(self, to: str, text: str, *children: Element, type: str = "chat", id: str | None = None) -> str:
        """Sends a message and returns its id."""
        id = id or self.next_id()
        self.send(E("message", None, E("body", None, text), *children, to=to, type=type, id=id))
        return id

    def presence(self, *children: Element, to: str | None = None, type: str | None = None,
                 priority: int | None = None) -> None:
        """Sends presence; without arguments: available."""
        attributes = {name: value for name, value in (("to", to), ("type", type)) if value is not None}
        if priority is not None:
            children += (E("priority", None, str(priority)),)
        self.send(E("presence", None, *children, **attributes))

    def join_room(self, room: str, nick: str | None = None, history: int | None = None) -> Element:
        """Enters a room (XEP-0045, section 7.2) and returns the own presence; StanzaError when refused."""
        occupant = f"{room}/{nick or self.user}"
        x = E("x", MUC)
        if history is not None:
            x.append(E("history", MUC, maxstanzas=str(history)))
        self.presence(x, to=occupant)

        def answers(element: Element) -> bool:
            if element.tag != f"{{{CLIENT}}}presence" or not (element.get("from") or "").startswith(room):
                return False
            codes = {status.get("code") for status in element.iter(f"{{{MUC_USER}}}status")}
            return element.get("type") == "error" or "110" in codes

        reply = self.wait(answers)
        condition = error_condition(reply)
        if condition is not None:
            raise StanzaError(condition, reply.findtext(f".//{{{STANZA_ERRORS}}}text"))
        return reply

    def leave_room(self, room: str, nick: str | None = None) -> None:
        """Leaves a room."""
        self.presence(to=f"{room}/{nick or self.user}", type="unavailable")
