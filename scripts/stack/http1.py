"""As much of HTTP/1.1 as the local stack's own programs need (RFC 9112)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

LIMIT = 1 << 20
"""Longest header section, in bytes."""
BODYLESS = (204, 304)


@dataclass
class Request:
    """A request, its body read."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case; repeated ones joined by commas (RFC 9110, section 5.3), as API Gateway does."""
    body: bytes


@dataclass
class Response:
    """A response, its body read."""

    status: int
    headers: dict[str, str]
    body: bytes


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise
        return None  # closed between two messages
    except asyncio.LimitOverrunError as error:
        raise ValueError("header section too large") from error
    first, *lines = head.decode("latin-1")[:-4].split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return first, headers


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str], limit: int | None = None) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        length = int(headers.get("content-length", "0"))
        if limit is not None and length > limit:
            raise ValueError(f"the body is larger than {limit} bytes")
        return await reader.readexactly(length)
    body = b""
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if size == 0:
            break
        if limit is not None and len(body) + size > limit:
            raise ValueError(f"the body is larger than {limit} bytes")
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while (await reader.readuntil(b"\r\n")) != b"\r\n":
        pass  # trailers
    return body


async def start_server(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], port: int
) -> asyncio.Server:
    """Serves each connection on a port of loopback."""
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Connections are cancelled when the program ends; asyncio would print a traceback for each, after whatever
        # the program had to say at its end.
        with contextlib.suppress(asyncio.CancelledError):
            await serve(reader, writer)

    return await asyncio.start_server(connection, "127.0.0.1", port, limit=LIMIT, backlog=1024)


async def read_request(reader: asyncio.StreamReader, max_body: int | None = None) -> Request | None:
    """The next request of a connection, None at its end; ValueError when it is none, or its body has more bytes than that."""
    head = await _read_head(reader)
    if head is None:
        return None
    method, path, _ = head[0].split(" ", 2)
    return Request(method, path, head[1], await _read_body(reader, head[1], max_body))


async def write_response(
    writer: asyncio.StreamWriter, status: int, headers: dict[str, str] | None = None, body: bytes = b"",
    length: int | None = None,
) -> None:
    """Answers a request; `length` is what a HEAD request is told."""
    lines = [f"HTTP/1.1 {status} -"] + [f"{name}: {value}" for name, value in (headers or {}).items()]
    if status not in BODYLESS:
        lines.append(f"content-length: {len(body) if length is None else length}")
    writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
    await writer.drain()


class Upstream:
    """A client of one server that keeps its connections."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(*self._address, limit=LIMIT)

    async def call(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        """Sends a request and reads its answer."""
        reader, writer = await self._connection()
        try:
            lines = [f"{method} {path} HTTP/1.1"]
            lines += [f"{name}: {value}" for name, value in ({"host": self._address[0]} | (headers or {})).items()]
            lines.append(f"content-length: {len(body)}")
            writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
            await writer.drain()
            answer = await _read_head(reader)
            if answer is None:
                raise EOFError("the server closed the connection")
            first, answered = answer
            status = int(first.split(" ", 2)[1])
            payload = b"" if method == "HEAD" or status in BODYLESS else await _read_body(reader, answered)
        except BaseException:
            writer.close()
            raise
        if answered.get("connection", "").lower() == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return Response(status, answered, payload)
