"""AWS Lambda's part of the local stack: runs the functions' binaries for cargo lambda's API emulation.

`cargo lambda watch --only-lambda-apis` makes invocations of HTTP requests; this program fetches those
and hands them to copies of the functions, as Lambda does: one invocation at a time a copy, another
copy when all are busy, an error for the caller when a copy crashes or takes longer than the function's
timeout. Left to itself cargo lambda 1.9 lets the callers of a crashed copy wait for ever and tells the
functions a deadline in 1970. gateway.py is the HTTP side.

Its output, and the functions', is one log; it runs in the foreground and ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stack.command_line import in_words  # noqa: E402
from stack.die_with_parent import bind_to_parent  # noqa: E402
from stack.gateway import Gateway  # noqa: E402
from stack.http1 import Request, Upstream, read_request, start_server, write_response  # noqa: E402

NEXT = "/2018-06-01/runtime/invocation/next"
PULLERS = 16
"""Long polls per function."""
IDLE_LIMIT = 60.0
"""A copy beyond the first ones ends after this many seconds without work."""
DEFAULT = "_"
"""cargo lambda's name for "no function": requests whose method no route has."""


def log(level: str, message: str, **fields: object) -> None:
    """A line like the functions' own."""
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"level": level, "message": message, "timestamp": stamp, "location": "local_lambda", **fields})
    os.write(1, line.encode() + b"\n")


@dataclass
class Invocation:
    """One call of a function."""

    id: str
    source: str
    """The name that cargo lambda invoked."""
    headers: dict[str, str]
    body: bytes


@dataclass(eq=False)
class Copy:
    """One process of a function."""

    number: int
    function: Function
    process: asyncio.subprocess.Process | None = None
    current: Invocation | None = None
    waiter: asyncio.Future[Invocation] | None = None
    timer: asyncio.TimerHandle | None = None
    has_asked: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def has_exited(self) -> bool:
        """Whether the process has ended, known a moment before the event loop hears of it."""
        if self.process is None or self.process.returncode is not None:
            return self.process is not None
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


class Function:
    """The copies of one function and the invocations that wait for one."""

    def __init__(self, name: str, host: Host) -> None:
        self.name, self.host = name, host
        self.copies: set[Copy] = set()
        self.waiting: deque[Invocation] = deque()
        self.has_started = False
        """Whether a copy of it ever did."""

    def submit(self, invocation: Invocation) -> None:
        """Gives it to an idle copy, or has it wait for one, started for it if there may be more."""
        idle = [c for c in self.copies if c.waiter is not None and not c.waiter.done() and not c.has_exited]
        if idle:
            self.assign(max(idle, key=lambda copy: -copy.number), invocation)
            return
        self.waiting.append(invocation)
        starting = sum(1 for copy in self.copies if not copy.has_asked)
        if len(self.copies) < self.host.options.max_copies and starting < len(self.waiting):
            self.host.start_copy(self)

    def assign(self, copy: Copy, invocation: Invocation) -> None:
        """Hands an invocation to an idle copy and starts its clock."""
        assert copy.waiter is not None
        copy.current = invocation
        loop = asyncio.get_running_loop()
        copy.timer = loop.call_later(self.host.options.timeout, self.host.time_out, copy, invocation)
        copy.waiter.set_result(invocation)

    async def next(self, copy: Copy) -> Invocation | None:
        """The copy's next invocation; None when it has been idle for so long that it should end."""
        copy.has_asked = self.has_started = True
        self.host.fill_up()
        copy.waiter = asyncio.get_running_loop().create_future()
        if self.waiting:
            self.assign(copy, self.waiting.popleft())
        try:
            while True:
                try:
                    return await asyncio.wait_for(asyncio.shield(copy.waiter), IDLE_LIMIT)
                except TimeoutError:
                    if len(self.copies) > self.host.options.min_copies and not copy.waiter.done():
                        return None
        finally:
            copy.waiter = None


