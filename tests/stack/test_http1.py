"""The stack's own HTTP server."""

import asyncio

from stack.http1 import read_request, start_server
from stack.ports import free_port


def test_connections_that_are_open_at_the_end_add_nothing_to_the_log_tail(caplog):
    async def program() -> None:
        accepted = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set()
            await read_request(reader)

        port = free_port()
        await start_server(serve, port)
        await asyncio.open_connection("127.0.0.1", port)
        await accepted.wait()

    asyncio.run(program())
    assert caplog.text == ""
