"""What of a list of actions is needed to show a finding."""

from __future__ import annotations

import pytest

from fuzz.stanzas.action import Action
from fuzz.stanzas.findings import Finding
from fuzz.stanzas.minimise import minimise

ACTIONS = [Action(position, "messages", "eve", "stanza", "") for position in range(100)]


@pytest.mark.parametrize("needed", [{99}, {57}, {3, 98}, {0, 40, 41, 99}])
def test_only_what_is_needed_is_left(needed: set[int]):
    finding = Finding("log", "a line", (75, 99))
    left = minimise(ACTIONS, finding, lambda some: needed <= {action.position for action in some}, 60)
    assert {action.position for action in left} == needed


def test_what_is_not_seen_again_is_told():
    assert minimise(ACTIONS, Finding("log", "a line", (75, 99)), lambda _: False, 60) == []
