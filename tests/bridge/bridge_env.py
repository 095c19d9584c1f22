"""What the bridge's tests play with: events that are published, bridges, and what arrives in the queues."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pika

from sqs_proxy import Proxy
from stack import aws, rabbitmq
from stack.event_types import ROUTING_KEYS
from stack.image import Image
from stack.paths import BINARIES, ROOT
from stack.ports import free_port
from stack.supervisor import DIE_WITH_PARENT
from support import log_lines
from support.wait import until

KEYS = list(ROUTING_KEYS.values())


@dataclass(frozen=True, order=True)
class Version:
    epoch: int
    counter: int

    @classmethod
    def parse(cls, text: str) -> Version:
        epoch, _, counter = text.partition(".")
        return cls(int(epoch), int(counter))


@dataclass
class Message:
    """One that arrived in SQS."""

    function: str
    stamped: dict[str, Any]
    attributes: dict[str, Any]

    @property
    def version(self) -> Version:
        return Version.parse(self.stamped["version"])


@dataclass
class BridgeEnv:
    """Names of its own in the shared broker and fake AWS."""

    broker: rabbitmq.Settings
    aws_port: int
    config_dir: Path
    folder: Path
    proxy: Proxy
    name: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")
    bridges: list[Bridge] = field(default_factory=list)

    @property
    def amqp_url(self) -> str:
        return self.broker.url

    @property
    def password(self) -> str:
        return self.broker.password

    @property
    def exchange(self) -> str:
        return f"{self.name}.events"

    @property
    def prefix(self) -> str:
        return f"{self.name}-"

    @property
    def dead_letters(self) -> str:
        return f"{self.name}.dead"

    def prepare(self) -> None:
        """Makes queues and table."""
        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(lambda function: aws.call(
                    self.aws_port, "sqs", "CreateQueue", QueueName=self.prefix + function,
                    Attributes={"MaximumMessageSize": str(1 << 20)}), ROUTING_KEYS):
                pass
        keys = {"pk": "HASH", "sk": "RANGE"}
        aws.call(self.aws_port, "dynamodb", "CreateTable", TableName=self.name, BillingMode="PAY_PER_REQUEST",
                 AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
                 KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()])

    def environment(self) -> dict[str, str]:
        return {
            "CONFIG_DIR": str(self.config_dir),
            "SIPPO_BROKER__URL": self.amqp_url,
            "SIPPO_BROKER__EXCHANGE": self.exchange,
            "SIPPO_BROKER__QUEUE": self.name,
            "SIPPO_BROKER__UNKNOWN": "dead-letter",
            "SIPPO_QUEUES__URL_PREFIX": f"{self.proxy.url}/{aws.ACCOUNT}/{self.prefix}",
            "SIPPO_LEDGER__TABLE": self.name,
            "AWS_ENDPOINT_URL": self.proxy.url,
            "AWS_REGION": aws.REGION,
            "AWS_ACCESS_KEY_ID": aws.KEY_ID,
            "AWS_SECRET_ACCESS_KEY": aws.SECRET,
        }

    def bridge(self, without: tuple[str, ...] = (), **changes: str) -> Bridge:
        """A new bridge that has started; it need not be connected yet."""
        log = self.folder / f"{self.name}-bridge-{len(self.bridges)}.log"
        kept = {name: value for name, value in self.environment().items() if name not in without}
        bridge = Bridge(kept | changes, log)
        self.bridges.append(bridge)
        return bridge

    def close(self) -> None:
        for bridge in self.bridges:
            bridge.end()
        for bridge in self.bridges:
            assert self.password not in bridge.log.read_text(), "the broker's password was logged"
            assert aws.SECRET not in bridge.log.read_text().replace("localhost", "")
        self.proxy.close()

    # Publishing

    def connect(self) -> pika.BlockingConnection:
        return pika.BlockingConnection(pika.URLParameters(self.amqp_url))

    def publish(self, events: list[tuple[str, bytes]], headers: dict[str, Any] | None = None,
                message_ids: bool = True) -> None:
        """Publishes in order; all are in the queue when it returns."""
        with self.connect() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for number, (key, body) in enumerate(events):
                properties = pika.BasicProperties(
                    delivery_mode=2, headers=headers, message_id=f"m-{number}" if message_ids else None)
                channel.basic_publish(self.exchange, key, body, properties, mandatory=True)

    def depth(self, queue: str | None = None) -> int:
        with self.connect() as connection:
            return connection.channel().queue_declare(queue or self.name, passive=True).method.message_count

    def active_consumers(self) -> int:
        """What the broker says of the queue's consumers."""
        with self.connect() as connection:
            return connection.channel().queue_declare(self.name, passive=True).method.consumer_count

    def ctl(self, *arguments: str) -> str:
        """Runs rabbitmqctl on the tests' broker; gives what it prints."""
        done = subprocess.run(rabbitmq.ctl(self.broker, "--quiet", *arguments), check=True, timeout=90, capture_output=True, text=True,
                              env=os.environ | self.broker.environment())
        return done.stdout

    def unacknowledged(self) -> int:
        """Deliveries of the queue that the bridge has not acknowledged."""
        rows = [line.split("\t") for line in self.ctl("list_queues", "name", "messages_unacknowledged").splitlines()]
        return next(int(row[1]) for row in rows if row[0] == self.name)

    def dead(self) -> list[tuple[dict[str, Any], bytes]]:
        """Takes the dead letters out of RabbitMQ: headers and bodies."""
        found = []
        with self.connect() as connection:
            channel = connection.channel()
            while True:
                method, properties, body = channel.basic_get(self.dead_letters, auto_ack=True)
                if method is None:
                    return found
                found.append((properties.headers, body))

    # What arrives

    def take(self, function: str) -> list[Message]:
        """Takes up to ten messages out of a queue."""
        url = f"http://127.0.0.1:{self.aws_port}/{aws.ACCOUNT}/{self.prefix}{function}"
        answer = aws.call(self.aws_port, "sqs", "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10,
                          MessageAttributeNames=["All"])
        messages = answer.get("Messages", [])
        if messages:
            aws.call(self.aws_port, "sqs", "DeleteMessageBatch", QueueUrl=url, Entries=[
                {"Id": str(i), "ReceiptHandle": one["ReceiptHandle"]} for i, one in enumerate(messages)])
        return [Message(function, json.loads(one["Body"]), one.get("MessageAttributes", {})) for one in messages]

    def drain(self) -> list[Message]:
        """Takes all that is in the queues now."""
        found = []
        for function in ROUTING_KEYS:
            while messages := self.take(function):
                found += messages
        return found

    def collect(self, wanted: int, timeout: float = 60.0, into: list[Message] | None = None) -> list[Message]:
        """Takes messages until `wanted` different events have come."""
        found = into if into is not None else []

        def enough() -> bool:
            found.extend(self.drain())
            return len({serial(message) for message in found}) >= wanted
        until(enough, f"the arrival of {wanted} events", timeout)
        return found


