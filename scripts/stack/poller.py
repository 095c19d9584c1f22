"""Lambda's event source mapping for SQS, of the local stack: receives messages, invokes functions with
batches of them, deletes what they have handled.

What a function reports as failed, or a whole batch when the function failed, is left alone: it is received
again when its visibility timeout is over. Runs in the foreground and ends on SIGTERM; messages that it holds
then come again, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from stack import aws, event_outline, sqs_event  # noqa: E402
from stack.command_line import in_words  # noqa: E402
from stack.event_types import COALESCED, EVENT_FUNCTIONS, RESYNC  # noqa: E402
from stack.http1 import Response, Upstream  # noqa: E402
from stack.sqs_event import Message  # noqa: E402

RECEIVE = 10
"""Messages that one call to SQS receives or deletes at most."""
LONG_POLL = 1
"""Seconds. Lambda's own polls are longer, but the fake AWS would wait for their end when it is stopped."""
PAUSE = 0.02
"""Seconds between two looks into a queue that had nothing more for a batch that is being gathered."""
LONGEST_BACK_OFF = 2.0
TROUBLE = (OSError, EOFError, ValueError, aws.AwsError)
"""What a call to SQS may fail with."""


def log(level: str, message: str, **fields: object) -> None:
    """A line like the functions' own."""
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"level": level, "message": message, "timestamp": stamp, "location": "poller", **fields})
    os.write(1, line.encode() + b"\n")


@dataclass(frozen=True)
class Batching:
    """How messages are gathered, as in template.yaml."""

    size: int
    """Most messages of a batch."""
    window: float
    """Seconds that a batch is gathered for when it is not full."""
    concurrency: int
    """Invocations of the function at a time."""


