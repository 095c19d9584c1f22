"""The whole way of an event, measured from outside: published to the broker, until the server has every member."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from stack.broker import Broker
from stack.dead_letters import Queues

LIMIT = 300.0
PAUSE = 0.005


@dataclass
class Whole:
    """Publishes to a running stack; speaks as `measures.Actor` does."""

    broker: Broker
    exchange: str
    queues: Queues
    count: Callable[[str], int]
    """How many members a room has; 0 when there is none."""
    name: str = "sippo-xmpp, from publish"

    def run(self, op: str, room: str, members: list[str], window: int = 0) -> tuple[float, float]:
        """Seconds until all are members, and until their events are done, invitations included."""
        id, _, service = room.partition("@")
        base = {"id": id, "domain": service.removeprefix("conference.")}
        if op == "group":
            function, events = "users-group-created", [("usersGroup.created", base | {"participants": members})]
        else:
            function = "users-group-participants-joined"
            events = [("usersGroup.participants.joined", base | {"participants": [one]}) for one in members]
        wanted = self.count(room) + len(members)
        began = time.monotonic()
        # Not one after the other has been confirmed: what is measured is not the broker's disk.
        self.broker.publish_all(
            self.exchange, ((key, json.dumps(payload).encode(), str(uuid.uuid4())) for key, payload in events))
        self._await(lambda: self.count(room) == wanted, room)
        there = time.monotonic() - began
        self._await(lambda: self._is_idle(function), function)
        return there, time.monotonic() - began

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + LIMIT
        while not condition():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} is not done after {LIMIT:.0f} s; look into the logs in target/bench")
            time.sleep(PAUSE)

    def _is_idle(self, function: str) -> bool:
        return sum(self.queues.depths(function)) == 0
