"""From publishing on: joins a second into a large room, and how long an event takes that comes alone. `scripts/bench events`.

The whole way: broker, bridge, queue, function, XMPP server. Joins are beside one session that knows neither broker nor queues,
and beside naive clients, in turn.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import measures

from stack.command_line import Progress


@dataclass(frozen=True)
class Amount:
    """How much is measured."""

    joins: int
    size: int
    """Of the room that they go into."""
    alone: int
    """Events that come alone, of each kind."""
    windows: tuple[int, ...] = (64,)


FULL, SMOKE = Amount(joins=1_000, size=500, alone=40), Amount(joins=3, size=5, alone=2)


def measure(sitting: measures.Sitting, amount: Amount, stand_ins: str) -> None:
    """Both, and how many times the best naive client joins from publishing on are."""
    print(f"from publishing on, with {stand_ins}", flush=True)
    seconds = measures.joins_into(sitting, amount.size, amount.joins)
    best = min((statistics.median(times), name) for name, times in seconds.items() if "in flight" in name) if sitting.peers else None
    if best is not None:
        ratio = best[0] / statistics.median(seconds[sitting.whole.name])
        print(f"  from publishing on {ratio:.1f} × the best naive client ({best[1]})", flush=True)
    alone(sitting, amount.alone)


def alone(sitting: measures.Sitting, count: int) -> None:
    """From publish to membership, each when all is at rest."""
    lags: dict[str, list[float]] = {"a group of 3": [], "one who joins": []}
    with Progress("events that come alone", 2 * count) as progress:
        for _ in range(count):
            room = sitting.room()
            for (kind, times), op, members in zip(lags.items(), ("group", "joins"), (sitting.users(3), sitting.users(1, "j")), strict=True):
                times.append(sitting.whole.run(op, room, members)[0] * 1e3)
                progress.update()
    for kind, times in lags.items():
        print(f"  from publish to membership, at rest, {kind}: {statistics.median(times):,.0f} ms "
              f"(of {count}: {min(times):,.0f} … {max(times):,.0f})", flush=True)
