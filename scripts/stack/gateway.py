"""The HTTP port of the local stack: what API Gateway is in front of Lambda.

cargo lambda 1.9 does the rest of API Gateway's work, but stops answering for good when about 100
invocations queue, takes the first of repeated headers and drops the others (API Gateway joins them),
and lets callers wait without end. So requests pass through here.
"""

from __future__ import annotations

import asyncio
import json

from stack.http1 import Request, Response, Upstream, read_request, start_server, write_response

IN_FLIGHT = 64
"""Requests that cargo lambda has at a time; the others wait their turn."""
PATIENCE = 30.0
"""Seconds until a caller is told that no answer came, as API Gateway does."""
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade", "expect"}


class Gateway:
    """Listens on `port`, passes on to cargo lambda at `upstream_port`."""

    def __init__(self, port: int, upstream_port: int) -> None:
        self._port = port
        self._upstream = Upstream("127.0.0.1", upstream_port)
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def start(self) -> asyncio.Server:
        """Starts to listen."""
        return await start_server(self._serve, self._port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await read_request(reader)) is not None:
                await self._respond(request, writer)
                if request.headers.get("connection", "").lower() == "close":
                    break
        except ValueError:
            await write_response(writer, 400, {"connection": "close"})
        except (OSError, EOFError):
            pass  # the caller has gone
        finally:
            writer.close()

    async def _respond(self, request: Request, writer: asyncio.StreamWriter) -> None:
        headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
        try:
            async with asyncio.timeout(PATIENCE), self._slots:
                answer = await self._pass_on(request, headers)
        except TimeoutError:
            await self._complain(writer, 503, "no answer came in time; look into functions.log")
            return
        except (OSError, EOFError, ValueError) as error:
            await self._complain(writer, 502, f"cargo lambda ended meanwhile ({error!r}); try again")
            return
        passed = {name: value for name, value in answer.headers.items() if name not in HOP_BY_HOP}
        length = answer.headers.get("content-length", "0")
        await write_response(
            writer, answer.status, passed, answer.body, int(length) if request.method == "HEAD" else None)

    async def _pass_on(self, request: Request, headers: dict[str, str]) -> Response:
        while True:
            try:
                return await self._upstream.call(request.method, request.path, request.body, headers)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)  # cargo lambda is starting; nothing was sent yet, so nothing is lost

    async def _complain(self, writer: asyncio.StreamWriter, status: int, detail: str) -> None:
        body = json.dumps({"message": f"local stack: {detail}"}).encode()
        await write_response(writer, status, {"content-type": "application/json"}, body)
