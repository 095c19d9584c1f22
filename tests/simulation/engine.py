"""A discrete-event simulation: a clock, things that happen at times, and stations where jobs wait for a server."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

Then = Callable[[], None]


class Simulation:
    """The clock. What is due at the same time happens in the order in which it was planned, so a run is the same each time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._plan: list[tuple[float, int, Then]] = []

    def after(self, seconds: float, then: Then) -> None:
        """Plans something."""
        heapq.heappush(self._plan, (self.now + seconds, next(self._order), then))

    def run(self, until: float = math.inf) -> None:
        """Until this time, or until nothing is planned."""
        while self._plan and self._plan[0][0] <= until:
            self.now, _, then = heapq.heappop(self._plan)
            then()
        if until < math.inf:
            self.now = max(self.now, until)


@dataclass
class Station:
    """Some servers of one kind, each with one job at a time, and the jobs that wait for one in the order in which they came."""

    simulation: Simulation
    servers: int = 1
    busy: int = 0
    done: int = 0
    waiting: deque[tuple[float, Then]] = field(default_factory=deque)
    is_open: bool = True
    """A closed one takes jobs and begins none: it hangs."""
    busy_seconds: float = 0.0
    job_seconds: float = 0.0
    """Of all jobs that are there, waiting or not: over the time, their mean number."""
    _since: float = 0.0

    def submit(self, seconds: float, then: Then) -> None:
        """A job that keeps a server for so long."""
        self._count()
        self.waiting.append((seconds, then))
        self._begin()

    def open(self) -> None:
        """It goes on."""
        self._count()
        self.is_open = True
        self._begin()

    def _begin(self) -> None:
        while self.is_open and self.waiting and self.busy < self.servers:
            seconds, then = self.waiting.popleft()
            self.busy += 1
            self.simulation.after(seconds, lambda then=then: self._end(then))  # type: ignore[misc]

    def _end(self, then: Then) -> None:
        self._count()
        self.busy -= 1
        self.done += 1
        self._begin()
        then()

    def _count(self) -> None:
        """Before each change of what is there."""
        passed, self._since = self.simulation.now - self._since, self.simulation.now
        self.busy_seconds += passed * self.busy
        self.job_seconds += passed * (self.busy + len(self.waiting))

    def utilisation(self) -> float:
        """The share of its servers' time that was taken, up to now."""
        self._count()
        return self.busy_seconds / self.simulation.now / self.servers

    def mean_jobs(self) -> float:
        """The mean number of jobs there, up to now."""
        self._count()
        return self.job_seconds / self.simulation.now


def quantile(values: list[float], share: float) -> float:
    """The value that this share of all does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(len(ordered) * share) - 1))] if ordered else 0.0
