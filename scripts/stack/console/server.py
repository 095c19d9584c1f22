"""The console's HTTP side: the page's files, the API behind the key, and what is passed on to the stack."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from pathlib import Path

from stack import cells
from stack.aws import AwsError
from stack.command_line import in_words
from stack.console.api import ROUTES, Refused
from stack.console.guard import Guard
from stack.console.links import Links
from stack.console.world import TROUBLE, World
from stack.http1 import Request, Upstream, read_request, start_server, write_response
from stack.stack_env import port_of

PAGE = Path(__file__).with_name("page")
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml"}
MAX_BODY = 2 << 20
"""Bytes; events may be larger than what SQS takes, to see what becomes of them."""
REST, API, LINK = "/rest/", "/api/", "/link/"
REST_HEADERS = ("content-type", "www-authenticate", "retry-after")


class Server:
    """Serves one stack's console."""

    def __init__(self, world: World, port: int, key: str) -> None:
        self._world, self._port = world, port
        self._guard, self._links = Guard(port, key), Links()
        self._files = {f"/{file.relative_to(PAGE)}": file for file in PAGE.rglob("*") if file.suffix in TYPES}
        self._files["/"] = self._files["/index.html"]

    async def start(self) -> asyncio.Server:
        """Starts to listen."""
        return await start_server(self._serve, self._port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await read_request(reader, MAX_BODY)) is not None:
                refusal = self._guard.refusal(request)
                if refusal is not None:
                    await self._answer(request, writer, 403, {"error": refusal})
                elif request.path.startswith(LINK):
                    await self._relay(request, reader, writer)
                    break
                else:
                    await self._respond(request, writer)
        except ValueError as error:
            await write_response(writer, 400, {"connection": "close"}, f"{error}\n".encode())
        except (OSError, EOFError):
            pass  # whoever asked has gone
        finally:
            writer.close()

    async def _respond(self, request: Request, writer: asyncio.StreamWriter) -> None:
        url = urllib.parse.urlsplit(request.path)
        if not url.path.startswith((REST, API)):
            await self._file(request, url.path, writer)
        elif not self._guard.has_key(request):
            await self._answer(request, writer, 401, {"error": "open the console by the address that scripts/run prints: the key is in it"})
        elif url.path.startswith(REST):
            await self._rest(request, writer)
        else:
            await self._api(request, url, writer)

    async def _file(self, request: Request, path: str, writer: asyncio.StreamWriter) -> None:
        file = self._files.get(path)
        if file is None or request.method not in ("GET", "HEAD"):
            await self._answer(request, writer, 404, {"error": "there is no such page"})
            return
        body = file.read_bytes()
        headers = self._guard.headers(request) | {"content-type": TYPES[file.suffix]}
        await write_response(writer, 200, headers, b"" if request.method == "HEAD" else body, len(body))

    async def _api(self, request: Request, url: urllib.parse.SplitResult, writer: asyncio.StreamWriter) -> None:
        call = ROUTES.get((request.method, url.path.removeprefix(API)))
        if call is None:
            await self._answer(request, writer, 404, {"error": f"there is no {request.method} {url.path}"})
            return
        try:
            given = dict(urllib.parse.parse_qsl(url.query)) if request.method == "GET" else json.loads(request.body or b"{}")
            if not isinstance(given, dict):
                raise Refused("the body is no JSON object")
            status, content = 200, await call(self._world, self._links, given)
        except (Refused, ValueError, KeyError, TypeError) as error:
            status, content = 400, {"error": f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)}
        except TROUBLE as error:
            status, content = 503, {"error": in_words(error)}
        await self._answer(request, writer, status, content)

    async def _rest(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """Passes a call on to the REST API, as the page's own."""
        headers = {name: request.headers[name] for name in ("authorization", "content-type") if name in request.headers}
        upstream = Upstream("127.0.0.1", port_of(self._world.env["API_URL"]))
        try:
            answer = await upstream.call(request.method, request.path.removeprefix(REST[:-1]), request.body, headers | {"connection": "close"})
        except (OSError, EOFError, ValueError) as error:
            await self._answer(request, writer, 503, {"error": f"the REST API does not answer ({in_words(error)}); see Processes"})
            return
        kept = {name: answer.headers[name] for name in REST_HEADERS if name in answer.headers}
        await write_response(writer, answer.status, self._guard.headers(request) | kept, answer.body)

    async def _relay(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._guard.has_key_in_query(request) or request.headers.get("upgrade", "").lower() != "websocket":
            await self._answer(request, writer, 401, {"error": "this is for the console's own page"})
            return
        url = urllib.parse.urlsplit(request.path)
        domain = dict(urllib.parse.parse_qsl(url.query)).get("domain", self._world.env["XMPP_DOMAIN"])
        name = url.path.removeprefix(LINK)
        try:
            own = await asyncio.to_thread(cells.at, self._world.env, domain)
            server = urllib.parse.urlsplit(own["XMPP_URL"])
            await self._links.relay(name, request, reader, writer, server.port or 0, server.path)
        except ConnectionRefusedError:
            await self._answer(request, writer, 503, {"error": "the XMPP server does not run; see Processes"})
        except AwsError as error:
            await self._answer(request, writer, 503, {"error": f"which XMPP server {domain} is on cannot be read: {in_words(error)}"})

    async def _answer(self, request: Request, writer: asyncio.StreamWriter, status: int, content: object) -> None:
        body = json.dumps(content, ensure_ascii=False, default=str).encode()
        await write_response(writer, status, self._guard.headers(request) | {"content-type": "application/json"}, body)
