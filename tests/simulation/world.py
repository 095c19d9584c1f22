"""The platform as stations: publish, bridge, queues, functions, cells; chat clients' messages and logins beside."""

from __future__ import annotations

import itertools
import random
from collections import deque
from dataclasses import dataclass, field

from simulation import tenants
from simulation.engine import Simulation, Station, Then
from simulation.measured import Assumed, Habits, Measured

BATCH = 10
"""Messages of one invocation."""
DAY = 86_400.0


@dataclass(frozen=True)
class Setup:
    """What is simulated."""

    users: int
    tenants: int
    cells: int
    event_rate: float
    """Broker events of all users together, a second, as the mean."""
    rest_rate: float
    """REST calls that ask a cell."""
    login_rate: float
    concurrency: int = 4
    """Invocations of an event function at a time: EventConcurrency."""
    largest: float = 0.02
    """The share of all users that the largest tenant has."""
    measured: Measured = Measured()
    assumed: Assumed = Assumed()
    habits: Habits = Habits()
    seed: int = 1


@dataclass
class Event:
    """A broker event on its way."""

    cell: int
    published: float
    tries: int = 0


@dataclass
class Copy:
    """An instance of a function: one invocation at a time, and what it knows of each cell."""

    open_until: dict[int, float] = field(default_factory=dict)
    pause: dict[int, float] = field(default_factory=dict)


