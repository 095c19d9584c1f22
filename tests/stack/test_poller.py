"""The local stack's event source mapping, between the fake AWS and a function that does as it is told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stack import aws, fake_aws, functions
from stack.paths import ROOT, StackPaths
from stack.ports import free_port
from stack.process import Process
from stack.supervisor import Supervisor
from support import log_lines
from support.aws_proxy import AwsProxy
from support.wait import until

SINGLE, COALESCED = "users-group-created", "conference-participant-joined"
VISIBILITY = 2
FAKE = Path(__file__).with_name("fake_function.py")


def manifest(folder: Path, names: tuple[str, ...]) -> Path:
    """A crate with these binaries: cargo lambda invokes no others."""
    folder.mkdir()
    (folder / "main.rs").write_text("fn main() {}\n")
    bins = "".join(f'[[bin]]\nname = "{name}"\npath = "main.rs"\n' for name in names)
    (folder / "Cargo.toml").write_text(
        f'[package]\nname = "fakes"\nversion = "0.0.0"\n{bins}[workspace]\n'
        '[package.metadata.lambda.watch.router]\n"/{*rest}" = "login"\n')
    return folder / "Cargo.toml"


class Rig:
    """Queues, functions, poller."""

    def __init__(self, paths: StackPaths, supervisor: Supervisor) -> None:
        self.paths, self.supervisor = paths, supervisor
        self.record = paths.state / "record"
        binaries = paths.state / "binaries"
        binaries.mkdir()
        names = ("login", SINGLE, COALESCED)
        for name in names:
            (binaries / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}"\n')
            (binaries / name).chmod(0o755)
        self.queue_port, self.api_port = free_port(), free_port()
        supervisor.start(fake_aws.process(fake_aws.Settings(paths.fake_aws_data, self.queue_port)))
        fake_aws.create_queues(self.queue_port)
        for name in (SINGLE, COALESCED):
            self.sqs("SetQueueAttributes", name, Attributes={"VisibilityTimeout": str(VISIBILITY)})
        self.functions = functions.process(functions.Settings(
            port=self.api_port, runtime_port=free_port(), gateway_port=free_port(), functions=names, copies=1,
            binaries=binaries, manifest=manifest(paths.state / "crate", names), environment={"FAKE_RECORD": str(self.record)}), paths)
        supervisor.start(self.functions)

    def poll(self, queue_port: int | None = None, window: float = 0.1, api_port: int | None = None, patience: float = 4.0) -> None:
        """Starts the poller."""
        self.supervisor.start(Process(
            name="poller", ready=lambda: True, argv=[
                sys.executable, str(ROOT / "scripts" / "stack" / "poller.py"), SINGLE, COALESCED,
                "--queue-port", str(queue_port or self.queue_port), "--api-port", str(api_port or self.api_port),
                "--prefix", fake_aws.QUEUE_PREFIX, "--large-batch", "40", "--window", str(window), "--patience", str(patience)]))

    def sqs(self, action: str, function: str, **parameters: Any) -> dict[str, Any]:
        """A call about a function's queue."""
        url = f"http://127.0.0.1:{self.queue_port}/{aws.ACCOUNT}/{fake_aws.QUEUE_PREFIX}{function}"
        return aws.call(self.queue_port, "sqs", action, QueueUrl=url, **parameters)

    def send(self, function: str, **order: Any) -> str:
        """Sends an order and returns its message id."""
        return self.sqs("SendMessage", function, MessageBody=json.dumps(order), MessageAttributes={
            "traceparent": {"DataType": "String", "StringValue": "00-1-2-01"}})["MessageId"]

    def calls(self) -> list[dict[str, Any]]:
        """The events that the functions were invoked with."""
        if not self.record.exists():
            return []
        return [json.loads(line)["event"] for line in self.record.read_text().splitlines()]

    def receptions(self, id: str) -> list[dict[str, Any]]:
        """All records with this message id that a function got."""
        return [one for call in self.calls() for one in call["Records"] if one["messageId"] == id]

    def is_empty(self, function: str) -> bool:
        """Whether the queue holds nothing any more, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        numbers = self.sqs("GetQueueAttributes", function, AttributeNames=names)["Attributes"]
        return all(numbers[name] == "0" for name in names)

    def is_in_flight(self, function: str) -> bool:
        """Whether messages have been received and not been deleted yet."""
        name = "ApproximateNumberOfMessagesNotVisible"
        return self.sqs("GetQueueAttributes", function, AttributeNames=[name])["Attributes"][name] != "0"

    def wait_empty(self, function: str) -> None:
        """Waits until all messages of a queue were handled."""
        until(lambda: self.is_empty(function), f"an empty queue of {function}")


@pytest.fixture
def rig(paths: StackPaths, supervisor: Supervisor) -> Rig:
    return Rig(paths, supervisor)


def test_a_message_arrives_as_lambda_would_hand_it_over(rig: Rig):
    rig.poll()
    id = rig.send(SINGLE, text='ü "quoted" \\ \n')
    rig.wait_empty(SINGLE)
    [record] = rig.receptions(id)
    assert json.loads(record["body"]) == {"text": 'ü "quoted" \\ \n'}
    assert record["eventSource"] == "aws:sqs" and record["awsRegion"] == aws.REGION
    assert record["eventSourceARN"] == f"arn:aws:sqs:{aws.REGION}:{aws.ACCOUNT}:sippo-xmpp-{SINGLE}"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["attributes"].keys() >= {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"}
    assert record["messageAttributes"] == {"traceparent": {
        "stringValue": "00-1-2-01", "stringListValues": [], "binaryListValues": [], "dataType": "String"}}
    assert len(record["md5OfBody"]) == 32 and record["receiptHandle"]


def test_batches_are_as_large_as_each_function_may_have(rig: Rig):
    for function in (SINGLE, COALESCED):
        for number in range(80):
            rig.send(function, number=number)
    rig.poll()
    for function, most in ((SINGLE, 10), (COALESCED, 40)):
        rig.wait_empty(function)
        sizes = [len(call["Records"]) for call in rig.calls() if call["Records"][0]["eventSourceARN"].endswith(function)]
        assert max(sizes) == most and sum(sizes) == 80, sizes


def test_only_what_failed_comes_again(rig: Rig):
    failing = rig.send(SINGLE, do="fail", times=2)
    fine = [rig.send(SINGLE) for _ in range(5)]
    rig.poll()
    rig.wait_empty(SINGLE)
    assert [one["attributes"]["ApproximateReceiveCount"] for one in rig.receptions(failing)] == ["1", "2", "3"]
    assert all(len(rig.receptions(id)) == 1 for id in fine)


@pytest.mark.parametrize("order", [
    {"do": "throw"}, {"do": "crash"}, {"do": "answer", "answer": "no json"}, {"do": "answer", "answer": "[]"},
    {"do": "answer", "answer": '{"batchItemFailures":[{"itemIdentifier":"another"}]}'},
    {"do": "answer", "answer": '{"batchItemFailures":[{"itemIdentifier":""}]}'},
    {"do": "answer", "answer": '{"batchItemFailures":[{}]}'},
    {"do": "answer", "answer": '{"batchItemFailures":"all"}'},
], ids=lambda order: str(order.get("answer", order["do"])))
def test_a_function_that_fails_fails_its_whole_batch(rig: Rig, order: dict[str, Any]):
    ids = [rig.send(SINGLE, **order, times=1), rig.send(SINGLE), rig.send(SINGLE)]
    rig.poll()
    rig.wait_empty(SINGLE)
    together = rig.calls()[0]["Records"]
    assert len(together) == 3, "the test needs them in one batch"
    assert all(len(rig.receptions(id)) == 2 for id in ids)


@pytest.mark.parametrize("answer", ["", "null", "{}", '{"batchItemFailures":null}', '{"batchItemFailures":[]}'])
def test_an_answer_without_failures_is_success(rig: Rig, answer: str):
    id = rig.send(SINGLE, do="answer", answer=answer, times=9)
    rig.poll()
    rig.wait_empty(SINGLE)
    assert len(rig.receptions(id)) == 1


def test_poller_and_functions_may_be_killed_at_any_time(rig: Rig):
    rig.poll()
    sent: set[str] = set()
    for name in ("functions", "poller", "functions"):
        sent |= {rig.send(COALESCED, number=number) for number in range(50)}
        pid = rig.supervisor.pid(name)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda: rig.supervisor.pid(name) not in (None, pid), f"{name} to be started again", 5)
    rig.wait_empty(COALESCED)
    assert {one["messageId"] for call in rig.calls() for one in call["Records"]} == sent


def test_an_invocation_is_no_larger_than_lambda_takes(rig: Rig):
    filler = "x" * 900_000
    ids = [rig.send(SINGLE, filler=filler) for _ in range(10)]
    rig.poll()
    rig.wait_empty(SINGLE)
    assert all(rig.receptions(id) for id in ids)  # more than once where the machine was slow: they came again
    assert all(len(json.dumps(call)) < 6 << 20 for call in rig.calls())
    assert len(rig.calls()) >= 2


@pytest.mark.parametrize("fault", ["error before", "cut before"])
def test_what_was_received_before_a_call_failed_is_handled(rig: Rig, fault: str):
    """Left alone it would come again only when its visibility timeout is over."""
    broken = 0

    def choose(action: str, _: int) -> str | None:
        # Once there is a batch to be gathered. The other queue's polls take longer than this window's.
        nonlocal broken
        gathering = action == "ReceiveMessage" and rig.is_in_flight(COALESCED)
        broken += gathering
        return fault if gathering else None

    with contextlib.closing(AwsProxy(rig.queue_port, choose)) as proxy:
        ids = {rig.send(COALESCED, number=number) for number in range(5)}
        rig.poll(proxy.port, window=1.0)
        until(lambda: len(rig.calls()) > 0, "an invocation")
        rig.supervisor.stop()
    first = rig.calls()[0]["Records"]
    assert broken and {one["messageId"] for one in first} <= ids
    assert {one["attributes"]["ApproximateReceiveCount"] for one in first} == {"1"}


def test_what_does_not_answer_is_told_in_words(rig: Rig):
    """Not in Python's: neither numbers nor names of classes."""
    mark = 0

    def told(message: str) -> set[str]:
        def errors() -> set[str]:
            lines = log_lines.objects(rig.paths.logs / "poller.log", mark)
            return {line["error"] for line in lines if line["message"] == message}
        return until(errors, f"the line {message!r}")

    rig.supervisor.stop_one("functions")
    rig.poll(patience=0.1)
    rig.send(SINGLE)
    assert told("Functions do not run") == {"Connection refused"}
    rig.supervisor.stop_one("poller")

    rig.poll(free_port())
    assert told("Queue cannot be read, trying again") == {"Connection refused"}
    rig.supervisor.stop_one("poller")

    with contextlib.closing(AwsProxy(rig.queue_port, lambda *_: "cut before")) as proxy:
        mark = (rig.paths.logs / "poller.log").stat().st_size
        rig.poll(proxy.port)
        assert told("Queue cannot be read, trying again") == {"the server closed the connection"}
        rig.supervisor.stop_one("poller")
    with contextlib.closing(AwsProxy(rig.queue_port, lambda *_: "error before")) as proxy:
        mark = (rig.paths.logs / "poller.log").stat().st_size
        rig.poll(proxy.port)
        assert told("Queue cannot be read, trying again") == {"InternalServerError: injected"}


def test_a_function_that_ends_in_the_midst_is_told_in_words(rig: Rig):
    """The functions' server itself ends: there is no answer at all."""
    with mute_server() as port:
        rig.poll(api_port=port)
        rig.send(SINGLE)
        def errors() -> set[str]:
            lines = log_lines.objects(rig.paths.logs / "poller.log")
            return {line["error"] for line in lines if line["message"] == "Functions ended before they answered"}
        assert until(errors, "the line about it") == {"the server closed the connection"}


@contextlib.contextmanager
def mute_server() -> Iterator[int]:
    """Reads what comes, and ends each connection without a word; its port."""
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_the_fake_aws_is_not_started_again_and_the_stack_says_so(rig: Rig, said: list[str]):
    pid = rig.supervisor.pid("queue")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: any(fake_aws.LOSS_HINT in line for line in said), "word of the fake AWS's end")
    assert rig.supervisor.pid("queue") is None
