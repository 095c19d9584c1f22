"""Each event's way through the stack, from the log lines that tell of it."""

from __future__ import annotations

import functools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stack.event_outline import Outline
from stack.logs import Line

KEPT = 400
"""Events."""
BROKER, QUEUE, FUNCTION, HANDLED, DONE = "bridge", "queue", "taken", "function", "room"
"""The stations behind `published`: the bridge has it, its queue has it, the poller took it, the function began, it is done."""
STATIONS = ("published", BROKER, QUEUE, FUNCTION, HANDLED, DONE)
CAME, QUEUED, TAKEN = "An event came from the broker", "An event is in its queue", "Event goes to its function"
DEAD = ("Message goes to the dead-letter queue", "An event was put to the dead letters in RabbitMQ")


# Fields: what the page draws of one event; each is a fact of its own.
@dataclass
class Way:
    """One delivery of one event: a duplicate has the same id and a version of its own."""

    id: str
    version: str = ""
    key: str = ""
    room: str = ""
    trace: str = ""
    function: str = ""
    times: dict[str, float] = field(default_factory=dict)
    """Seconds since the epoch, by station."""
    attempts: int = 0
    batch: str = ""
    """The invocation that it was handled in."""
    batch_size: int = 0
    stale: int | None = None
    """How many events of its batch a newer event had overtaken; None until its batch is done."""
    outcome: str = "under way"
    notes: list[str] = field(default_factory=list)
    changed: int = 0
    """When it was last changed, in changes of all events."""


def alone(method: Callable) -> Callable:
    """One thread at a time: events are published by others than the one that reads the logs."""
    @functools.wraps(method)
    def locked(self: Ways, *arguments: Any) -> Any:
        with self._lock:
            return method(self, *arguments)
    return locked


class Ways:
    """The ways of the events that came last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ways: OrderedDict[tuple[str, str], Way] = OrderedDict()
        self._changes = 0
        self._invocations: OrderedDict[str, str] = OrderedDict()
        """Function by invocation, those that are not done yet, the oldest first."""

    @alone
    def since(self, change: int) -> tuple[int, list[Way]]:
        """The ways that have changed since, and what to ask for next time."""
        return self._changes, [way for way in self._ways.values() if way.changed > change]

    @alone
    def publish(self, outline: Outline, at: float) -> Callable[[], None]:
        """The console publishes an event; what is returned forgets it, if the broker does not take it."""
        way = Way(outline.id, key=outline.routing_key, room=outline.subject.removeprefix("room "), times={"published": at})
        key = (way.id, f"published {time.monotonic_ns()}")
        self._ways[key] = way
        self._touch(way)
        while len(self._ways) > KEPT:
            self._ways.popitem(last=False)
        return lambda: self._forget(key)

    @alone
    def _forget(self, key: tuple[str, str]) -> None:
        self._ways.pop(key, None)

    @alone
    def take(self, line: Line) -> None:
        """A line of a log."""
        id = line.fields.get("event.id")
        if not id:
            return
        way = self._way(str(id), str(line.fields.get("version", "")), line)
        if way is None:
            return
        at, message = line.at.timestamp(), line.message
        if message in (CAME, QUEUED):
            way.times.setdefault(BROKER if message == CAME else QUEUE, at)
        elif message == TAKEN:
            way.attempts = int(line.fields.get("attempt", 1))
            way.times[FUNCTION] = at
        elif message.startswith("Received "):
            self._begin(way, line, at)
        elif message in DEAD:
            self._begin(way, line, at)
            way.outcome = "dead"
            way.times[DONE] = at
        if line.level in ("warn", "error") or message.startswith("Users who lack chat"):
            way.notes = [*way.notes, f"{message}: {line.fields.get('reason') or line.fields.get('error') or line.fields.get('users', '')}"][-5:]
            if message.startswith("Event is not handled yet"):
                way.outcome = "comes again"
        way.trace = way.trace or str(line.fields.get("trace_id", ""))
        way.key = way.key or str(line.fields.get("event.type", ""))
        way.room = way.room or str(line.fields.get("room", ""))
        self._touch(way)

    @alone
    def finish(self, metrics: dict[str, Any]) -> None:
        """An invocation is done: its line of metrics says with how many messages, and how many were stale."""
        function, size = metrics.get("function_name"), metrics.get("batch_size")
        if not size:
            return
        started = [id for id, name in self._invocations.items() if name == function]
        batches = {id: [way for way in self._ways.values() if way.batch == id] for id in started}
        # Two copies of a function may be at it; the size tells their batches apart, mostly.
        id = next((one for one in started if len(batches[one]) == int(size[0])), started[0] if started else None)
        if id is None:
            return
        del self._invocations[id]
        for way in batches[id]:
            way.stale, way.batch_size = int(metrics.get("events_stale", 0)), int(size[0])
            if way.outcome in ("under way",):
                way.outcome = "done"
                way.times[DONE] = metrics["_aws"]["Timestamp"] / 1000
            self._touch(way)

    def _begin(self, way: Way, line: Line, at: float) -> None:
        way.times[HANDLED], way.function = at, str(line.fields.get("function_name", ""))
        way.batch = str(line.fields.get("function_request_id", ""))
        if way.outcome == "comes again":
            way.outcome = "under way"
        if way.batch:
            self._invocations[way.batch] = way.function
            while len(self._invocations) > KEPT:
                self._invocations.popitem(last=False)

    def _way(self, id: str, version: str, line: Line) -> Way | None:
        """The way that a line is of, known or new. The poller's lines have no version."""
        if (way := self._ways.get((id, version))) is not None:
            return way
        own = [way for way in self._ways.values() if way.id == id]
        if not version:
            open_ = [way for way in own if line.message != TAKEN or FUNCTION not in way.times or way.outcome == "comes again"]
            return open_[0] if open_ else None
        for key, way in self._ways.items():
            if way.id == id and not way.version:
                way.version = version
                self._ways[(id, version)] = self._ways.pop(key)
                return way
        way = self._ways[(id, version)] = Way(id, version)
        return way

    def _touch(self, way: Way) -> None:
        self._changes += 1
        way.changed = self._changes