class Host:
    """Everything: cargo lambda, the copies, and the runtime API between them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.functions = {name: Function(name, self) for name in options.function}
        self.copies: dict[int, Copy] = {}
        self.upstream = Upstream("127.0.0.1", options.gateway_port)
        self.counter = 0
        self.gateway: asyncio.subprocess.Process | None = None
        self.stopping = asyncio.Event()
        self.exit_code = 0
        self.tasks: set[asyncio.Task[None]] = set()

    def spawn(self, coroutine) -> None:
        """Runs it beside the rest; asyncio itself keeps only weak references."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def run(self) -> int:
        """Serves until SIGTERM."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        server = await start_server(self.serve, self.options.runtime_port)
        front = await Gateway(self.options.port, self.options.gateway_port).start()
        self.spawn(self.keep_gateway())
        # One alone at first: what is wrong with the configuration is then said once.
        self.start_copy(self.functions[self.options.function[0]])
        sources = {name: name for name in self.functions} | {DEFAULT: self.options.function[0]}
        for source, name in sources.items():
            for _ in range(PULLERS):
                self.spawn(self.pull(source, self.functions[name]))
        await self.stopping.wait()
        front.close()
        server.close()
        for process in [copy.process for copy in self.copies.values()] + [self.gateway]:
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()
        return self.exit_code

    # cargo lambda

    async def keep_gateway(self) -> None:
        """Runs cargo lambda, again whenever it ends."""
        options = self.options
        argv = [
            options.cargo_lambda, "lambda", "watch", "--only-lambda-apis", "--disable-cors", "--ignore-changes",
            "--offline", "--manifest-path", str(options.manifest), "--invoke-address", "127.0.0.1", "--invoke-port", str(options.gateway_port),
        ]
        while not self.stopping.is_set():
            with open(options.gateway_log, "ab") as output:
                # From an empty folder: it looks through all of the one it is started in, target/ included.
                self.gateway = await self.execute(
                    argv, cwd=options.empty, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output)
            code = await self.gateway.wait()
            if not self.stopping.is_set():
                log("error", "cargo lambda ended, starting it again", exit_code=code)
                await asyncio.sleep(0.2)

    async def execute(self, argv: list[str], **options) -> asyncio.subprocess.Process:
        """Starts a process that ends with this one."""
        parent = os.getpid()
        # Safe here: this program has one thread.
        return await asyncio.create_subprocess_exec(*argv, preexec_fn=lambda: bind_to_parent(parent), **options)

    async def pull(self, source: str, function: Function) -> None:
        """Fetches invocations as soon as there are any, however many copies are free."""
        while not self.stopping.is_set():
            try:
                answer = await self.upstream.call("GET", f"/.rt/{source}{NEXT}")
            except (OSError, EOFError, ValueError):
                await asyncio.sleep(0.05)  # cargo lambda is not up yet, or was ended
                continue
            id = answer.headers.get("lambda-runtime-aws-request-id")
            if answer.status == 200 and id is not None:
                function.submit(Invocation(id, source, answer.headers, answer.body))
            else:
                await asyncio.sleep(0.05)

    async def answer(self, invocation: Invocation, kind: str, body: bytes) -> None:
        """Passes on what became of an invocation. When cargo lambda was ended meanwhile nobody waits for it."""
        path = f"/.rt/{invocation.source}/2018-06-01/runtime/invocation/{invocation.id}/{kind}"
        try:
            # cargo lambda acknowledges before it has read the body, and reads on only when the next
            # request comes or there will be none.
            await self.upstream.call("POST", path, body, {"connection": "close"})
        except (OSError, EOFError, ValueError) as error:
            log("warn", "An answer could not be delivered", function_request_id=invocation.id, error=in_words(error))

    def fail(self, copy: Copy, kind: str, message: str) -> None:
        """Answers the copy's current invocation, if any, with an error, as Lambda does."""
        invocation, copy.current = copy.current, None
        if copy.timer is not None:
            copy.timer.cancel()
        if invocation is not None:
            body = json.dumps({"errorType": kind, "errorMessage": f"RequestId: {invocation.id} Error: {message}"})
            self.spawn(self.answer(invocation, "error", body.encode()))

    # Copies

    def fill_up(self) -> None:
        """Starts all copies that should always be there."""
        for function in self.functions.values():
            while len(function.copies) < self.options.min_copies:
                self.start_copy(function)

    def start_copy(self, function: Function) -> None:
        """Starts one more copy."""
        self.counter += 1
        copy = Copy(self.counter, function)
        self.copies[copy.number] = copy
        function.copies.add(copy)
        self.spawn(self.live(copy))

    async def live(self, copy: Copy) -> None:
        """The life of a copy, from start to exit, and what follows."""
        function = copy.function
        environment = {
            **os.environ,
            "AWS_LAMBDA_RUNTIME_API": f"http://127.0.0.1:{self.options.runtime_port}/{copy.number}",
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": str(copy.number),
        }
        try:
            copy.process = await self.execute(
                [str(self.options.binaries / function.name)], env=environment, stdin=asyncio.subprocess.DEVNULL)
        except OSError as error:
            log("error", "Function cannot be started; build it first", function=function.name, error=str(error))
            self.exit_code = 1
            self.stopping.set()
            return
        code = await copy.process.wait()
        del self.copies[copy.number]
        function.copies.discard(copy)
        if self.stopping.is_set():
            return
        self.fail(copy, "Runtime.ExitError", f"Runtime exited with code {code}")
        if not function.has_started:
            # It found fault with its configuration and has said so; another copy would say it again.
            log("error", "Function ended before it was ready", function=function.name, exit_code=code)
            self.exit_code = 1
            self.stopping.set()
        elif len(function.copies) < self.options.min_copies or function.waiting:
            log("warn", "Function ended, starting it again", function=function.name, exit_code=code)
            if time.monotonic() - copy.started < 1:
                await asyncio.sleep(0.5)
            self.start_copy(function)

    def time_out(self, copy: Copy, invocation: Invocation) -> None:
        """Ends a copy that has not answered in time."""
        if copy.current is invocation and copy.process is not None:
            log("error", "Function timed out", function=copy.function.name, function_request_id=invocation.id)
            self.fail(copy, "Sandbox.Timedout", f"Task timed out after {self.options.timeout:.2f} seconds")
            if copy.process.returncode is None:
                copy.process.kill()

    # The runtime API, as the functions see it

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a function, or of whoever asks for readiness."""
        try:
            while (request := await read_request(reader)) is not None:
                if not await self.respond(request, writer):
                    break
        except (OSError, EOFError, ValueError):
            pass  # the copy is gone; `live` deals with that
        finally:
            writer.close()

    async def respond(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; False ends the connection."""
        if request.path == "/ready":
            ready = all(any(copy.has_asked for copy in function.copies) for function in self.functions.values())
            await write_response(writer, 200 if ready else 503)
            return True
        number, _, rest = request.path.lstrip("/").partition("/")
        copy = self.copies.get(int(number)) if number.isdigit() else None
        if copy is None:
            await write_response(writer, 404)
            return False
        path = f"/{rest}"
        if path == NEXT:
            invocation = await copy.function.next(copy)
            if invocation is None:
                if copy.process is not None and copy.process.returncode is None:
                    copy.process.kill()
                return False
            headers = {name: value for name, value in invocation.headers.items() if name.startswith("lambda-runtime-")}
            headers["lambda-runtime-deadline-ms"] = str(int((time.time() + self.options.timeout) * 1000))
            headers["content-type"] = "application/json"
            await write_response(writer, 200, headers, invocation.body)
            return True
        kind = path.rpartition("/")[2]
        if kind in ("response", "error") and copy.current is not None and copy.current.id in path:
            invocation, copy.current = copy.current, None
            if copy.timer is not None:
                copy.timer.cancel()
            await self.answer(invocation, kind, request.body)
        elif path.endswith("/init/error"):
            log("error", "Function failed to start", function=copy.function.name)
        await write_response(writer, 202)
        return True


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("function", nargs="+", help="names of the functions; the first also serves unrouted requests")
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--cargo-lambda", required=True)
    parser.add_argument("--manifest", type=Path, required=True, help="the Cargo.toml with cargo lambda's routes")
    parser.add_argument("--empty", type=Path, required=True, help="an empty folder")
    parser.add_argument("--port", type=int, required=True, help="for HTTP requests")
    parser.add_argument("--gateway-port", type=int, required=True, help="for cargo lambda")
    parser.add_argument("--gateway-log", required=True)
    parser.add_argument("--runtime-port", type=int, required=True)
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds a call may take, as in template.yaml")
    parser.add_argument("--min-copies", type=int, default=2)
    parser.add_argument("--max-copies", type=int, default=50)
    options = parser.parse_args()

    async def run() -> int:
        return await Host(options).run()

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
