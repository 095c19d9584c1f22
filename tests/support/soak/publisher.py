"""The platform's side: one channel with confirms, so that the order of publishing is the broker's.

A publish that is not confirmed, for the broker died, is in doubt: it may be in the queue or not. It is
published again before anything else is, until it is confirmed. So the queue holds it once or twice, with nothing
between the copies, and as each event sets what it names to a fixed value, both come to the same.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path

from stack.broker import Broker, BrokerError
from stack.rabbitmq import EXCHANGE
from support.soak.model import Model
from support.soak.traffic import Message

PATIENCE = 90.0
"""Seconds that a broker may be away."""
RETRY = 0.2

# It reports each broken connection in 50 lines, and here connections are broken on purpose.
logging.getLogger("pika").setLevel(logging.CRITICAL)


class Publisher:
    """Publishes and tells the model. Keeps a journal of all it did, one JSON line each."""

    def __init__(self, url: str, model: Model, journal: Path) -> None:
        self._url, self._model = url, model
        self._broker: Broker | None = None
        self._journal = journal.open("a", buffering=1)
        self._stopped = threading.Event()
        self.published = 0
        self.in_doubt = 0
        """Publishes whose confirmation did not come; each was published again."""

    def publish(self, message: Message) -> None:
        """Returns when the broker has confirmed the event."""
        began, tries = time.time(), 0
        deadline = time.monotonic() + PATIENCE
        while not self._try(message):
            tries += 1
            if time.monotonic() > deadline:
                raise TimeoutError(f"the broker has confirmed nothing for {PATIENCE:.0f} s; look into rabbitmq.log")
            self._stopped.wait(RETRY)
        self._model.apply(message.event, began)
        self.published += 1
        event = message.event
        self.record(number=self.published, began=began, tries=tries, id=message.id, kind=event.kind, room=event.room,
                  users=event.users, owner=event.owner)

    def _try(self, message: Message) -> bool:
        try:
            if self._broker is None:
                self._broker = Broker(self._url).__enter__()
        except BrokerError:
            return False
        try:
            self._broker.publish(EXCHANGE, message.routing_key, message.body, message.id)
        except BrokerError:
            self.in_doubt += 1
            self.close()
            return False
        return True

    def pause(self, seconds: float) -> None:
        """Lets time pass between two bursts."""
        self._stopped.wait(max(0.0, seconds))

    def record(self, **fields: object) -> None:
        """A line of the journal."""
        self._journal.write(json.dumps({"at": time.time(), **fields}) + "\n")

    def close(self) -> None:
        """Ends the connection, if there is one and it can still be ended."""
        broker, self._broker = self._broker, None
        if broker is not None:
            try:
                broker.__exit__()
            except Exception:  # noqa: BLE001 - whatever is wrong with it, it is given up
                pass
