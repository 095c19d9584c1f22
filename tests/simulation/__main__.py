"""Reckons and simulates the platform at scale; docs/SCALE.md has what it printed.

    PYTHONPATH=tests:scripts target/venv/bin/python -m simulation                       a million users, 10,000 tenants
    PYTHONPATH=tests:scripts target/venv/bin/python -m simulation --users 200000 --tenants 2000 --seed 7
    PYTHONPATH=tests:scripts target/venv/bin/python -m simulation --check               beside three real cells, which it starts

Each run with a seed is the same. The constants are in tests/simulation/measured.py, prices in docs/COST.md.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2] / "scripts")]

from simulation import plan, tenants  # noqa: E402
from simulation.engine import quantile  # noqa: E402
from simulation.world import Setup, World  # noqa: E402
from stack import costs  # noqa: E402

BUSY = 0.7
"""A cell's utilisation at the peak, at most: above, waiting grows fast."""
LONGEST_LIST = 100


def cells_for(users: int, count: int, concurrency: int, seed: int) -> tuple[Setup, list[int]]:
    """The fewest cells of which none is too busy at the peak, and the users of each."""
    for cells in range(1, LONGEST_LIST):
        setup = plan.setup(users, count, cells, concurrency * cells, seed)
        sizes = tenants.sizes(count, users, setup.largest, seed)
        spread = tenants.users_by_cell(sizes, tenants.place(sizes, cells), cells)
        if max(plan.utilisations(setup, spread, setup.habits.peak)) <= BUSY:
            return setup, spread
    sys.exit(f"simulation: {LONGEST_LIST} cells are not enough: a tenant alone is too much for one")


def show_plan(setup: Setup, spread: list[int]) -> None:
    peak, habits = setup.habits.peak, setup.habits
    busy = plan.utilisations(setup, spread, peak)
    per_cell = setup.tenants // setup.cells
    print(f"{setup.users:,} users, {setup.tenants:,} tenants, peak {peak:.0f} x the mean: {setup.cells} cells")
    print(f"  users of a cell           {min(spread):,} to {max(spread):,}; tenants {per_cell:,}")
    print(f"  sessions of a cell        {max(spread) * habits.sessions:,.0f} at most, "
          f"{plan.memory_mib(max(spread), per_cell, habits, setup.measured) / 1024:.1f} GiB with all its tenants in use")
    print(f"  a cell at the peak        {min(busy):.0%} to {max(busy):.0%} of its core")
    total = sum(plan.seconds_of_a_user(setup).values())
    shares = ", ".join(f"{what} {seconds / total:.0%}" for what, seconds in plan.seconds_of_a_user(setup).items())
    print(f"  what takes it             {shares}")
    print(f"  events                    {setup.event_rate:.1f} a second in the mean, {setup.event_rate * peak:.0f} at the peak; "
          f"the bridge takes {1 / setup.measured.bridge:,.0f}")
    reads, writes = plan.ledger_units(setup)
    print(f"  ledger                    {reads * peak:,.0f} read and {writes * peak:,.0f} write units a second at the peak")
    rest = setup.rest_rate + setup.login_rate
    print(f"  REST                      {rest * peak:,.0f} calls a second at the peak; {plan.rest_at_a_time(setup) * peak:.0f} at a time; "
          f"{setup.rest_rate * peak / setup.cells * setup.measured.silence:.0f} more while one cell hangs, until it is given up")
    print(f"  event functions           {setup.concurrency} at a time (EventConcurrency), each type")


def show_money(setup: Setup, cell_month: float) -> None:
    month = costs.month(setup.users, costs.Habits())
    month["cells"] = cell_month * setup.cells
    print(f"  money a month             {', '.join(f'{what} {dollars:,.0f}' for what, dollars in month.items())}; together {sum(month.values()):,.0f}")


def show_limits(setup: Setup, spread: list[int]) -> None:
    print("what is used up first, as times the peak that was reckoned:")
    for what, times in sorted(plan.headroom(setup, spread).items(), key=lambda item: item[1]):
        print(f"  {times:8.1f} x  {what}")


def measure(world: World, seconds: float, peak: float) -> None:
    """Steady load for so long."""
    world.load(seconds, peak)
    world.simulation.run(seconds)


def lags(world: World, besides: int | None = None) -> str:
    found = [lag for cell, _, lag in world.lags if cell != besides]
    return (f"median {quantile(found, 0.5) * 1e3:,.0f} ms, 99th percentile {quantile(found, 0.99) * 1e3:,.0f} ms (of {len(found):,})")


def show_runs(setup: Setup, spread: list[int], seconds: float) -> None:
    peak = setup.habits.peak
    fullest = spread.index(max(spread))
    world = World(setup)
    measure(world, seconds, peak)
    busy = [cell.utilisation() for cell in world.cells]
    print(f"simulated, {seconds:.0f} s at the peak: cells busy {min(busy):.0%} to {max(busy):.0%}; events {lags(world)}; "
          f"REST 99th percentile {quantile([taken for _, taken in world.rest], 0.99) * 1e3:.0f} ms; "
          f"logins 99th percentile {quantile([taken for _, taken in world.logins], 0.99) * 1e3:.0f} ms; "
          f"{world.slot_seconds / seconds:.1f} event functions at a time in the mean")
    for concurrency in (4, setup.concurrency):
        world = World(plan.setup(setup.users, setup.tenants, setup.cells, concurrency, setup.seed))
        world.cells[fullest].is_open = False
        measure(world, seconds, peak)
        print(f"  the fullest cell hangs, EventConcurrency {concurrency}: the others' events {lags(world, fullest)}")
    world = World(setup)
    world.dead.add(fullest)
    measure(world, seconds, peak)
    print(f"  the fullest cell is dead: the others' events {lags(world, fullest)}")
    for load in (1.0, peak):
        show_storm(setup, fullest, load)


def show_storm(setup: Setup, cell: int, load: float) -> None:
    """The cell restarts within 5 s, and all come back."""
    world = World(setup)
    waits = world.storm(cell, 5.0)
    calls = max(Counter(int(wait) for wait in waits).values())
    world.load(300.0, load)
    world.simulation.run(300.0)
    found = sorted(taken for one, taken in world.logins if one == cell)
    print(f"  its restart, with the load at {load:.0f} x the mean: {len(waits):,} sessions come back with up to {calls:,} "
          f"REST logins a second; from connecting half of them wait {quantile(found, 0.5):.0f} s at most, the last {found[-1] if found else 0:.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each simulated run")
    parser.add_argument("--concurrency", type=int, default=4, help="EventConcurrency for each cell")
    parser.add_argument("--cell-month", type=float, default=225.0, metavar="DOLLARS",
                        help="what a cell costs a month with its database (docs/COST.md has 225 for the first; from memory)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="three real cells beside the simulation of them")
    options = parser.parse_args()
    if options.check:
        from simulation import check
        return check.run()
    setup, spread = cells_for(options.users, options.tenants, options.concurrency, options.seed)
    show_plan(setup, spread)
    show_money(setup, options.cell_month)
    show_limits(setup, spread)
    show_runs(setup, spread, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
