"""A round of the stanza fuzzer with all of its oracles: a minute of what `scripts/fuzz stanzas` does for hours."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.stanzas import generator
from fuzz.stanzas.action import Action
from fuzz.stanzas.round import Round

SEED, ACTIONS = 7, 4000


@pytest.mark.timeout(600)
def test_nothing_is_found(folder: Path):
    """Whatever it finds is printed with its seed and positions; `scripts/fuzz stanzas` makes it short."""
    report = Round(folder / "round").run(generator.action(SEED, position) for position in range(ACTIONS))
    print(report)
    assert report.actions == ACTIONS
    assert not report.findings, "\n".join(f"seed {SEED}, positions {found.positions}: {found}" for found in report.findings)


def test_a_seed_replays_the_same():
    """An action depends on nothing but seed and position, and a file keeps it as it is."""
    there = [generator.action(3, position) for position in range(300)]
    back = [generator.action(3, position) for position in reversed(range(300))][::-1]
    assert there == back == [Action.of(action.line()) for action in there]
    assert there != [generator.action(4, position) for position in range(300)]


def test_every_area_comes():
    """And each template of it can be made."""
    assert {generator.action(1, position).area for position in range(2000)} == set(generator.AREAS)
