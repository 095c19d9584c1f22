"""What is measured over time: how much passes, how long it takes, and what the processors do."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
KEPT = 240
"""Points."""


@dataclass
class Point:
    """One interval."""

    at: float
    """Its end, in seconds since the epoch."""
    handled: float = 0.0
    """Events a second."""
    calls: float = 0.0
    """REST calls a second, without those that were refused: whoever looks whether the API answers calls without a token."""
    lag: float | None = None
    """The longest from the bridge's stamp to the effect, in ms; None when nothing was handled."""
    server_cpu: float = 0.0
    """Of the XMPP server, or of several together, in % of one processor."""
    functions_cpu: float = 0.0
    waiting: int = 0
    """Messages in the functions' queues."""


class Gauges:
    """The points of the last minutes."""

    def __init__(self) -> None:
        self.points: deque[Point] = deque(maxlen=KEPT)
        self._handled = self._calls = 0
        self._lags: list[float] = []
        self._at = time.time()
        self._ticks: dict[int, int] = {}

    def count(self, metrics: dict[str, Any]) -> None:
        """What a line of metrics says."""
        self._handled += int(metrics.get("events_handled", 0))
        self._calls += max(0, int(metrics.get("requests", 0)) - int(metrics.get("request_refusals", 0)))
        self._lags += [float(one) for one in metrics.get("event_lag", [])]

    def close(self, pids: dict[str, int | None], servers: Iterable[str], waiting: int) -> None:
        """Ends an interval; `servers` are the processes that are XMPP servers."""
        now = time.time()
        span = max(now - self._at, 0.001)
        ticks = group_ticks()

        def cpu(name: str) -> float:
            pid = pids.get(name)
            if pid is None or pid not in ticks or pid not in self._ticks:
                return 0.0
            return round(max(0, ticks[pid] - self._ticks[pid]) / TICKS / span * 100, 1)

        self.points.append(Point(now, round(self._handled / span, 1), round(self._calls / span, 1),
                                 round(max(self._lags), 1) if self._lags else None, round(sum(map(cpu, servers)), 1), cpu("functions"), waiting))
        self._handled = self._calls = 0
        self._lags, self._at, self._ticks = [], now, ticks

    def since(self, at: float) -> list[dict[str, Any]]:
        """The points that are newer."""
        return [asdict(point) for point in self.points if point.at > at]


def group_ticks() -> dict[int, int]:
    """The processors' time that each process group has had; see proc(5)."""
    found: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        group = int(fields[2])
        found[group] = found.get(group, 0) + int(fields[11]) + int(fields[12])
    return found
