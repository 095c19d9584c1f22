"""A client of the message broker for scripts and tests."""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorException, AMQPConnectorStackTimeout
from pika.exceptions import AMQPError, ChannelClosedByBroker, NackError, UnroutableError

from stack.command_line import Told, in_words


TIMEOUT = 10.0
"""Seconds that a broker may take to accept a connection: one that was stopped takes for ever."""


HINT = "see that it runs (of the local stack: scripts/status)"
AMQP_PORT = 5672


class BrokerError(Told):
    """The broker did not do it; the message says what to do."""


@dataclass(frozen=True)
class Delivery:
    """A message that was fetched and waits for `Broker.acknowledge`."""

    tag: int
    routing_key: str
    message_id: str | None
    headers: dict[str, Any]
    body: bytes


class Broker:
    """One connection; used as a context manager. Published messages are confirmed before the call returns."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._unconfirmed: BlockingChannel | None = None

    def __enter__(self) -> Broker:
        try:
            parameters = pika.URLParameters(self._url)
            parameters.socket_timeout = parameters.stack_timeout = TIMEOUT
            self._connection = pika.BlockingConnection(parameters)
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
        except AMQPConnectorStackTimeout as error:
            raise self._unreachable(f"within {TIMEOUT:.0f} s") from error
        except (AMQPError, AMQPConnectorException, OSError) as error:
            raise self._unreachable(f"({in_words(error)})") from error
        return self

    def _unreachable(self, how: str) -> BrokerError:
        at = urllib.parse.urlsplit(self._url)
        return BrokerError(f"the message broker does not answer at {at.hostname}:{at.port or AMQP_PORT} {how}", HINT)

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(AMQPError):
            if self._connection.is_open:
                self._connection.close()

    def declare_exchange(self, name: str) -> None:
        """Makes the platform's exchange unless it is there."""
        with _told():
            self._channel.exchange_declare(name, "topic", durable=True)

    def publish(self, exchange: str, routing_key: str, body: bytes, message_id: str | None = None,
                headers: dict[str, Any] | None = None, content_type: str = "application/json") -> None:
        """Publishes a durable message; BrokerError when no queue takes it."""
        properties = pika.BasicProperties(
            content_type=content_type, delivery_mode=2, message_id=message_id, headers=headers or None)
        try:
            self._channel.basic_publish(exchange, routing_key, body, properties, mandatory=True)
        except UnroutableError as error:
            raise BrokerError(f"no queue takes {routing_key}; see that the bridge runs (scripts/status)") from error
        except (NackError, AMQPError) as error:
            raise BrokerError(f"the broker did not confirm {routing_key} ({in_words(error)}); publish it again") from error

    def publish_all(self, exchange: str, messages: Iterable[tuple[str, bytes, str]]) -> None:
        """Publishes durable messages (routing key, body, id) one behind the other, without waiting for confirmations: whoever
        calls this sees by what follows whether all came."""
        with _told():
            if self._unconfirmed is None:
                # Stays open: what a quorum queue has not taken yet is lost with its channel.
                self._unconfirmed = self._connection.channel()
            for key, body, message_id in messages:
                self._unconfirmed.basic_publish(exchange, key, body, pika.BasicProperties(
                    content_type="application/json", delivery_mode=2, message_id=message_id))

    def depth(self, queue: str) -> int | None:
        """Messages that are ready in a queue; None when there is no such queue."""
        with _told():
            channel = self._connection.channel()
            try:
                return channel.queue_declare(queue, passive=True).method.message_count
            except ChannelClosedByBroker:
                return None
            finally:
                if channel.is_open:
                    channel.close()

    def fetch(self, queue: str) -> Iterator[Delivery]:
        """The messages that are ready in a queue now. Those not acknowledged are back when the connection ends."""
        for _ in range(self.depth(queue) or 0):
            with _told():
                method, properties, body = self._channel.basic_get(queue)
            if method is None:
                return
            yield Delivery(method.delivery_tag, method.routing_key, properties.message_id, properties.headers or {}, body)

    def acknowledge(self, delivery: Delivery) -> None:
        """Takes a fetched message off its queue."""
        with _told():
            self._channel.basic_ack(delivery.tag)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What the library says of a connection that broke, as BrokerError."""
    try:
        yield
    except (AMQPError, OSError) as error:
        raise BrokerError(f"the message broker broke off ({in_words(error)})", HINT) from error
