"""What the console knows of its stack, and keeps up to date."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from typing import Any

import httpx

from stack import aws, bridge, cells, stack_env
from stack.broker import Broker, BrokerError
from stack.command_line import in_words
from stack.console.follower import Follower
from stack.console.gauges import Gauges
from stack.console.processes import Processes
from stack.console.publisher import Publisher
from stack.console.ways import Ways
from stack.dead_letters import DEAD
from stack.event_types import EVENT_FUNCTIONS
from stack.paths import StackPaths
from stack.xmpp_admin import XmppAdminError

TROUBLE = (aws.AwsError, BrokerError, XmppAdminError, OSError, httpx.HTTPError)
"""What asking the stack may fail with."""
TICK = 0.2
"""Seconds between two looks into the logs."""
POINT = 1.0
LOOK, IDLE_LOOK = 1.5, 15.0
"""Between two looks at processes and queues, while a page is open and while none is."""
WATCHED = 10.0
"""Seconds that a page counts as open after it has asked for something."""


@dataclass
class QueueDepth:
    """How much is in one queue; None where it cannot be told."""

    name: str
    waiting: int | None = None
    busy: int | None = None
    dead: int | None = None


class World:
    """One stack."""

    def __init__(self, paths: StackPaths) -> None:
        self.paths = paths
        self.env = stack_env.settings(paths.state, "console")
        self.ways, self.gauges = Ways(), Gauges()
        self.processes = Processes(self.env, paths)
        self.publisher = Publisher(self.env, self.ways)
        self.queues: list[QueueDepth] = []
        self.queue_trouble: str | None = None
        self.tenants: dict[str, str | None] = {}
        """Where there are several XMPP servers: which one each tenant is on."""
        self.bridge_says: dict[str, Any] = {}
        self.letters_lock = asyncio.Lock()
        """One look at the dead letters at a time: whoever looks at one hides it from others for a moment."""
        self._follower = Follower(paths.logs, self.ways, self.gauges)
        self._asked = 0.0

    @property
    def is_watched(self) -> bool:
        """Whether a page is open."""
        return time.monotonic() - self._asked < WATCHED

    def touch(self) -> None:
        """A page asks for something."""
        self._asked = time.monotonic()

    async def watch(self) -> None:
        """Keeps everything up to date until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._look())
            group.create_task(self.publisher.make_traffic(lambda: self.is_watched))

    async def _follow(self) -> None:
        pointed = time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            self._follower.read()
            if time.monotonic() - pointed >= POINT:
                pointed = time.monotonic()
                self.processes.look_at_pids()
                self.gauges.close(self.processes.pids, cells.all_of(self.env), sum(one.waiting or 0 for one in self.queues))

    async def _look(self) -> None:
        looked = -IDLE_LOOK
        while True:
            if time.monotonic() - looked > (LOOK if self.is_watched else IDLE_LOOK):
                with contextlib.suppress(*TROUBLE):
                    await asyncio.gather(asyncio.to_thread(self.processes.look), asyncio.to_thread(self._count))
                looked = time.monotonic()
            await asyncio.sleep(TICK)

    def _count(self) -> None:
        """How much is in the queues, and what the bridge says of itself."""
        found, trouble = [QueueDepth("broker")], None
        try:
            with Broker(self.env["AMQP_URL"]) as broker:
                found[0].waiting, found[0].dead = (broker.depth(self.env["AMQP_QUEUE"] + suffix) for suffix in ("", ".dead"))
        except BrokerError as error:
            trouble = str(error)
        own = stack_env.queues(self.env)
        try:
            for function in EVENT_FUNCTIONS:
                waiting, busy = own.depths(function)
                found.append(QueueDepth(function, waiting, busy, sum(own.depths(function + DEAD))))
        except TROUBLE as error:
            trouble = f"queues: {in_words(error)}"
            found += [QueueDepth(function) for function in EVENT_FUNCTIONS[len(found) - 1:]]
        health = bridge.health(stack_env.port_of(self.env["BRIDGE_HEALTH_URL"]))
        with contextlib.suppress(ValueError):
            self.bridge_says = json.loads(health[1]) if health else {}
        if cells.VARIABLE in self.env:
            with contextlib.suppress(*TROUBLE):
                self.tenants = cells.places(self.env)
        self.queues, self.queue_trouble = found, trouble
