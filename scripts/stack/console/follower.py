"""Reads the stack's log files as they grow."""

from __future__ import annotations

import json
from pathlib import Path

from stack import logs
from stack.console.gauges import Gauges
from stack.console.ways import Ways

FILES = ("bridge", "poller", "functions")
BACK = 300_000
"""Bytes of what was there before that are read, too."""


class Follower:
    """What the log lines tell, as they come: events' ways, and what is counted."""

    def __init__(self, folder: Path, ways: Ways, gauges: Gauges) -> None:
        self._folder, self._ways, self._gauges = folder, ways, gauges
        self._offsets: dict[str, int] = {}
        self._is_first = True

    def read(self) -> None:
        """All that has come since, in the order of time."""
        lines: list[logs.Line] = []
        counted: list[tuple[float, dict]] = []
        for name in FILES:
            for text in self._new(name):
                if '"_aws"' in text:
                    metrics = _metrics(text)
                    if metrics:
                        counted.append((metrics["_aws"]["Timestamp"] / 1000, metrics))
                elif (line := logs.parse(name, text)) is not None:
                    lines.append(line)
        events = [(line.at.timestamp(), 0, number, line) for number, line in enumerate(lines)]
        events += [(at, 1, number, metrics) for number, (at, metrics) in enumerate(counted)]
        for _, is_metrics, _, one in sorted(events, key=lambda event: event[:3]):
            if not is_metrics:
                self._ways.take(one)
                continue
            self._ways.finish(one)
            if not self._is_first:
                self._gauges.count(one)
        self._is_first = False

    def _new(self, name: str) -> list[str]:
        file = self._folder / f"{name}.log"
        try:
            size = file.stat().st_size
            start = self._offsets.get(name, max(0, size - BACK))
            if size < start:
                start = 0  # another file by now
            with file.open("rb") as log:
                log.seek(start)
                data = log.read()
        except OSError:
            return []
        whole = data.rfind(b"\n") + 1
        self._offsets[name] = start + whole
        return data[:whole].decode(errors="replace").splitlines()


def _metrics(text: str) -> dict | None:
    try:
        found = json.loads(text)
        # What is of one of several XMPP servers is in the sums, too.
        return found if isinstance(found["_aws"]["Timestamp"], (int, float)) and "cell" not in found else None
    except (ValueError, KeyError, TypeError):
        return None