class World:
    """All of it. Its event functions are one pool: they differ in little but the queue that they read."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.simulation = Simulation()
        self.random = random.Random(setup.seed)
        sizes = tenants.sizes(setup.tenants, setup.users, setup.largest, setup.seed)
        self.users = tenants.users_by_cell(sizes, tenants.place(sizes, setup.cells), setup.cells)
        self.cells = [Station(self.simulation) for _ in range(setup.cells)]
        self.bridge = Station(self.simulation)
        self.queue: deque[Event] = deque()
        self.copies = [Copy() for _ in range(setup.concurrency)]
        self.busy: list[int] = []
        self.slot_seconds = 0.0
        self.lags: list[tuple[int, float, float]] = []
        """Cell, when it was published, seconds until it was done."""
        self.rest: list[tuple[int, float]] = []
        """Cell, seconds until the answer."""
        self.logins: list[tuple[int, float]] = []
        self.dead: set[int] = set()
        self.published = 0
        self._users_before = list(itertools.accumulate(self.users))

    # What comes

    def load(self, seconds: float, peak: float = 1.0) -> None:
        """All that users and platform do, from now on for so long, at `peak` times the mean rate."""
        setup, habits = self.setup, self.setup.habits
        cost = setup.measured
        group_message = cost.stored_group_message + habits.in_the_room * cost.delivery
        self._poisson(peak * setup.users * habits.messages_day / DAY, seconds, lambda: self._work(cost.message))
        self._poisson(peak * setup.users * habits.group_messages_day / DAY, seconds, lambda: self._work(group_message))
        self._poisson(peak * setup.login_rate, seconds, self._login)
        self._poisson(peak * setup.rest_rate, seconds, self._call)
        self._poisson(peak * setup.event_rate, seconds, self.publish)

    def _poisson(self, rate: float, seconds: float, what: Then) -> None:
        end = self.simulation.now + seconds

        def next_one() -> None:
            if rate > 0 and (wait := self.random.expovariate(rate)) + self.simulation.now < end:
                self.simulation.after(wait, arrive)

        def arrive() -> None:
            what()
            next_one()
        next_one()

    def _cell(self) -> int:
        """Of a user by chance."""
        one = self.random.randrange(self._users_before[-1])
        return next(cell for cell, before in enumerate(self._users_before) if one < before)

    def _work(self, seconds: float) -> None:
        cell = self._cell()
        if cell not in self.dead:
            self.cells[cell].submit(seconds, lambda: None)

    def _login(self, cell: int | None = None, cost: float = 0.0) -> None:
        cell, begun = self._cell() if cell is None else cell, self.simulation.now
        if cell not in self.dead:
            self.cells[cell].submit(cost or self.setup.measured.login, lambda: self.logins.append((cell, self.simulation.now - begun)))

    def _call(self) -> None:
        cell, begun = self._cell(), self.simulation.now
        if cell not in self.dead:
            own = self.setup.assumed.invocation + self.setup.assumed.rest
            self.cells[cell].submit(self.setup.measured.list_call, lambda: self.rest.append((cell, self.simulation.now - begun + own)))

    def storm(self, cell: int, down: float) -> list[float]:
        """The cell has been away for so long; all its sessions' clients log in again, as docs/CLIENTS.md has them wait. When: each
        needs a new login token then, which is a REST call."""
        waits = []
        sessions = round(self.users[cell] * self.setup.habits.sessions)
        tenants_of_cell = self.setup.tenants // self.setup.cells
        for number in range(sessions):
            wait, attempts = 0.0, 0
            while wait < down:
                wait += min(2.0**attempts, 60.0) * (0.5 + self.random.random())
                attempts += 1
            # The first of each tenant loads it.
            cost = self.setup.measured.login + (self.setup.measured.load_tenant if number < tenants_of_cell else 0)
            waits.append(wait)
            self.simulation.after(wait, lambda cost=cost: self._login(cell, cost))  # type: ignore[misc]
        return waits

    # An event's way

    def publish(self, cell: int | None = None) -> None:
        """One event, of a user by chance or of a cell."""
        event = Event(self._cell() if cell is None else cell, self.simulation.now)
        self.published += 1
        self.bridge.submit(self.setup.measured.bridge, lambda: self.simulation.after(self.setup.assumed.queue, lambda: self._queue(event)))

    def _queue(self, event: Event) -> None:
        self.queue.append(event)
        self._invoke()

    def _invoke(self) -> None:
        while self.queue and len(self.busy) < len(self.copies):
            index = next(number for number in range(len(self.copies)) if number not in self.busy)
            self.busy.append(index)
            batch = [self.queue.popleft() for _ in range(min(BATCH, len(self.queue)))]
            self._handle(index, batch)

    def _handle(self, index: int, batch: list[Event]) -> None:
        """All events of a batch at a time; the copy is free when the slowest is done."""
        left, begun = [len(batch)], self.simulation.now

        def done() -> None:
            left[0] -= 1
            if not left[0]:
                self.busy.remove(index)
                self.slot_seconds += self.simulation.now - begun
                self._invoke()
        def apply() -> None:
            for event in batch:
                self._apply(self.copies[index], event, done)
        self._start(apply)

    def _start(self, then: Then) -> None:
        """What an invocation costs, however many events it has: nothing that anybody would wait for."""
        then()

    def _apply(self, copy: Copy, event: Event, done: Then) -> None:
        assumed, now = self.setup.assumed, self.simulation.now
        cell = self.cells[event.cell]
        ledger = assumed.ledger * assumed.ledger_trips / 2

        def end() -> None:
            self.lags.append((event.cell, event.published, self.simulation.now - event.published))
            done()

        def ask() -> None:
            cell.submit(self.setup.measured.group_of_5, lambda: self.simulation.after(ledger, end))

        def fail() -> None:
            event.tries += 1
            self.simulation.after(min(2.0 ** (event.tries - 1), 900.0), lambda: self._queue(event))
            done()

        before = assumed.invocation + ledger
        if event.cell in self.dead or not cell.is_open:
            self.simulation.after(before + self._hold(copy, event.cell, now), fail)
        else:
            self.simulation.after(before, ask)

    def _hold(self, copy: Copy, cell: int, now: float) -> float:
        """How long a request to a cell that is away takes: it is refused at once if it is dead or left alone, else it waits."""
        cost = self.setup.measured
        if cell in self.dead or now < copy.open_until.get(cell, 0):
            return 0
        is_probe = cell in copy.pause
        pause = min(copy.pause.get(cell, cost.first_pause / 2) * 2, cost.longest_pause)
        wait = cost.probe if is_probe else cost.silence
        copy.pause[cell], copy.open_until[cell] = pause, now + wait + pause
        return wait