class Mapping:
    """One queue and the function that handles its messages."""

    def __init__(self, function: str, batching: Batching, options: argparse.Namespace, invoker: Upstream) -> None:
        self.function = function
        self.batching = batching
        self.queue = f"{options.prefix}{function}"
        self._url = f"http://127.0.0.1:{options.queue_port}/{aws.ACCOUNT}/{self.queue}"
        self._sqs = Upstream("127.0.0.1", options.queue_port)
        self._invoker = invoker
        self._slots = asyncio.Semaphore(batching.concurrency)
        self._patience = options.patience
        self._tells_way = options.log_level in ("debug", "silly")
        self._errors = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Receives and invokes until it is cancelled."""
        while True:
            await self._slots.acquire()
            try:
                messages = await self._gather()
            except TROUBLE as error:
                log("warn", "Queue cannot be read, trying again", queue=self.queue, error=in_words(error))
                self._slots.release()
                await asyncio.sleep(0.5)
                continue
            except BaseException:
                self._slots.release()
                raise
            task = asyncio.create_task(self._handle(messages))
            self._tasks.add(task)
            task.add_done_callback(self._finish)
            if self._errors:
                await asyncio.sleep(min(LONGEST_BACK_OFF, 0.1 * 2**self._errors))

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            log("error", "Batch was dropped by a fault of the poller's", queue=self.queue, error=repr(error))

    async def _call(self, action: str, **parameters: object) -> dict:
        body = json.dumps({"QueueUrl": self._url, **parameters}).encode()
        answer = await self._sqs.call("POST", "/", body, aws.headers("sqs", action))
        return aws.decode(answer.status, answer.body)

    async def _receive(self, limit: int, wait: int) -> list[Message]:
        answer = await self._call(
            "ReceiveMessage", MaxNumberOfMessages=min(RECEIVE, limit), WaitTimeSeconds=wait,
            MessageSystemAttributeNames=["All"], AttributeNames=["All"], MessageAttributeNames=["All"])
        return answer.get("Messages", [])

    async def _gather(self) -> list[Message]:
        """The next batch, at least one message."""
        size = self.batching.size
        messages: list[Message] = []
        while not messages:
            messages = await self._receive(size, LONG_POLL)
        deadline = time.monotonic() + self.batching.window
        while len(messages) < size and (left := deadline - time.monotonic()) > 0:
            missing = size - len(messages)
            calls = [self._receive(missing - start, 0) for start in range(0, missing, RECEIVE)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            found = [one for some in answers if not isinstance(some, BaseException) for one in some]
            messages += found
            if failed := [answer for answer in answers if isinstance(answer, BaseException)]:
                if not isinstance(failed[0], TROUBLE):
                    raise failed[0]
                # What has been received is handled now: nobody else sees it before its visibility timeout ends.
                log("warn", "Queue cannot be read, going on with what there is", queue=self.queue, error=in_words(failed[0]),
                    messages=len(messages))
                break
            if not found:
                await asyncio.sleep(min(PAUSE, left))
        return messages

    async def _handle(self, messages: list[Message]) -> None:
        if self._tells_way:
            for message in messages:
                log("debug", "Event goes to its function", queue=self.queue, **way_of(message))
        for part in sqs_event.split(messages):
            await self._delete(await self._invoke(part))

    async def _invoke(self, messages: list[Message]) -> list[Message]:
        """Has the function handle a batch; returns the messages that are done."""
        answer = await self._invoke_function(sqs_event.payload(messages, self.queue))
        failed: set[str] | None = None
        if answer is not None and answer.status == 200 and "x-amz-function-error" not in answer.headers:
            failed = sqs_event.failed(answer.body, {message["MessageId"] for message in messages})
            if failed is None:
                log("error", "Function answers no batch response", queue=self.queue, answer=_excerpt(answer))
        elif answer is not None:
            log("error", "Function failed", queue=self.queue, status=answer.status, answer=_excerpt(answer))
        if failed is None:
            self._errors = min(self._errors + 1, 10)
            log("warn", "Batch failed, its messages come again", queue=self.queue, messages=len(messages))
            return []
        self._errors = 0
        if failed:
            log("debug", "Some messages failed and come again", queue=self.queue, messages=len(failed))
        return [message for message in messages if message["MessageId"] not in failed]

    async def _invoke_function(self, payload: bytes) -> Response | None:
        """The function's answer; None when none came."""
        path = f"/2015-03-31/functions/{self.function}/invocations"
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return await self._invoker.call("POST", path, payload, {"content-type": "application/json"})
            except ConnectionRefusedError as error:
                # The functions are being started. Nothing was sent, so it can be tried again while the
                # messages are this poller's for long enough.
                if time.monotonic() > deadline:
                    log("warn", "Functions do not run", queue=self.queue, error=in_words(error))
                    return None
                await asyncio.sleep(0.1)
            except (OSError, EOFError, ValueError) as error:
                log("warn", "Functions ended before they answered", queue=self.queue, error=in_words(error))
                return None

    async def _delete(self, messages: list[Message]) -> None:
        parts = [messages[start:start + RECEIVE] for start in range(0, len(messages), RECEIVE)]
        await asyncio.gather(*(self._delete_part(part) for part in parts))

    async def _delete_part(self, messages: list[Message]) -> None:
        entries = [{"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                   for number, message in enumerate(messages)]
        try:
            failed = (await self._call("DeleteMessageBatch", Entries=entries)).get("Failed", [])
        except TROUBLE as error:
            failed = [in_words(error)]
        if failed:
            # They come again, which handlers bear.
            log("warn", "Messages could not be deleted", queue=self.queue, failed=failed)


def way_of(message: Message) -> dict[str, object]:
    """What connects a message with the lines of other programs: see scripts/trace."""
    fields: dict[str, object] = {"event.id": event_outline.of_stamped(message["Body"]).id,
                                 "attempt": int(message.get("Attributes", {}).get("ApproximateReceiveCount", "1"))}
    context = message.get("MessageAttributes", {}).get("traceparent", {}).get("StringValue", "").split("-")
    return fields | ({"trace_id": context[1]} if len(context) == 4 else {})


def _excerpt(answer: Response) -> str:
    return answer.body[:500].decode(errors="replace")


async def give_sign_of_life(file: Path) -> None:
    """Shows that the event loop runs, to whoever looks at the file."""
    while True:
        file.touch()
        await asyncio.sleep(1)


async def resync(invoker: Upstream, interval: float) -> None:
    """Invokes `resync` on a schedule, as EventBridge does."""
    while True:
        await asyncio.sleep(interval)
        try:
            answer = await invoker.call("POST", f"/2015-03-31/functions/{RESYNC}/invocations", b"{}",
                                        {"content-type": "application/json"})
            if answer.status != 200 or "x-amz-function-error" in answer.headers:
                log("error", "Function failed", function=RESYNC, status=answer.status, answer=_excerpt(answer))
        except (OSError, EOFError, ValueError) as error:
            log("warn", "Functions did not answer", function=RESYNC, error=in_words(error))


async def run(options: argparse.Namespace) -> None:
    """Serves all queues until SIGTERM."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    invoker = Upstream("127.0.0.1", options.api_port)
    tasks = []
    for function in options.function:
        batching = (Batching(options.large_batch, options.window, options.concurrency) if function in COALESCED
                    else Batching(RECEIVE, 0.0, options.concurrency))
        tasks.append(loop.create_task(Mapping(function, batching, options, invoker).run()))
    if options.sign_of_life:
        tasks.append(loop.create_task(give_sign_of_life(options.sign_of_life)))
    if options.resync_every:
        tasks.append(loop.create_task(resync(invoker, options.resync_every)))
    log("info", "Polling", queues=len(options.function))
    await stopping.wait()
    for task in tasks:
        task.cancel()


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("function", nargs="*", default=EVENT_FUNCTIONS)
    parser.add_argument("--queue-port", type=int, required=True, help="of SQS")
    parser.add_argument("--api-port", type=int, required=True, help="where functions are invoked")
    parser.add_argument("--prefix", required=True, help="what the queues' names begin with")
    parser.add_argument("--large-batch", type=int, default=100, help="messages; functions that coalesce")
    parser.add_argument("--window", type=float, default=0.005, help="seconds; functions that coalesce (AWS has a whole one at least)")
    parser.add_argument("--concurrency", type=int, default=4, help="invocations of a function at a time")
    parser.add_argument("--patience", type=float, default=4.0, help="seconds to wait for functions that do not run")
    parser.add_argument("--log-level", default="info", help="from debug on, a line for each event that goes to a function")
    parser.add_argument("--sign-of-life", type=Path, metavar="FILE", help="a file to touch every second")
    parser.add_argument("--resync-every", type=float, default=0.0, metavar="SECONDS", help="0: never")
    asyncio.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
