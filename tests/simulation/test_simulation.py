"""The simulation beside what is known by hand: queues of textbooks, sums, and what a seed is for."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from simulation import check, plan, tenants
from simulation.engine import Simulation, Station, quantile
from simulation.world import Setup, World

SECONDS = 20_000.0


def queue(rate: float, service) -> tuple[Station, list[float]]:
    """A station with Poisson arrivals, run; the seconds that each job was there."""
    generator, simulation = random.Random(7), Simulation()
    station, stays = Station(simulation), []

    def arrive() -> None:
        begun = simulation.now
        station.submit(service(generator), lambda: stays.append(simulation.now - begun))
        simulation.after(generator.expovariate(rate), arrive)
    simulation.after(0, arrive)
    simulation.run(SECONDS)
    return station, stays


@pytest.mark.parametrize(("name", "service", "mean"), [
    # Mean stay: 1 / (mu - lambda); half of its wait where all jobs take the same (Pollaczek and Khinchine).
    ("M/M/1", lambda generator: generator.expovariate(1.0), 1 / (1 - 0.8)),
    ("M/D/1", lambda _: 1.0, 1 + 0.8 / (2 * (1 - 0.8))),
])
def test_a_station_is_the_textbooks_queue(name: str, service, mean: float):
    station, stays = queue(0.8, service)
    assert sum(stays) / len(stays) == pytest.approx(mean, rel=0.15), name
    assert station.utilisation() == pytest.approx(0.8, rel=0.03), name
    # Little's law.
    assert station.mean_jobs() == pytest.approx(len(stays) / SECONDS * sum(stays) / len(stays), rel=0.01), name


def test_a_closed_station_holds_its_jobs_and_goes_on():
    simulation, done = Simulation(), []
    station = Station(simulation, is_open=False)
    for number in range(3):
        station.submit(1.0, lambda number=number: done.append((number, simulation.now)))
    simulation.after(10.0, station.open)
    simulation.run()
    assert done == [(0, 11.0), (1, 12.0), (2, 13.0)]


def test_quantiles():
    assert [quantile([3.0, 1.0, 2.0, 4.0], share) for share in (0.0, 0.5, 0.75, 0.99)] == [1.0, 2.0, 3.0, 4.0]


def small(**changes) -> World:
    setup = Setup(users=30_000, tenants=300, cells=3, event_rate=2.0, rest_rate=5.0, login_rate=2.0)
    return World(replace(setup, **changes))


def test_all_that_is_published_is_done_and_a_cell_is_as_busy_as_its_users_have_it():
    world = small()
    world.load(100.0, peak=10.0)
    world.simulation.run(100.0)
    expected = plan.utilisations(world.setup, world.users, 10.0)
    for cell, by_hand in zip(world.cells, expected, strict=True):
        assert cell.utilisation() == pytest.approx(by_hand, rel=0.1)
    world.simulation.run()
    assert len(world.lags) == world.published > 1_000 and not world.queue and not world.busy


def test_a_seed_gives_the_same_run_and_another_one_another():
    def lags(seed: int) -> list[tuple[int, float, float]]:
        world = small(seed=seed)
        world.load(20.0, peak=10.0)
        world.simulation.run()
        return world.lags
    assert lags(1) == lags(1) != lags(2)


def test_what_a_dead_cell_was_asked_for_is_done_when_it_is_back_and_others_do_not_wait():
    world = small(concurrency=4)
    world.dead.add(0)
    world.load(60.0, peak=10.0)
    world.simulation.run(60.0)
    assert not [lag for cell, _, lag in world.lags if cell == 0]
    others = [lag for cell, _, lag in world.lags if cell != 0]
    assert quantile(others, 0.99) < 0.2
    world.dead.clear()
    world.simulation.run()
    assert len(world.lags) == world.published


def test_a_cell_that_hangs_holds_each_copy_once_and_then_seldom():
    """With as many copies as its events can take in the time that it is waited for, the others' do not wait."""
    def worst(concurrency: int) -> float:
        world = small(concurrency=concurrency)
        world.cells[0].is_open = False
        world.load(30.0, peak=10.0)
        world.simulation.run(30.0)
        return quantile([lag for cell, _, lag in world.lags if cell != 0], 0.99)
    assert worst(2) > 0.5 > worst(24)


def test_sizes_are_uneven_and_sum_up_and_placing_knows_only_their_number():
    sizes = tenants.sizes(10_000, 1_000_000, 0.02, 1)
    assert sum(sizes) == pytest.approx(1_000_000, rel=0.02) and max(sizes) <= 20_001
    assert sum(sorted(sizes)[-2_000:]) > 0.6 * sum(sizes)
    placed = tenants.place(sizes, 7)
    counts = [placed.count(cell) for cell in range(7)]
    assert max(counts) - min(counts) <= 1


def test_cells_that_share_a_machine_take_as_much_as_it_has():
    costs = check.Costs(alone=0.1, invocation=0.01, event=0.02, processors=2.0)
    assert check.predicted_rate(costs, 500) == pytest.approx(2.0 / (0.02 + 0.01 / 10), rel=0.1), "in batches of ten"
    assert quantile(check.predicted_lags(costs, 5.0, 20.0), 0.5) == pytest.approx(0.1, rel=0.05)
    busy = check.predicted_lags(replace(costs, processors=1.0), 60.0, 20.0)
    assert quantile(busy, 0.99) > 1.0, "more comes than it can do"
