"""Everything dies once while events flow, and every room ends as in the broker's order (contract, section 4).

`scripts/soak MINUTES` does the same for longer, and in random order.
"""

from __future__ import annotations

import pytest

from support.platform import Platform
from support.soak.nemesis import KILLED, PAUSED
from support.soak.trial import Plan, run

PLAN = Plan(seed=3, rooms=24, users=10, rate=25, seconds=45, gap=(1.0, 3.0), strikes=(*KILLED, *PAUSED))


@pytest.mark.timeout(600)
def test_every_room_ends_as_in_the_brokers_order(platform: Platform):
    report = run(platform, PLAN)
    told = "\n".join(report.lines())
    print(told)
    assert set(report.strikes) == {*KILLED, *PAUSED}
    assert report.published > PLAN.rooms and report.verdict.existing > 0 and report.verdict.invitations > 0
    assert report.is_clean, f"{told}\nevidence: {platform.layout.state}/divergences.json, journal.jsonl, logs/"
