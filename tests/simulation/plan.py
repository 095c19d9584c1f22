"""What follows from the rates by multiplication: how busy cells are, how much they hold, what is used up first."""

from __future__ import annotations

from stack import costs

from simulation.measured import Habits, Measured
from simulation.world import DAY, Setup

MONTH = DAY * costs.DAYS


def setup(users: int, tenants: int, cells: int, concurrency: int, seed: int = 1) -> Setup:
    """By the habits that scripts/cost assumes."""
    habits = costs.Habits()
    conferences = habits.conferences_month / 6
    events = 2 * (habits.groups_month + conferences) + 2 * (habits.joins_month + habits.conferences_month)
    return Setup(users=users, tenants=tenants, cells=cells, concurrency=concurrency, seed=seed,
                 event_rate=users * events / MONTH, rest_rate=users * habits.lists_day / DAY, login_rate=users * habits.logins_day / DAY)


def seconds_of_a_user(setup: Setup) -> dict[str, float]:
    """A cell's seconds for each second of one user's, at the mean, by what they are for."""
    cost, habits, users = setup.measured, setup.habits, setup.users
    return {
        "one-to-one messages": habits.messages_day / DAY * cost.message,
        "group messages": habits.group_messages_day / DAY * (cost.stored_group_message + habits.in_the_room * cost.delivery),
        "logins": setup.login_rate / users * cost.login,
        "REST calls": setup.rest_rate / users * cost.list_call,
        "events": setup.event_rate / users * cost.group_of_5,
    }


def utilisations(setup: Setup, users: list[int], peak: float) -> list[float]:
    """Of each cell."""
    return [one * peak * sum(seconds_of_a_user(setup).values()) for one in users]


def memory_mib(users: int, tenants: int, habits: Habits, cost: Measured) -> float:
    """Of a cell at the peak with all its tenants in use."""
    return cost.server_mib + (users * habits.sessions * cost.session_kib + tenants * cost.tenant_kib) / 1024


def ledger_units(setup: Setup) -> tuple[float, float]:
    """Read and write units a second, as the mean: those of scripts/cost, of events that come alone."""
    habits = costs.Habits()
    conferences = habits.conferences_month / 6
    counts = {costs.CREATED: habits.groups_month + conferences, costs.DELETED: habits.groups_month + conferences,
              costs.JOINED: habits.joins_month + habits.conferences_month, costs.LEFT: habits.joins_month + habits.conferences_month}
    month = [sum(count * getattr(costs.EVENTS[name], kind) for name, count in counts.items()) for kind in ("reads", "writes")]
    return setup.users * month[0] / MONTH, setup.users * month[1] / MONTH


def rest_at_a_time(setup: Setup) -> float:
    """REST functions that run at a time, as the mean: calls a second times the seconds of each (Little's law)."""
    own = setup.assumed.invocation + setup.assumed.rest
    return setup.login_rate * own + setup.rest_rate * (own + setup.measured.list_call)


PARTITION_WRITES, PARTITION_READS = 1_000, 3_000
"""Units a second of one partition of DynamoDB, as AWS documents them: what one room can have. A table has as many partitions as it
takes."""
ACCOUNT_CONCURRENCY = 1_000
"""Lambda's quota of an account, unless AWS raised it."""
THROTTLING_RATE = 100
"""Calls of the REST API a second: ThrottlingRateLimit in template.yaml."""
CELL_MEMORY_GIB = 8.0
"""What a cell's machine is reckoned to have."""


def headroom(setup: Setup, spread: list[int]) -> dict[str, float]:
    """How many times the peak each part could take."""
    peak, fullest = setup.habits.peak, max(spread)
    reads, writes = ledger_units(setup)
    event_seconds = setup.assumed.invocation + setup.assumed.ledger * setup.assumed.ledger_trips + setup.measured.group_of_5
    memory = memory_mib(fullest, setup.tenants // setup.cells, setup.habits, setup.measured) / 1024
    return {
        "the fullest cell's core": 1 / max(utilisations(setup, spread, peak)),
        f"the fullest cell's memory, of {CELL_MEMORY_GIB:.0f} GiB": CELL_MEMORY_GIB / memory,
        "the bridge": 1 / (setup.event_rate * peak * setup.measured.bridge),
        f"event functions of one type, {setup.concurrency} at a time, events alone": setup.concurrency / (setup.event_rate * peak * event_seconds),
        f"the REST API's ThrottlingRateLimit, {THROTTLING_RATE} a second unless it is set": THROTTLING_RATE / ((setup.rest_rate + setup.login_rate) * peak),
        f"Lambda's quota of {ACCOUNT_CONCURRENCY}, by REST": ACCOUNT_CONCURRENCY / (rest_at_a_time(setup) * peak),
        f"writes of one partition ({PARTITION_WRITES}), if all were on one": PARTITION_WRITES / (writes * peak),
        f"reads of one partition ({PARTITION_READS}), if all were on one": PARTITION_READS / (reads * peak),
    }
