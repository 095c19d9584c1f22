"""What the oracles have found."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something that must not be."""

    oracle: str
    """Which of them; a name in oracles.py or round.py."""
    what: str
    positions: tuple[int, ...] = ()
    """Where it may come from: of the last actions before it was seen, the oldest and the newest."""

    @property
    def kind(self) -> str:
        """The same for what is the same fault, most likely: without addresses, numbers and times."""
        text = re.sub(r"\S+@\S+|0x[0-9a-f]+|[0-9]+|mark-\S+|forged\S*", "_", self.what)
        return f"{self.oracle}: {text[:160]}"

    def __str__(self) -> str:
        return f"{self.oracle}: {self.what[:2000]}"


class Findings:
    """Those of one round, each once."""

    def __init__(self) -> None:
        self.all: list[Finding] = []
        self.since = 0
        """The oldest position that what is seen now may come from."""
        self.position = 0

    def add(self, oracle: str, what: str, position: int | None = None) -> None:
        """Notes what was seen now."""
        positions = (self.since, self.position) if position is None else (position, position)
        finding = Finding(oracle, what, positions)
        if finding.kind not in {one.kind for one in self.all}:
            self.all.append(finding)
