"""HTTP byte by byte: sends anything, reads answers as strictly as RFC 9112 has them."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from dataclasses import dataclass

STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) [\t\x20-\x7e]*")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*"
                   rb"([\x21-\x7e\x80-\xff](?:[\x20\t\x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?[ \t]*")
MEDIA_TYPE = re.compile(r"[!#$&^_.+\-0-9A-Za-z]+/[!#$&^_.+\-0-9A-Za-z]+"
                        r"( *; *([!#$&^_.+\-0-9A-Za-z]+=([^\s\";,]+|\"[^\"\\]*\"))?)*")
KNOWN = {name.lower() for name in (
    "Date", "Connection", "Content-Type", "Content-Length", "Content-Disposition", "Content-Security-Policy",
    "Content-Range", "Accept-Ranges",
    "Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age",
    "X-Content-Type-Options", "X-Frame-Options", "Cache-Control", "ETag", "Last-Modified", "Expires", "Vary", "Location", "Allow",
    "Upgrade", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Version", "WWW-Authenticate", "Referrer-Policy",
    "Keep-Alive", "Strict-Transport-Security", "X-XSS-Protection", "X-Request-ID")}
"""Headers that the server has a reason to send."""
ONCE = {"content-type", "content-length", "content-disposition", "content-range"}
PATIENCE = 0.3
"""Seconds until an answer that has not begun is helped on by the end of the request."""


class Malformed(Exception):
    """An answer that is none."""


@dataclass
class Response:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    rest: bytes = b""
    """What came behind it."""
    whole: bool = True
    """Whether all of its body came."""


def exchange(port: int, request: bytes, patience: float = PATIENCE) -> bytes:
    """Sends bytes on a connection of their own; all that comes back."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection, suppress(OSError):
        connection.sendall(request)
        connection.settimeout(patience)
        with suppress(TimeoutError):
            received = connection.recv(1 << 16)
            if not received:
                return b""
        if not received or not complete(received):
            connection.settimeout(10 if received else patience)
            if not received:
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(1 << 20):
                received += piece
                if complete(received):
                    break
    return received


def complete(received: bytes) -> bool:
    """Whether the answer is all there, by its own length."""
    head, end, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *([0-9]+)", head, re.IGNORECASE)
    return bool(end and length and len(body) >= int(length[1]))


def parse(received: bytes, head_only: bool = False) -> Response:
    """The answer. Malformed if a proxy could read it otherwise than another."""
    head, end, rest = received.partition(b"\r\n\r\n")
    if not end:
        raise Malformed(f"no end of the headers: {head[:300]!r}")
    first, *lines = head.split(b"\r\n")
    status = STATUS.fullmatch(first)
    if not status:
        raise Malformed(f"no status line: {first[:300]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, value = field(line)
        if name in headers and name in ONCE:
            raise Malformed(f"{name} twice")
        headers[name] = value
    code = int(status[1])
    if code < 200 or code in (204, 304) or head_only:
        return Response(code, headers, b"", rest)
    length = headers.get("content-length", "")
    if not re.fullmatch("[0-9]+", length):
        return Response(code, headers, rest, whole=False)
    return Response(code, headers, rest[:int(length)], rest[int(length):], len(rest) >= int(length))


def field(line: bytes) -> tuple[str, str]:
    """Name and value of a header."""
    found = FIELD.fullmatch(line)
    if not found:
        raise Malformed(f"no header: {line[:300]!r}")
    name, value = found[1].decode().lower(), (found[2] or b"").decode("latin-1")
    if name not in KNOWN:
        raise Malformed(f"a header that the server has no reason to send: {line[:300]!r}")
    if name == "content-type" and not MEDIA_TYPE.fullmatch(value):
        raise Malformed(f"no media type: {line[:300]!r}")
    return name, value


def wanted(header: str, content: bytes) -> tuple[int, bytes | None]:
    """Status and body that a single range of bytes is due (RFC 9110, section 14); (0, None) where the header is no such."""
    found = re.fullmatch(r"bytes=([0-9]*)-([0-9]*)", header)
    if not found or found[1] == found[2] == "":
        return 0, None
    size = len(content)
    first = int(found[1]) if found[1] else max(0, size - int(found[2]))
    last = int(found[2]) if found[1] and found[2] else size - 1
    if found[1] and found[2] and last < first:
        return 0, None
    if first >= size or found[1] == "" and int(found[2]) == 0:
        return 416, None
    return 206, content[first:last + 1]
