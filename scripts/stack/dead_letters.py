"""Dead letters of the running stack, and their way back.

A letter is sent on before it is taken off its queue: whoever is killed in between leaves a duplicate,
which handlers bear, and never loses one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from stack import aws, event_outline
from stack.broker import Broker, Delivery
from stack.event_outline import Outline
from stack.event_types import EVENT_FUNCTIONS, ROUTING_KEYS
from stack.fake_aws import MAX_MESSAGE

DEAD = "-dead"
BROKER = "broker"
"""The name for RabbitMQ's dead letters among the queues."""
OURS = ("reason", "code")
"""Attributes that tell why a message is a dead letter."""
TRACE = "traceparent"
FUNCTIONS = {key: function for function, key in ROUTING_KEYS.items()}
HIDDEN = 60
"""Seconds that a letter being looked at is nobody else's."""
GIVEN_UP = "received too often; the function's log tells why it failed"


class NotBroughtBack(Exception):
    """A letter stays where it is; the message says why and what to do."""


@dataclass(frozen=True)
class Letter:
    """A dead letter in SQS."""

    function: str
    id: str
    """SQS's own, another one whenever it is sent; see `outline` for the event's."""
    receipt: str
    body: str
    attributes: dict[str, Any]

    @property
    def queue(self) -> str:
        """As scripts/redrive names it."""
        return self.function

    @property
    def reason(self) -> str:
        """Why it is one."""
        return self.attributes.get("reason", {}).get("StringValue") or GIVEN_UP

    @property
    def code(self) -> str:
        """The reason in a word."""
        return self.attributes.get("code", {}).get("StringValue") or "received-too-often"

    @property
    def trace(self) -> str | None:
        """The trace context that it came with."""
        return self.attributes.get(TRACE, {}).get("StringValue")

    @cached_property
    def outline(self) -> Outline:
        """What its event is about."""
        return event_outline.of_stamped(self.body)


@dataclass(frozen=True)
class BrokerLetter:
    """A dead letter in RabbitMQ."""

    delivery: Delivery
    queue = BROKER

    @property
    def headers(self) -> dict[str, Any]:
        """AMQP's."""
        return self.delivery.headers

    @property
    def routing_key(self) -> str:
        """The one that it was published under."""
        return str(self.headers.get("x-sippo-routing-key") or self._first_death("routing-keys") or self.delivery.routing_key)

    @property
    def reason(self) -> str:
        """Why it is one."""
        return str(self.headers.get("x-sippo-reason") or f"given up by the broker: {self.headers.get('x-first-death-reason', 'unknown')}")

    @property
    def code(self) -> str:
        """The reason in a word."""
        return str(self.headers.get("x-sippo-code") or "given-up-by-the-broker")

    @property
    def trace(self) -> str | None:
        """The trace context that it came with."""
        return self.headers.get(TRACE)

    @property
    def is_stamped(self) -> bool:
        """Whether its body is a stamped event, with a place in the order."""
        return "x-sippo-version" in self.headers and self.headers.get("x-sippo-body") != "original"

    @cached_property
    def outline(self) -> Outline:
        """What its event is about."""
        body = self.delivery.body
        if self.is_stamped:
            return event_outline.of_stamped(body.decode(errors="replace"))
        version = str(self.headers.get("x-sippo-version", "none"))
        outline = event_outline.of_published(body, self.routing_key, version, self.delivery.message_id)
        # What was published need not tell it any more: of a packed body, or of headers.
        return replace(outline, id=str(self.headers.get("x-sippo-event-id") or outline.id))

    def _first_death(self, name: str) -> str | None:
        deaths = self.headers.get("x-death") or [{}]
        values = deaths[-1].get(name) or [None]
        return values[0]


AnyLetter = Letter | BrokerLetter


def matches(letter: AnyLetter, only: list[str]) -> bool:
    """Whether it is one of those meant: by the event's id, SQS's, version, code, or words of the reason."""
    own = {letter.outline.id, letter.outline.version, letter.code, getattr(letter, "id", None)}
    return not only or any(one in own or one in letter.reason for one in only)


