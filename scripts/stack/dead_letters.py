"""Dead letters of the running stack, and their way back.

A letter is sent on before it is taken off its queue: whoever is killed in between leaves a duplicate,
which handlers bear, and never loses one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stack import aws
from stack.broker import Broker
from stack.event_types import EVENT_FUNCTIONS, ROUTING_KEYS
from stack.fake_aws import MAX_MESSAGE

DEAD = "-dead"
OURS = ("reason", "code")
"""Attributes that tell why a message is a dead letter."""
TRACE = "traceparent"
FUNCTIONS = {key: function for function, key in ROUTING_KEYS.items()}
HIDDEN = 60
"""Seconds that a letter being looked at is nobody else's."""


@dataclass(frozen=True)
class Letter:
    """A dead letter in SQS."""

    function: str
    id: str
    receipt: str
    body: str
    attributes: dict[str, Any]

    @property
    def reason(self) -> str:
        """Why it is one."""
        given = self.attributes.get("reason", {}).get("StringValue")
        return given or "received too often; the function's log tells why it failed"


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
        self._call("DeleteMessage", letter.function + DEAD, ReceiptHandle=letter.receipt)


def list_all(queues: Queues, functions: list[str] = EVENT_FUNCTIONS) -> list[Letter]:
    """All dead letters, left where they are."""
    letters = [letter for function in functions for letter in queues.letters(function)]
    for letter in letters:
        queues.release(letter)
    return letters


def corrected(text: str, routing_key: str) -> str:
    """A stamped event under another routing key; the rest of it stays to the letter, its place in the order too."""
    old = json.dumps(json.loads(text)["routingKey"], ensure_ascii=False)
    return text.replace(f'"routingKey":{old}', f'"routingKey":{json.dumps(routing_key)}', 1)


def redrive_broker(
    broker: Broker, queues: Queues, queue: str, misspelt: str | None, routing_key: str | None
) -> Iterator[str]:
    """Brings the broker's own dead letters to their functions' queues, under their routing key; those under the key
    `misspelt` under `routing_key`.

    Not back to the exchange: there they would be stamped anew and undo what has come after them. Says of
    each what became of it; what cannot be brought back stays where it is.
    """
    for delivery in broker.fetch(queue):
        if "x-sippo-version" not in delivery.headers:
            yield (f"one of {delivery.headers.get('x-first-death-reason', 'unknown')} was given up by the broker before it had "
                   "a place in the order; have the platform publish what still holds, and purge it by hand")
            continue
        key = str(delivery.headers.get("x-sippo-routing-key"))
        if delivery.headers.get("x-sippo-code") == "unreadable":
            yield f"an event of {key} cannot be read ({delivery.headers.get('x-sippo-reason')})"
            continue
        if key not in FUNCTIONS and routing_key is not None and key == misspelt:
            key = routing_key
        function = FUNCTIONS.get(key)
        if function is None:
            yield f"{key} is no event's routing key; add --from {key} --routing-key with the right one"
            continue
        stamped = delivery.headers.get("x-sippo-body") != "original"
        text = corrected(delivery.body.decode(), key) if stamped else ""
        if not stamped or len(text.encode()) > MAX_MESSAGE:
            yield f"an event of {key} is larger than SQS takes; publish a smaller one"
            continue
        kept = {name: {"DataType": "String", "StringValue": str(value)}
                for name, value in delivery.headers.items() if name == TRACE}
        queues.send(function, text, kept)
        broker.acknowledge(delivery)
        yield f"brought back one as {key}, which was there for: {delivery.headers.get('x-sippo-reason')}"
