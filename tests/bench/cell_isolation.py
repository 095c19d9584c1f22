"""Three cells, one of them killed, then stopped: what the others' tenants notice. `scripts/bench cells`.

All cells' events share broker, bridge, queues and functions. Each phase publishes groups for the tenants of all cells in turn,
at a steady rate, and measures from publishing to the invitation that an online member gets; then publishes a burst, and measures
how long the others' part of it takes; beside that it makes REST calls. Rounds are before, killed, before, stopped. Processes and cells share one machine here, so whatever loads that is in all figures.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from stack import prosody
from stack.broker import Broker
from stack.event_types import ROUTING_KEYS
from stack.paths import ROOT
from stack.rabbitmq import EXCHANGE
from support.platform import Platform
from support.wait import until
from support.xmpp import Client, Closed

FUNCTION = "users-group-created"
BOUND = 1.2
CELLS = 3
LONGEST_WAIT = "30"
"""Seconds between two tries of an event: about as deployed, where retries are few; the local stack's are there for tests to be short."""
INVITATION = ".//{jabber:x:conference}x"


@dataclass(frozen=True)
class Amount:
    """How much is measured."""

    rounds: int
    tenants: int
    """On each cell."""
    rate: float
    """Events a second, of all cells together."""
    seconds: float
    burst: int


FULL, SMOKE = Amount(rounds=3, tenants=4, rate=12, seconds=20, burst=180), Amount(rounds=1, tenants=1, rate=10, seconds=1, burst=6)


class Watcher:
    """A tenant's user who is online, and when they were invited to which room."""

    def __init__(self, platform: Platform, domain: str, cell: str) -> None:
        self.platform, self.domain, self.cell = platform, domain, cell
        self.invited: dict[str, float] = {}
        self.client = self._online()
        threading.Thread(target=self._watch, daemon=True).start()

    def call(self, path: str) -> httpx.Response:
        """A REST call of theirs."""
        token = self.platform.stack.issuer.token("watcher", self.domain, ["chat"])
        return httpx.get(f"{self.platform.stack.functions.url}/sapi/xmpp/{path}", trust_env=False, timeout=30,
                         headers={"Authorization": f"Bearer {token}"})

    def _online(self) -> Client:
        told = self.call("login").raise_for_status().json()
        client = self.platform.keep(Client(told["xmppUrl"], told["jid"], told["token"], timeout=30)).connect()
        client.presence()
        client.sync()
        return client

    def _watch(self) -> None:
        """Until their session ends, which is that of a cell that was killed."""
        while True:
            try:
                found = self.client.wait(lambda stanza: stanza.find(INVITATION) is not None, timeout=3600)
            except Closed:
                return
            now, direct = time.monotonic(), found.find(INVITATION)
            self.invited[str(direct is not None and direct.get("jid")).partition("@")[0]] = now


@dataclass
class Seen:
    """What came of one phase."""

    lags: list[float] = field(default_factory=list)
    """Seconds from publishing to the invitation; the others' events."""
    burst_rate: float = 0.0
    """The others' events a second."""
    rest: list[tuple[int, float]] = field(default_factory=list)
    """Status and seconds of the others' REST calls."""
    rest_of_sick: list[tuple[int, float]] = field(default_factory=list)


def p99(values: list[float]) -> float:
    """The value that one of a hundred exceeds."""
    return sorted(values)[max(0, math.ceil(len(values) * 0.99) - 1)]


