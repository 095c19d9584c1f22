"""The page's XMPP connections: WebSockets that pass through the console, so that they can be cut and frozen as a network does."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from stack.http1 import Request

CHUNK = 1 << 16
HOP = {"host", "origin", "cookie"}
"""Headers that are not passed on as they are."""


@dataclass(eq=False)
class Link:
    """One connection, from page to server."""

    writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    flows: asyncio.Event = field(default_factory=asyncio.Event)
    """Not set while it is frozen: nothing passes, nothing is closed."""

    def cut(self) -> None:
        """Ends both halves at once, without a word of XMPP or WebSocket."""
        for writer in self.writers:
            writer.transport.abort()


class Links:
    """All of them, by the name that the page gave each."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}

    def act(self, name: str, action: str) -> bool:
        """Cuts, freezes or thaws a connection; False when there is none."""
        link = self._links.get(name)
        if link is None:
            return False
        if action == "cut":
            link.cut()
        elif action == "freeze":
            link.flows.clear()
        else:
            link.flows.set()
        return True

    async def relay(self, name: str, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                    port: int, path: str) -> None:
        """Passes a WebSocket on to the XMPP server until either side ends it."""
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        link = Link((writer, up_writer))
        link.flows.set()
        self._links[name] = link
        try:
            up_writer.write(_head(request, port, path))
            pumps = [asyncio.ensure_future(_pump(link, *ends)) for ends in ((reader, up_writer), (up_reader, writer))]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            if self._links.get(name) is link:
                del self._links[name]
            up_writer.close()


def _head(request: Request, port: int, path: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items() if name not in HOP]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _pump(link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            await link.flows.wait()
            writer.write(data)
            await writer.drain()
