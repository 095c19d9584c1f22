"""One server, some thousand actions, all oracles."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.stanzas.action import Action
from fuzz.stanzas.actor import ANSWER_TIMEOUT, Actor
from fuzz.stanzas.doing import Doer
from fuzz.stanzas.findings import Finding, Findings
from fuzz.stanzas.pinger import processor_time
from fuzz.stanzas.places import ACTORS, CAROL
from fuzz.stanzas.wire import Wire
from fuzz.stanzas.world import World
from support.xmpp import XmppError

BATCH = 25
"""Actions after which all is awaited that is due."""
MAX_WAIT = 1.0
"""Seconds of the server's processor time that another tenant's ping may wait."""
MAX_LEFT = 64 * 1024 * len({jid for jid, _ in ACTORS.values()})
"""KiB that may stay when all users have gone: 64 MiB for each who fuzzes."""
LEFT_TIMEOUT = 60.0
NEIGHBOUR = "neighbour"


@dataclass
class Report:
    """What a round has done and found."""

    findings: list[Finding] = field(default_factory=list)
    actions: int = 0
    sent: int = 0
    received: int = 0
    connections: int = 0
    seconds: float = 0.0
    processor: float = 0.0
    """Of the server, in seconds."""
    longest_wait: float = 0.0
    """Of the other tenant's pings, in seconds of the server's processor time."""
    longest_by_clock: float = 0.0
    memory: tuple[int, int] = (0, 0)
    """KiB before and after."""

    def __str__(self) -> str:
        return (f"{self.actions} actions ({self.sent} sent, {self.received} received, {self.connections} connections) in "
                f"{self.seconds:.0f} s, {self.processor:.0f} s of the server's processor time; "
                f"another tenant's longest ping {self.longest_wait:.2f} s of these "
                f"({self.longest_by_clock:.2f} s by the clock); memory {self.memory[0] // 1024} MiB, "
                f"then {self.memory[1] // 1024}; "
                f"{len(self.findings)} findings")


class Round:
    """One of them. `stop_at_first`: it is over with the first finding. `step`: actions between two waits."""

    def __init__(self, folder: Path, *, stop_at_first: bool = False, step: int = BATCH, seconds: float | None = None,
                 **settings: object) -> None:
        self.world = World(folder, **settings)
        self.findings = Findings()
        self.report = Report()
        self.stop_at_first, self.step, self.seconds = stop_at_first, step, seconds
        self._log_read = 0

    def run(self, actions: Iterable[Action]) -> Report:
        """Does all actions; looks at everything at their end."""
        began = time.monotonic()
        try:
            self.world.start()
            self._start_actors()
            before = self.world.memory()
            self._do(actions, began)
            self._look_at_the_end(before)
        finally:
            self.report.seconds = time.monotonic() - began
            self._stop()
        self.report.findings = self.findings.all
        return self.report

    def _start_actors(self) -> None:
        world = self.world
        self.actors = {label: Actor(world, self.findings, label, jid, resource, world.secrets)
                       for label, (jid, resource) in ACTORS.items()}
        bystander = Actor(world, self.findings, NEIGHBOUR, CAROL, "home", [world.canary, world.admin_name])
        self.everybody = [*self.actors.values(), bystander]
        for one in self.everybody:
            one.peers = self.everybody
            one.connect()
        self.doer = Doer(self.actors)
        self._settle()

    def _do(self, actions: Iterable[Action], began: float) -> None:
        batch = 0
        for action in actions:
            self.findings.position = action.position
            if batch == 0:
                self.findings.since = action.position
            try:
                self.doer.do(action)
            except (XmppError, TimeoutError, OSError) as error:
                self._trouble(action, error)
            self.report.actions += 1
            batch += 1
            for actor in self.everybody:
                actor.drain()
            if batch >= self.step:
                batch = 0
                self._settle()
                if self._is_over(began):
                    return
        self._settle()

    def _trouble(self, action: Action, error: Exception) -> None:
        """The server refuses its own users, or is away."""
        self.findings.add("alive", f"{action.do} by {action.actor}: {type(error).__name__} {error}"[:500], action.position)

    def _is_over(self, began: float) -> bool:
        if not self.world.server.running:
            self.findings.add("alive", "the server has ended")
        return (self.stop_at_first and bool(self.findings.all) or not self.world.server.running
                or any(one.oracle == "alive" for one in self.findings.all)
                or self.seconds is not None and time.monotonic() - began > self.seconds)

    # Oracles

    def _settle(self) -> None:
        """All that was sent has been handled: everybody's, then what that brought to others, and their answers to it."""
        for _ in range(2):
            self._sync()
        for actor in self.everybody:
            self._look_at_due(actor)
        self._look_at_log()
        pinger = self.world.pinger
        assert pinger is not None
        if pinger.longest > MAX_WAIT:
            self.findings.add("wait", f"another tenant's ping took {pinger.longest:.2f} s of the server's processor time")
        if pinger.ended:
            self.findings.add(NEIGHBOUR, f"another tenant's session has ended: {pinger.ended}")

    def _sync(self) -> None:
        waiting: list[tuple[str, Actor]] = []
        for actor in self.everybody:
            if actor.wire is not None and actor.wire.closed:
                if actor.label == NEIGHBOUR:
                    self.findings.add(NEIGHBOUR, f"a session that takes no part has ended: {actor.wire.wait_closed()}")
                    actor.own_end = True
                actor.settle_end()
            if actor.wire is not None:
                waiting.append((actor.sync(), actor))
        deadline = time.monotonic() + ANSWER_TIMEOUT
        while waiting:
            for actor in self.everybody:
                actor.drain()
            waiting = [(ident, actor) for ident, actor in waiting
                       if ident in actor.due and actor.wire is not None and not actor.wire.closed]
            if waiting and time.monotonic() > deadline:
                for _, actor in waiting:
                    self.findings.add("alive", f"{actor.label} waits in vain for the answer to a ping")
                return
            if waiting:
                Wire.news.wait(0.1)
                Wire.news.clear()

    def _look_at_due(self, actor: Actor, relayed: bool = False) -> None:
        """What is not answered by now never will be, unless another client has to answer it, or a timer is to run."""
        def open_ones() -> list[str]:
            return [ident for ident, due in actor.due.items() if relayed or not due.is_relayed]

        try:
            if open_ones():
                actor.wait(lambda: not open_ones() or actor.wire is None or actor.wire.closed, 20)
        except TimeoutError:
            for ident in open_ones():
                due = actor.due.pop(ident)
                self.findings.add("answer", f"no answer to the request to {due.to or 'the own account'}", due.position)

    def _look_at_log(self) -> None:
        for line in self.world.server.new_complaints():
            self.findings.add("log", line)
        with self.world.server.log_file.open("rb") as log:
            log.seek(self._log_read)
            new = log.read()
        self._log_read += len(new)
        text = new.decode(errors="replace")
        for what, secret in self.world.logged_secrets():
            if secret in text:
                line = next(line for line in text.splitlines() if secret in line)
                self.findings.add("log", f"it has {what}: {line}")

    def _look_at_the_end(self, before: int) -> None:
        for actor in self.everybody:
            if actor.wire is not None and not actor.wire.closed:
                self._look_at_due(actor, relayed=True)
        for actor in self.everybody:
            self.report.sent, self.report.received = self.report.sent + actor.sent, self.report.received + actor.received
            self.report.connections += actor.connections
            if actor.wire is not None:
                actor.own_end = True
                actor.wire.abort()
        if not self.world.server.running:
            return
        if not any(one.oracle == "alive" for one in self.findings.all):
            after = self.world.state()
            for what, value in self.world.before.items():
                if after[what] != value:
                    self.findings.add(NEIGHBOUR, f"{what} was {value}, and is {after[what]}")
        self._look_at_memory(before)
        self.report.processor = processor_time(self.world.server.pid)

    def _look_at_memory(self, before: int) -> None:
        """What was taken is given back. The other tenant's pings keep the collector going."""
        deadline = time.monotonic() + LEFT_TIMEOUT
        while (after := self.world.memory()) - before > MAX_LEFT and time.monotonic() < deadline:
            time.sleep(0.5)
        self.report.memory = (before, after)
        if after - before > MAX_LEFT:
            self.findings.add("memory", f"{(after - before) // 1024} MiB stay when all users have gone")

    def _stop(self) -> None:
        pinger = self.world.pinger
        status = self.world.end() if self.world.server._process is not None else 0
        if pinger is not None:
            self.report.longest_wait, self.report.longest_by_clock = pinger.longest, pinger.longest_by_clock
        if status != 0:
            self.findings.add("signal", f"SIGTERM ends the server with status {status}")
        if self.world.server.log_file.exists():
            self._look_at_log()
