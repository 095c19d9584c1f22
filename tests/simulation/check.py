"""Three real cells on this machine, beside the simulation of them.

Measured first: how long an event takes that comes alone, and the processor time that all processes spend on an event alone and
on one of a burst, which comes with others in one invocation; so what an invocation costs and what an event costs. From these and
from how much of the processors the stack got in that burst (others may run beside it) the simulation says what the lag is at
several rates, and how many events a second come through in a burst four times as large. Both are measured then.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from stack.paths import ROOT

from simulation.engine import Station, Then, quantile
from simulation.measured import Assumed, Measured
from simulation.world import BATCH, Setup, World

sys.path.append(str(ROOT / "tests" / "bench"))
CELLS, RATES, SECONDS, ALONE = 3, (5.0, 10.0, 20.0), 15.0, 25
CALIBRATION, BURST = 60, 240


@dataclass(frozen=True)
class Costs:
    """What was measured first; seconds."""

    alone: float
    """From publishing to the invitation, of an event that comes alone."""
    invocation: float
    """Processor time."""
    event: float
    """The same, beside that."""
    processors: float
    """That the stack got."""


@dataclass
class Cost:
    """Of a block: wall and processor seconds of this process and all below it, which are the stack."""

    wall: float = 0.0
    processor: float = 0.0


@contextmanager
def cost() -> Iterator[Cost]:
    """Fills what the block costs."""
    from usage import cpu
    found, begun, spent = Cost(), time.monotonic(), cpu(os.getpid(), below=True)
    yield found
    found.wall, found.processor = time.monotonic() - begun, cpu(os.getpid(), below=True) - spent


class OneMachine(World):
    """Cells, bridge and functions that share the processors."""

    def __init__(self, costs: Costs) -> None:
        servers = max(1, round(costs.processors))
        self.slower = servers / costs.processors
        idle = max(0.0, costs.alone - (costs.invocation + costs.event) * self.slower)
        measured = replace(Measured(), bridge=costs.event * self.slower * 0.1, group_of_5=costs.event * self.slower * 0.9)
        assumed = Assumed(queue=idle / 2, invocation=0.0, ledger=idle / 4, ledger_trips=2)
        super().__init__(Setup(users=300, tenants=12, cells=CELLS, event_rate=0, rest_rate=0, login_rate=0, concurrency=4 * CELLS,
                               largest=0.1, measured=measured, assumed=assumed))
        self.costs, machine = costs, Station(self.simulation, servers)
        self.cells, self.bridge = [machine] * CELLS, machine

    def _start(self, then: Then) -> None:
        self.bridge.submit(self.costs.invocation * self.slower, then)


def predicted_lags(costs: Costs, rate: float, seconds: float) -> list[float]:
    """Of events that come evenly."""
    world = OneMachine(costs)
    for number in range(int(rate * seconds)):
        world.simulation.after(number / rate, lambda number=number: world.publish(number % CELLS))  # type: ignore[misc]
    world.simulation.run()
    return [lag for _, _, lag in world.lags]


def predicted_rate(costs: Costs, count: int) -> float:
    """Events a second of a burst."""
    world = OneMachine(costs)
    for number in range(count):
        world.publish(number % CELLS)
    world.simulation.run()
    return count / world.simulation.now


def calibrate(trial) -> Costs:
    """Measures what the simulation goes by."""
    def lags(count: int, pause: float = 0.0) -> list[float]:
        return trial.lags(trial.publish(count, pause))

    lags(CALIBRATION)  # what is used for the first time costs more
    alone = statistics.median(lag for _ in range(ALONE) for lag in lags(1))
    with cost() as idle:
        time.sleep(5)
    with cost() as single:
        lags(int(RATES[0] * SECONDS), 1 / RATES[0])
    with cost() as burst:
        lags(CALIBRATION)
    of_one = (single.processor - idle.processor / idle.wall * single.wall) / int(RATES[0] * SECONDS)
    of_many = burst.processor / CALIBRATION
    invocation = max(0.0, of_one - of_many) / (1 - 1 / BATCH)  # those of a burst come in full batches, about
    found = Costs(alone, invocation, max(of_one - invocation, of_many / 2), burst.processor / burst.wall)
    print(f"  measured: an event that comes alone {found.alone * 1e3:.0f} ms; processor time of an invocation {found.invocation * 1e3:.1f} ms and of an "
          f"event {found.event * 1e3:.1f} ms; the stack gets {found.processors:.2f} processors", flush=True)
    return found


def measure(trial) -> None:
    """Prints the real ones beside the simulated."""
    def row(what: str, real: str, simulated: str) -> None:
        print(f"  {what:28} real {real:34} simulated {simulated}", flush=True)

    def words(lags: list[float]) -> str:
        return f"median {quantile(lags, 0.5) * 1e3:.0f}, 99th percentile {quantile(lags, 0.99) * 1e3:.0f} ms"
    costs = calibrate(trial)
    for rate in RATES:
        real = trial.lags(trial.publish(int(rate * SECONDS), 1 / rate))
        row(f"lag at {rate:.0f} events/s", words(real), words(predicted_lags(costs, rate, SECONDS)))
    begun = time.monotonic()
    trial.lags(trial.publish(BURST, 0))
    row(f"a burst of {BURST}", f"{BURST / (time.monotonic() - begun):.0f} events/s", f"{predicted_rate(costs, BURST):.0f} events/s")


def run() -> int:
    """Starts, measures, prints."""
    import cell_isolation
    from support.platform import Platform

    base = ROOT / "target" / "bench"
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=base))
    platform = Platform(folder, log_level="info", cells=CELLS, event_concurrency=4 * CELLS)
    platform.start()
    try:
        trial = cell_isolation.Trial(platform, cell_isolation.FULL)
        trial.sick = ""  # all are well
        measure(trial)
    finally:
        platform.stop()
    shutil.rmtree(folder)
    return 0
