"""How much is measured: enough for figures, or just enough to see that all of it still works (`--smoke`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Counts of one run."""

    rounds: int
    messages: int
    """That each bridge sends on, a round."""
    group: int
    """Members of the group that is created."""
    joins: int
    """Into each room."""
    sizes: tuple[int, ...]
    """Members of these rooms."""
    windows: tuple[int, ...] = (1, 64)
    """Affiliations that a peer has in flight: awaiting each, and pipelined."""


FULL = Scale(rounds=3, messages=20_000, group=1_000, joins=100, sizes=(10, 500, 4_000))
SMOKE = Scale(rounds=1, messages=100, group=10, joins=3, sizes=(5,))
