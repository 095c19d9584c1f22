"""What the service costs on AWS: the calls of each event, as measured, and a month of so many users by these and by prices."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from stack.paths import ROOT

DAYS = 30


@dataclass(frozen=True)
class Calls:
    """Of one event."""

    reads: int
    """Units of DynamoDB: 4 KB, consistent."""
    writes: int
    """Units of DynamoDB: 1 KB."""
    sends: int = 1
    """Requests with which the bridge sends; beside them each event is received once and deleted once, alone or with others."""


CREATED, AGAIN, JOINED, LEFT, DELETED, LARGE = (
    "a group of 5 is created", "the same creation again", "one participant joins", "one participant leaves", "a group is deleted",
    "a group of 1,000 is created")
EVENTS = {CREATED: Calls(6, 3), AGAIN: Calls(5, 3), JOINED: Calls(6, 2), LEFT: Calls(7, 1), DELETED: Calls(5, 1), LARGE: Calls(7, 15)}
"""Measured by tests/events/test_costs.py."""
REQUESTS = 3
"""Of SQS for an event that comes alone: sent, received, deleted."""


def prices_of(page: str) -> dict[str, float]:
    """The table of prices in the text of docs/COST.md: US dollars by name."""
    return {name: float(value) for name, value in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page, re.MULTILINE)}


_PRICES = prices_of((ROOT / "docs" / "COST.md").read_text())


@dataclass(frozen=True)
class Prices:
    """US dollars, as the table in docs/COST.md has them, which also says of when they are."""

    read_million: float = _PRICES["read_million"]
    write_million: float = _PRICES["write_million"]
    sqs_million: float = _PRICES["sqs_million"]
    api_million: float = _PRICES["api_million"]
    lambda_million: float = _PRICES["lambda_million"]
    lambda_gb_second: float = _PRICES["lambda_gb_second"]
    """On arm64."""
    log_gb: float = _PRICES["log_gb"]
    fixed: float = _PRICES["fixed"]
    """What a stack costs with no traffic: docs/DEPLOY.md, without VPC endpoints, Amazon MQ, and the XMPP server."""


@dataclass(frozen=True)
class Habits:
    """What users do."""

    logins_day: float = 4
    """Logins of a user: a session ends after 12 hours, and a user has two devices."""
    lists_day: float = 6
    """Calls of the chat list by a user."""
    joins_month: float = 3
    """Groups that a user joins; as many as they leave."""
    groups_month: float = 0.2
    """Groups that are created by a user; as many are deleted."""
    conferences_month: float = 4
    """Conferences that a user takes part in, with five others."""
    nightly_groups: float = 0
    """Groups of a user that the platform publishes anew each night, over and over."""


GIGABYTE = 1e9
MEMORY_GB = 0.25
EVENT_SECONDS, REST_SECONDS = 0.15, 0.02
"""Of an invocation; an event's waits for the XMPP server mostly."""
LOG_BYTES = 800
"""Of an invocation at level info: its line of metrics and Lambda's own."""


def month(users: int, habits: Habits = Habits(), prices: Prices = Prices()) -> dict[str, float]:
    """Dollars by what they are paid for. Every event is reckoned as coming alone: those that come together cost less."""
    conferences = users * habits.conferences_month / 6
    events = {
        CREATED: users * habits.groups_month + conferences, DELETED: users * habits.groups_month + conferences,
        JOINED: users * (habits.joins_month + habits.conferences_month),
        LEFT: users * (habits.joins_month + habits.conferences_month), AGAIN: users * habits.nightly_groups * DAYS}
    number = sum(events.values())
    calls = users * DAYS * (habits.logins_day + habits.lists_day)
    seconds = number * EVENT_SECONDS + calls * REST_SECONDS
    million = 1e6
    return {
        "fixed": prices.fixed,
        "API Gateway": calls / million * prices.api_million,
        "Lambda": (number + calls) / million * prices.lambda_million + seconds * MEMORY_GB * prices.lambda_gb_second,
        "SQS": number * REQUESTS / million * prices.sqs_million,
        "DynamoDB": sum(count * (EVENTS[name].reads * prices.read_million + EVENTS[name].writes * prices.write_million)
                        for name, count in events.items()) / million,
        "logs": (number + calls) * LOG_BYTES / GIGABYTE * prices.log_gb,
    }


def options() -> list[tuple[str, str, float]]:
    """Each habit and price: its name as an option, whose it is, its default."""
    return [(f"--{one.name.replace('_', '-')}", kind.__name__.lower(), one.default)  # type: ignore[misc]
            for kind in (Habits, Prices) for one in fields(kind)]


def table(sizes: list[int], habits: Habits = Habits(), prices: Prices = Prices()) -> list[str]:
    """A Markdown table of months."""
    months = [month(users, habits, prices) for users in sizes]
    rows = [["users", *(f"{users:,}" for users in sizes)]]
    rows += [[part, *(f"{one[part]:,.2f}" for one in months)] for part in months[0]]
    rows += [["together", *(f"{sum(one.values()):,.2f}" for one in months)]]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "| --- |" + " ---: |" * len(sizes), *lines[1:]]
