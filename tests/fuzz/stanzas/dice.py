"""Random choices of one action."""

from __future__ import annotations

import random


class Dice(random.Random):
    """The same choices for the same seed and position, whatever was generated before."""

    position: int
    actor: str

    def __new__(cls, *_: object) -> Dice:
        return super().__new__(cls)

    def __init__(self, seed: int, position: int) -> None:
        super().__init__(f"{seed}/{position}")
        self.position = position
        self.actor = ""

    def chance(self, part: float) -> bool:
        """True in so many cases."""
        return self.random() < part
