"""The bridge beside a straightforward one on Node: the same broker, the same fake SQS, in turn.

Each run begins with a queue full of events and ends when SQS has all of them and the bridge was told to stop. CPU is all
that the process took, its start included. Called by scripts/bench.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pika
from scale import Scale

from stack.command_line import Progress

EXCHANGE, QUEUE = "sippo.events", "sippo-xmpp"
PREFETCH = 300
"""As the bridge has it."""
DEADLINE = 300.0


@dataclass(frozen=True)
class Target:
    """Where both work."""

    amqp: str
    sqs: str
    """The fake AWS's URL."""
    url_prefix: str
    """Of the queues' URLs."""
    functions: dict[str, str]
    """By routing key."""


def call(sqs: str, operation: str, **arguments: object) -> dict:
    """A call of SQS, in its JSON protocol."""
    request = urllib.request.Request(sqs, json.dumps(arguments).encode(), {
        "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{operation}",
        "Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/eu-west-1/sqs/aws4_request, SignedHeaders=host, Signature=0",
    })
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"{}")


def declare(target: Target, command: list[str], environment: dict[str, str], log: Path) -> None:
    """Has our bridge declare its queue, as only it knows how, and end."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=output, stderr=output)
        try:
            wait(lambda: has_consumer(target) or process.poll() is not None, f"{command[0]} consumes; see {log}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE)


def has_consumer(target: Target) -> bool:
    """Whether the queue is there and somebody takes what comes."""
    with pika.BlockingConnection(pika.URLParameters(target.amqp)) as connection:
        try:
            return connection.channel().queue_declare(QUEUE, passive=True).method.consumer_count > 0
        except pika.exceptions.ChannelClosedByBroker:
            return False


def fill(target: Target, messages: int) -> None:
    """Publishes events of all types to the queue, which nobody consumes now."""
    keys = list(target.functions)
    with pika.BlockingConnection(pika.URLParameters(target.amqp)) as connection:
        channel = connection.channel()
        channel.queue_purge(QUEUE)
        for number in range(messages):
            event = {"id": str(uuid.uuid4()), "source": "bench", "specversion": "1.0", "type": keys[number % len(keys)],
                     "data": {"id": f"group{number}", "domain": "example.test", "participants": ["alice", "bob"]}}
            channel.basic_publish(EXCHANGE, event["type"], json.dumps(event), pika.BasicProperties(
                delivery_mode=2, message_id=event["id"], content_type="application/json"))
        # Published without confirms: what the queue says is what counts.
        wait(lambda: channel.queue_declare(QUEUE, passive=True).method.message_count == messages, "the broker has all")


def wait(holds: Callable[[], bool], what: str) -> None:
    """Until `holds`."""
    deadline = time.monotonic() + DEADLINE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {DEADLINE:.0f} s; look into the logs")
        time.sleep(0.05)


def arrived(target: Target) -> int:
    """How many messages SQS has."""
    counts = (call(target.sqs, "GetQueueAttributes", QueueUrl=target.url_prefix + function,
                   AttributeNames=["ApproximateNumberOfMessages"]) for function in target.functions.values())
    return sum(int(answer["Attributes"]["ApproximateNumberOfMessages"]) for answer in counts)


def drain(target: Target, command: list[str], environment: dict[str, str], log: Path, messages: int) -> tuple[float, float]:
    """One run: messages a second, and a CPU second."""
    for function in target.functions.values():
        call(target.sqs, "PurgeQueue", QueueUrl=target.url_prefix + function)
    fill(target, messages)
    began = time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=output, stderr=output)
        try:
            wait(lambda: arrived(target) >= messages or process.poll() is not None, "SQS has all")
            seconds = time.monotonic() - began
        finally:
            process.send_signal(signal.SIGTERM)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    if arrived(target) != messages:
        raise RuntimeError(f"{command[0]} ended with {arrived(target)} of {messages} messages sent; look into {log}")
    return messages / seconds, messages / (usage.ru_utime + usage.ru_stime)


def create_queues(sqs: str, prefix: str, functions: list[str]) -> str:
    """The functions' queues; returns what their URLs begin with, as the fake AWS calls itself."""
    for function in functions:
        url: str = call(sqs, "CreateQueue", QueueName=prefix + function)["QueueUrl"]
    return url.removesuffix(function)


def measure(target: Target, ours: tuple[list[str], dict[str, str]], node: list[str] | None, log: Path, scale: Scale) -> None:
    """Both in turn, or ours alone where Node's is not there; medians."""
    command, environment = ours[0], ours[1] | {"AWS_ENDPOINT_URL_SQS": target.sqs}
    aws = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    peer = aws | {"AMQP_URL": target.amqp, "QUEUE": QUEUE, "QUEUE_PREFIX": target.url_prefix, "PREFETCH": str(PREFETCH),
                  "FUNCTIONS": json.dumps(list(target.functions.items())), "AWS_ENDPOINT_URL_SQS": target.sqs}
    figures: dict[str, list[tuple[float, float]]] = {}
    declare(target, command, environment, log)
    with Progress("runs", scale.rounds * (1 if node is None else 2)) as progress:
        for _ in range(scale.rounds):
            figures.setdefault("sippo-xmpp", []).append(drain(target, command, environment, log, scale.messages))
            progress.update()
            if node is not None:
                figures.setdefault("Node", []).append(drain(target, node, peer, log, scale.messages))
                progress.update()
    print(f"bridge, {scale.messages:,} messages: a second, and a CPU second of the bridge; median of {scale.rounds}, in turn")
    medians = {name: [statistics.median(column) for column in zip(*runs, strict=True)] for name, runs in figures.items()}
    for name, (rate, efficiency) in medians.items():
        print(f"  {name:12} {rate:9,.0f}/s {efficiency:9,.0f}/CPU s")
    if node is not None:
        (rate, efficiency), (node_rate, node_efficiency) = medians["sippo-xmpp"], medians["Node"]
        print(f"  ratio        {rate / node_rate:9.1f}   {efficiency / node_efficiency:9.1f}", flush=True)
