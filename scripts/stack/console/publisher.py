"""Publishes what the page asks for, and random events for as long as it wants them."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from stack import event_outline
from stack.broker import Broker, BrokerError
from stack.console.ways import Ways
from stack.event_types import ROUTING_KEYS
from stack.paths import ROOT
from stack.publishing import copies

MOST = 500
"""Events of one request."""
USERS = ("alice", "bob", "carol", "dave", "erin", "grace", "heidi")
GROUPS = tuple(f"traffic-{number}" for number in range(1, 7))
PACE = (0.1, 0.9)
"""Seconds between two random events."""
WEIGHTS = {"usersGroup.created": 4, "usersGroup.participants.joined": 6, "usersGroup.participants.left": 4, "usersGroup.deleted": 1}


def samples() -> list[dict[str, str]]:
    """The repository's samples of events, by the function that handles them."""
    folder = ROOT / "events"
    return [{"name": f"{function}.{kind}", "key": key, "body": (folder / f"{function}.{kind}.json").read_text()}
            for kind in ("cloudevent", "bare") for function, key in ROUTING_KEYS.items()]


class Publisher:
    """Publishes to one broker."""

    def __init__(self, env: dict[str, str], ways: Ways) -> None:
        self._env, self._ways = env, ways
        self.has_traffic = False
        self.traffic_count = 0
        self.traffic_trouble: str | None = None

    def publish(self, key: str, text: str, count: int = 1, times: int = 1) -> list[str]:
        """Publishes `count` copies, each with an id of its own, and each `times` times; the ids. `{n}` in the text is a copy's
        number."""
        if not 1 <= count * times <= MOST:
            raise ValueError(f"publish from 1 to {MOST} events at a time")
        ids = []
        with Broker(self._env["AMQP_URL"]) as broker:
            for number in range(1, count + 1):
                for used, body, id in copies(text.replace("{n}", str(number)).encode(errors="replace"), key=key):
                    for _ in range(times):
                        self._send(broker, used, body, id)
                    ids.append(id)
        return ids

    def _send(self, broker: Broker, key: str, body: bytes, id: str) -> None:
        outline = event_outline.of_published(body, key, "", id)
        # Before the broker has it: the bridge may tell of it before the confirmation is here.
        forget = self._ways.publish(outline, time.time())
        try:
            broker.publish(self._env["AMQP_EXCHANGE"], key, body, id)
        except BrokerError:
            forget()
            raise

    async def make_traffic(self, is_wanted: Callable[[], bool]) -> None:
        """Publishes random events while traffic is on; that ends when nobody has the page open any more."""
        while True:
            await asyncio.sleep(random.uniform(*PACE))
            self.has_traffic = self.has_traffic and is_wanted()
            if not self.has_traffic:
                continue
            try:
                key, body = self._random_event()
                await asyncio.to_thread(self.publish, key, body)
                self.traffic_count += 1
                self.traffic_trouble = None
            except (BrokerError, OSError) as error:
                self.traffic_trouble = str(error)

    def _random_event(self) -> tuple[str, str]:
        [key] = random.choices(list(WEIGHTS), list(WEIGHTS.values()))
        group = random.choice(GROUPS)
        data: dict[str, Any] = {"id": group, "domain": self._env["XMPP_DOMAIN"]}
        if key != "usersGroup.deleted":
            data["participants"] = random.sample(USERS, random.randint(1, 3))
        if key == "usersGroup.created":
            data |= {"name": group.replace("-", " ").capitalize(), "owner": random.choice(USERS)}
        return key, json.dumps({"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/console", "type": key,
                                "time": datetime.now(UTC).isoformat(), "datacontenttype": "application/json", "data": data})