class Trial:
    """The stack, and one of its cells that is to have trouble."""

    def __init__(self, platform: Platform, amount: Amount) -> None:
        self.platform, self.amount = platform, amount
        self.sick = list(platform.stack.prosodies)[-1]
        domains = self._create(amount.tenants * len(platform.stack.prosodies))
        self.watchers = [Watcher(platform, domain, cell) for domain, cell in domains.items()]

    def _create(self, count: int) -> dict[str, str]:
        """Tenants, evenly spread, and where each is."""
        domains = [f"tenant{number}.test" for number in range(count)]
        for domain in domains:
            self.platform.publish("domain.created", {"domain": domain})

        def of(cell: str) -> list[str]:
            server = self.platform.stack.prosodies[cell]
            answer = httpx.get(server.hosts_url, trust_env=False, timeout=10, headers={"Authorization": f"Bearer {server.admin_token}"})
            return [entry["domain"] for entry in answer.raise_for_status().json()]

        def places() -> dict[str, str] | None:
            found = {domain: cell for cell in self.platform.stack.prosodies for domain in of(cell) if domain in domains}
            return found if len(found) == count else None
        return until(places, "all tenants on cells")

    @property
    def others(self) -> list[Watcher]:
        """Those whose cell has no trouble."""
        return [watcher for watcher in self.watchers if watcher.cell != self.sick]

    def publish(self, count: int, pause: float) -> dict[str, tuple[Watcher, float]]:
        """Groups of the watchers in turn; by room, whose and when."""
        published: dict[str, tuple[Watcher, float]] = {}
        begun = time.monotonic()
        with Broker(self.platform.stack.rabbitmq.url) as broker:
            for number in range(count):
                time.sleep(max(0.0, begun + number * pause - time.monotonic()))
                watcher, id = self.watchers[number % len(self.watchers)], f"g{uuid.uuid4().hex[:12]}"
                body = json.dumps({"id": id, "domain": watcher.domain, "participants": ["watcher"]}).encode()
                published[id] = (watcher, time.monotonic())
                broker.publish(EXCHANGE, ROUTING_KEYS[FUNCTION], body, id)
        return published

    def lags(self, published: dict[str, tuple[Watcher, float]]) -> list[float]:
        """Of the others' events, once all are there."""
        theirs = {id: (watcher, at) for id, (watcher, at) in published.items() if watcher.cell != self.sick}
        until(lambda: all(id in watcher.invited for id, (watcher, _) in theirs.items()), "the others' invitations", 180)
        return [watcher.invited[id] - at for id, (watcher, at) in theirs.items()]

    def phase(self) -> Seen:
        """Steady events beside REST calls, then a burst."""
        seen, amount = Seen(), self.amount
        with calling(self.others, seen.rest), calling([one for one in self.watchers if one.cell == self.sick], seen.rest_of_sick):
            seen.lags = self.lags(self.publish(int(amount.rate * amount.seconds), 1 / amount.rate))
        begun = time.monotonic()
        lags = self.lags(self.publish(amount.burst, 0))
        seen.burst_rate = len(lags) / (time.monotonic() - begun)
        return seen

    @contextmanager
    def killed(self) -> Iterator[None]:
        """The cell ends and is not started again before the end."""
        supervisor, settings = self.platform.supervisor, self.platform.stack.prosodies[self.sick]
        pid = supervisor.pid(self.sick)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        supervisor.stop_one(self.sick)
        try:
            yield
        finally:
            supervisor.start(prosody.process(settings, self.sick))

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The cell hangs: it takes connections and answers nothing."""
        pid = self.platform.supervisor.pid(self.sick)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def settle(self) -> None:
        """All that waited for the cell is done."""
        self.platform.wait_handled(FUNCTION, timeout=180)
        until(lambda: all(one.call("individualChatList").status_code == 200 for one in self.watchers), "answers of all cells", 60)


@contextmanager
def calling(watchers: list[Watcher], answers: list[tuple[int, float]]) -> Iterator[None]:
    """Lists are asked for, one after the other, until the block ends."""
    is_over = threading.Event()

    def call() -> None:
        number = 0
        while not is_over.wait(0.1):
            begun = time.monotonic()
            status = watchers[number % len(watchers)].call("individualChatList").status_code
            answers.append((status, time.monotonic() - begun))
            number += 1
    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def show(name: str, seen: Seen) -> None:
    """A line of events, a line of calls."""
    rest, sick = [seconds for _, seconds in seen.rest], seen.rest_of_sick
    held = sum(seconds > 0.5 for _, seconds in sick)
    print(f"  {name:8} others' lag: median {statistics.median(seen.lags) * 1e3:5.0f} ms, 99th percentile {p99(seen.lags) * 1e3:6.0f} ms"
          f" (of {len(seen.lags)}); burst {seen.burst_rate:5.0f} events/s", flush=True)
    print(f"           REST: others' {sum(status != 200 for status, _ in seen.rest)} of {len(rest)} refused, 99th percentile {p99(rest) * 1e3:.0f} ms;"
          f" its own {sum(status == 503 for status, _ in sick)} of {len(sick)} get 503, {held} after more than 0.5 s (longest"
          f" {max(seconds for _, seconds in sick):.1f} s), median {statistics.median(seconds for _, seconds in sick) * 1e3:.0f} ms", flush=True)


def measure(platform: Platform, amount: Amount) -> bool:
    """All rounds; whether the medians of the ratios are within the bound."""
    trial = Trial(platform, amount)
    trial.phase()  # what is used for the first time costs more
    pairs: dict[str, list[tuple[Seen, Seen]]] = {"killed": [], "stopped": []}
    for _ in range(amount.rounds):
        for name, trouble in (("killed", trial.killed), ("stopped", trial.stopped)):
            trial.settle()
            before = trial.phase()
            show("before", before)
            with trouble():
                during = trial.phase()
            show(name, during)
            pairs[name].append((before, during))
    trial.settle()
    return all([verdict(name, seen) for name, seen in pairs.items()])


def verdict(name: str, pairs: list[tuple[Seen, Seen]]) -> bool:
    """Prints how during is beside before, and whether that is within the bound: of all lags, for few have no 99th percentile, and of
    the rounds' medians."""
    before, during = ([pair[side] for pair in pairs] for side in (0, 1))

    def pooled(seen: list[Seen]) -> float:
        return p99([lag for one in seen for lag in one.lags])

    def rate(seen: list[Seen]) -> float:
        return statistics.median(one.burst_rate for one in seen)
    ratios = {"lag, 99th percentile": pooled(during) / pooled(before),
              "lag, median": statistics.median(statistics.median(two.lags) / statistics.median(one.lags) for one, two in pairs),
              "seconds for a burst": rate(before) / rate(during)}
    for what, ratio in ratios.items():
        print(f"  {name:8} {what:22} {ratio:5.2f} x of before: {'within' if ratio <= BOUND else 'BEYOND'} {BOUND} x", flush=True)
    return all(ratio <= BOUND for ratio in ratios.values())


def run(*, smoke: bool) -> bool:
    """As scripts/bench does it. A smoke run has no verdict: other programs run beside it."""
    amount = SMOKE if smoke else FULL
    base = ROOT / "target" / "bench"
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="cells-", dir=base))
    platform = Platform(folder, log_level="info", cells=CELLS, event_concurrency=4 * CELLS,
                        environment={"SIPPO_QUEUES__LONGEST_RETRY_WAIT": LONGEST_WAIT})
    print(f"isolation of cells: one of three killed, then stopped; {amount.rate:.0f} events/s", flush=True)
    platform.start()
    try:
        is_good = measure(platform, amount)
    finally:
        platform.stop()
    shutil.rmtree(folder)
    return is_good or smoke