class Queues:
    """The queues of the functions, by SQS's port and what their names begin with."""

    def __init__(self, port: int, prefix_url: str) -> None:
        self._port, self._prefix = port, prefix_url

    def _call(self, action: str, name: str, **parameters: Any) -> dict[str, Any]:
        return aws.call(self._port, "sqs", action, QueueUrl=f"{self._prefix}{name}", **parameters)

    def depths(self, name: str) -> tuple[int, int]:
        """Messages that wait, and those that somebody is at."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        numbers = self._call("GetQueueAttributes", name, AttributeNames=names)["Attributes"]
        return int(numbers[names[0]]), int(numbers[names[1]])

    def letters(self, function: str) -> Iterator[Letter]:
        """The dead letters that a function has now, each hidden from others for a while.

        Not more than there are at first: what is brought back may be dead again before the last one is looked at.
        """
        seen: set[str] = set()
        limit = sum(self.depths(function + DEAD))
        while len(seen) < limit:
            answer = self._call("ReceiveMessage", function + DEAD, MaxNumberOfMessages=10, VisibilityTimeout=HIDDEN,
                                MessageAttributeNames=["All"])
            messages = answer.get("Messages", [])
            new = [message for message in messages if message["MessageId"] not in seen]
            if not new:
                return
            for message in new:
                seen.add(message["MessageId"])
                yield Letter(function, message["MessageId"], message["ReceiptHandle"], message["Body"],
                             message.get("MessageAttributes", {}))

    def release(self, letter: Letter) -> None:
        """Has a letter be there for others again."""
        self._call("ChangeMessageVisibility", letter.function + DEAD, ReceiptHandle=letter.receipt, VisibilityTimeout=0)

    def send(self, name: str, body: str, attributes: dict[str, Any] | None = None) -> None:
        """Puts a message into a queue."""
        self._call("SendMessage", name, MessageBody=body, MessageAttributes=attributes or {})

    def redrive(self, letter: Letter) -> None:
        """Sends a letter back to its function and then takes it off the dead letters."""
        kept = {name: {key: value for key, value in attribute.items() if key in ("DataType", "StringValue", "BinaryValue")}
                for name, attribute in letter.attributes.items() if name not in OURS}
        self.send(letter.function, letter.body, kept)
        self.delete(letter)

    def delete(self, letter: Letter) -> None:
        """Takes a letter off the dead letters, for good."""
        self._call("DeleteMessage", letter.function + DEAD, ReceiptHandle=letter.receipt)


def list_all(queues: Queues, functions: list[str] = EVENT_FUNCTIONS) -> list[Letter]:
    """All dead letters of functions, left where they are."""
    letters = [letter for function in functions for letter in queues.letters(function)]
    for letter in letters:
        queues.release(letter)
    return letters


def broker_letters(broker: Broker, queue: str) -> Iterator[BrokerLetter]:
    """RabbitMQ's dead letters; those that are not acknowledged stay."""
    return (BrokerLetter(delivery) for delivery in broker.fetch(queue))


def corrected(text: str, routing_key: str) -> str:
    """A stamped event under another routing key; the rest of it stays to the letter, its place in the order too."""
    old = json.dumps(event_outline.of_stamped(text).routing_key, ensure_ascii=False)
    return text.replace(f'"routingKey":{old}', f'"routingKey":{json.dumps(routing_key)}', 1)


def redrive_broker(broker: Broker, queues: Queues, letter: BrokerLetter, correction: dict[str, str]) -> str:
    """Brings one of the broker's own dead letters to its function's queue, under its routing key or the `correction` of
    it; returns that key.

    Not back to the exchange: there it would be stamped anew and undo what has come after it.
    """
    if "x-sippo-version" not in letter.headers:
        raise NotBroughtBack("it never had a place in the order; have the platform publish what still holds, and --delete it")
    if letter.code == "unreadable":
        raise NotBroughtBack(f"it cannot be read ({letter.reason}); have the platform publish it anew, and --delete it")
    key = correction.get(letter.routing_key, letter.routing_key) if letter.routing_key not in FUNCTIONS else letter.routing_key
    if key not in FUNCTIONS:
        raise NotBroughtBack(f"{key} is no event's routing key; add --from {key} --routing-key with the right one")
    text = corrected(letter.delivery.body.decode(), key) if letter.is_stamped else ""
    if not letter.is_stamped or len(text.encode()) > MAX_MESSAGE:
        raise NotBroughtBack("it is larger than SQS takes; have the platform publish it in parts, and --delete it")
    kept = {TRACE: {"DataType": "String", "StringValue": letter.trace}} if letter.trace else {}
    queues.send(FUNCTIONS[key], text, kept)
    broker.acknowledge(letter.delivery)
    return key
