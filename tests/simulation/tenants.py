"""Tenants of unequal size, and where they are placed."""

from __future__ import annotations

import random


def sizes(tenants: int, users: int, largest: float, seed: int) -> list[int]:
    """Users of each tenant, by a Pareto distribution with `alpha` 1.16 (a fifth of the tenants has four fifths of the users); none has
    more than the share `largest` of all."""
    generator = random.Random(seed)
    drawn = [generator.paretovariate(1.16) for _ in range(tenants)]
    most = users * largest
    for _ in range(20):  # what the largest may not have is everybody's
        scale = users / sum(drawn)
        drawn = [min(one * scale, most) for one in drawn]
    return [max(1, round(one)) for one in drawn]


def place(tenant_sizes: list[int], cells: int) -> list[int]:
    """The cell of each, in the order in which they come: where there are fewest tenants, as the service does. It knows no sizes."""
    counts = [0] * cells
    placed = []
    for _ in tenant_sizes:
        cell = min(range(cells), key=lambda one: counts[one])
        counts[cell] += 1
        placed.append(cell)
    return placed


def users_by_cell(tenant_sizes: list[int], placed: list[int], cells: int) -> list[int]:
    """How many users each cell has."""
    users = [0] * cells
    for size, cell in zip(tenant_sizes, placed, strict=True):
        users[cell] += size
    return users
