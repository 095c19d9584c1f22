"""A publisher that writes AMQP 0-9-1 frames as it is told to: what no client library would send."""

from __future__ import annotations

import socket
import struct
import urllib.parse

FRAME_METHOD, FRAME_HEADER, FRAME_BODY, FRAME_END = 1, 2, 3, 0xCE
CONNECTION_START, CONNECTION_START_OK = (10, 10), (10, 11)
CONNECTION_TUNE, CONNECTION_TUNE_OK = (10, 30), (10, 31)
CONNECTION_OPEN, CONNECTION_OPEN_OK, CONNECTION_CLOSE = (10, 40), (10, 41), (10, 50)
CHANNEL_OPEN, CHANNEL_OPEN_OK, CHANNEL_CLOSE = (20, 10), (20, 11), (20, 40)
CONFIRM_SELECT, CONFIRM_SELECT_OK = (85, 10), (85, 11)
BASIC_PUBLISH, BASIC_RETURN, BASIC_ACK = (60, 40), (60, 50), (60, 80)

PROPERTIES = {
    "content_type": 15, "content_encoding": 14, "headers": 13, "delivery_mode": 12, "priority": 11, "correlation_id": 10,
    "reply_to": 9, "expiration": 8, "message_id": 7, "timestamp": 6, "type": 5, "user_id": 4, "app_id": 3, "cluster_id": 2,
}
"""Each with its bit among the flags (AMQP 0-9-1, section 4.2.6.1), in the order in which they are written."""


class Refused(Exception):
    """The broker closed connection or channel; says why."""


def short(text: bytes) -> bytes:
    """A short string."""
    return bytes([len(text)]) + text


def long(text: bytes) -> bytes:
    """A long string, a table's or an array's content."""
    return struct.pack(">I", len(text)) + text


def nested(kind: bytes, depth: int) -> bytes:
    """A value of tables (`F`) or arrays (`A`) in each other."""
    value = b"V"
    for _ in range(depth):
        value = kind + long((short(b"a") if kind == b"F" else b"") + value)
    return value


def properties(**values: bytes) -> bytes:
    """The flags, and the values as they are given: encoded already."""
    flags = sum(1 << PROPERTIES[name] for name in values)
    return struct.pack(">H", flags) + b"".join(values[name] for name in PROPERTIES if name in values)


class RawPublisher:
    """One connection with one channel that confirms; used as a context manager."""

    def __init__(self, url: str) -> None:
        self._url = urllib.parse.urlsplit(url)

    def __enter__(self) -> RawPublisher:
        self._socket = socket.create_connection((self._url.hostname, self._url.port), timeout=20)
        self._in = self._socket.makefile("rb")
        self._socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._expect(CONNECTION_START)
        login = f"\0{self._url.username}\0{urllib.parse.unquote(self._url.password or '')}".encode()
        self._method(0, CONNECTION_START_OK, long(b"") + short(b"PLAIN") + long(login) + short(b"en_US"))
        self._expect(CONNECTION_TUNE)
        self._method(0, CONNECTION_TUNE_OK, struct.pack(">HIH", 16, 131072, 0))
        self._method(0, CONNECTION_OPEN, short(b"/") + short(b"") + b"\0")
        self._expect(CONNECTION_OPEN_OK)
        self._method(1, CHANNEL_OPEN, short(b""))
        self._expect(CHANNEL_OPEN_OK)
        self._method(1, CONFIRM_SELECT, b"\0")
        self._expect(CONFIRM_SELECT_OK)
        return self

    def __exit__(self, *_: object) -> None:
        self._in.close()
        self._socket.close()

    def publish(self, exchange: str, routing_key: bytes, header: bytes, body: bytes) -> None:
        """Publishes with `header`, the flags and values of the properties; Refused when the broker will not have it."""
        self._method(1, BASIC_PUBLISH, b"\0\0" + short(exchange.encode()) + short(routing_key) + b"\x01")
        self._frame(FRAME_HEADER, 1, struct.pack(">HHQ", 60, 0, len(body)) + header)
        self._frame(FRAME_BODY, 1, body)
        self._expect(BASIC_ACK)

    def _frame(self, kind: int, channel: int, payload: bytes) -> None:
        self._socket.sendall(struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([FRAME_END]))

    def _method(self, channel: int, method: tuple[int, int], arguments: bytes) -> None:
        self._frame(FRAME_METHOD, channel, struct.pack(">HH", *method) + arguments)

    def _expect(self, wanted: tuple[int, int]) -> None:
        while True:
            head = self._in.read(7)
            if len(head) < 7:
                raise Refused("the broker closed the connection")
            kind, _, size = struct.unpack(">BHI", head)
            payload = self._in.read(size + 1)[:-1]
            if kind != FRAME_METHOD:
                continue
            method = struct.unpack(">HH", payload[:4])
            if method == wanted:
                return
            if method in (CONNECTION_CLOSE, CHANNEL_CLOSE, BASIC_RETURN):
                raise Refused(payload[7:7 + payload[6]].decode(errors="replace"))