class Bridge:
    """The daemon as a process."""

    def __init__(self, environment: dict[str, str], log: Path, image: Image | None = None) -> None:
        self.port, self.log = free_port(), log
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SIPPO_", "AWS_"))}
        environment = environment | {"SIPPO_BRIDGE__LISTEN": f"127.0.0.1:{self.port}"}
        program = image.command(environment=environment) if image else [str(BINARIES / "bridge")]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-SEs", str(DIE_WITH_PARENT), str(os.getpid()), *program], cwd=ROOT,
                env=inherited | environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    def get(self, path: str = "/health", method: str = "GET") -> tuple[int, str] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def health(self) -> dict[str, Any]:
        answer = self.get()
        return json.loads(answer[1]) if answer else {}

    def state(self) -> str:
        return self.health().get("state", "")

    def wait_for(self, *states: str, timeout: float = 30.0) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            assert self.process.poll() is None, self.log.read_text()
            health = self.health()
            return health if health.get("state") in states else None
        return until(reached, f"state {states}", timeout)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def lines(self, message: str | None = None) -> list[dict[str, Any]]:
        return log_lines.having(log_lines.objects(self.log), message)

    def beginning(self, start: str) -> list[dict[str, Any]]:
        """The log lines whose message begins so."""
        return [line for line in self.lines() if line["message"].startswith(start)]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def events(count: int, start: int = 0, seed: int = 1) -> list[tuple[str, bytes]]:
    """Events of all types with a serial number each."""
    keys = random.Random(seed)
    return [(keys.choice(KEYS), json.dumps({"serial": start + i, "domain": "a.test"}).encode()) for i in range(count)]


def serial(message: Message) -> int:
    event = message.stamped["event"]
    return event["serial"] if isinstance(event, dict) else -1


def assert_broker_order(messages: list[Message], count: int) -> None:
    """Each event has arrived, under its own key; the newest versions grow in the order of publication."""
    newest: dict[int, Version] = {}
    for message in messages:
        assert ROUTING_KEYS[message.function] == message.stamped["routingKey"]
        newest[serial(message)] = max(newest.get(serial(message), Version(0, 0)), message.version)
    assert sorted(newest) == list(range(count)), "events are lost"
    versions = [newest[number] for number in range(count)]
    assert all(a < b for a, b in zip(versions, versions[1:], strict=False)), "versions do not grow in broker order"
