"""The shortest list of actions that still shows a finding (delta debugging)."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from fuzz.stanzas.action import Action
from fuzz.stanzas.findings import Finding
from fuzz.stanzas.round import BATCH, Round

BEFORE = 200
"""Actions before a finding that are tried ahead of all from the beginning."""
LONG = {"wait": BATCH, "memory": BATCH}
"""Oracles that need many actions at once; with all others each is awaited before the next."""


def minimise(actions: list[Action], finding: Finding, shows: Callable[[list[Action]], bool], seconds: float) -> list[Action]:
    """The list, or what of it was tried last when the time was over. Empty: the finding is not seen again."""
    deadline = time.monotonic() + seconds
    first, last = finding.positions or (0, actions[-1].position)
    for begin, end in ((last, last), (first, last), (max(0, first - BEFORE), last), (0, last)):
        found = [action for action in actions if begin <= action.position <= end]
        if found and shows(found):
            return shorten(found, lambda some: time.monotonic() < deadline and shows(some))
        if time.monotonic() > deadline:
            break
    return []


def shorten(actions: list[Action], shows: Callable[[list[Action]], bool]) -> list[Action]:
    """No action of what is left can be left out, as far as `shows` was asked."""
    parts = 2
    while len(actions) > 1:
        size = -(-len(actions) // parts)
        for at in range(0, len(actions), size):
            rest = actions[:at] + actions[at + size:]
            if rest and shows(rest):
                actions, parts = rest, max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(actions), parts * 2)
    return actions


def seen_again(folder: Path, finding: Finding, **settings: object) -> Callable[[list[Action]], bool]:
    """Whether a server of its own shows the finding after these actions."""
    def shows(actions: list[Action]) -> bool:
        one = Round(folder, stop_at_first=True, step=LONG.get(finding.oracle, 1), **settings)  # type: ignore[arg-type]
        try:
            return finding.kind in {found.kind for found in one.run(actions).findings}
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return shows
