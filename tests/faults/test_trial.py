"""Everything dies once while events flow, and every room ends as in the broker's order (docs/ARCHITECTURE.md#order-never-matters).

`scripts/soak MINUTES` does the same for longer, and in random order.
"""

from __future__ import annotations

import pytest

from support.platform import Platform
from support.soak.model import Model
from support.soak.nemesis import ALL
from support.soak.trial import Plan, run
from support.soak.verdict import MUC_ADMIN, compare
from support.xmpp import E

MUC_OWNER = "http://jabber.org/protocol/muc#owner"
STRIKES = ("functions", "prosody paused", "function", "prosody", "poller", "rabbitmq", "bridge paused", "bridge")
"""Those that may leave an invitation claimed come first: the claim outlives them by two minutes."""
PLAN = Plan(seed=3, rooms=24, users=10, rate=40, seconds=50, gap=(1.0, 3.0), strikes=STRIKES)


@pytest.mark.timeout(600)
def test_every_room_ends_as_in_the_brokers_order(platform: Platform):
    report = run(platform, PLAN)
    summary = "\n".join(report.lines())
    print(summary)
    assert set(report.strikes) == set(ALL), "each kind at least once"
    assert report.published > PLAN.rooms and report.verdict.existing > 0 and report.verdict.invitations > 0
    assert report.is_clean, f"{summary}\nevidence: {platform.paths.state}/divergences.json, journal.jsonl, logs/"
    the_comparison_sees_what_differs(platform, report.model)


def the_comparison_sees_what_differs(platform: Platform, model: Model):
    """Or a clean verdict would mean nothing: done by hand to the rooms that were just found right."""
    crowded = [(jid, room) for jid, room in model.rooms.items() if room.exists and len(room.members.keys() - room.owners) > 1]
    (one, room), (another, _) = crowded[:2]
    lost, raised = sorted(room.members.keys() - room.owners)[:2]
    changes = {lost: "none", raised: "owner", "intruder@example.test": "member"}
    with platform.admin() as admin:
        items = [E("item", MUC_ADMIN, jid=jid, affiliation=affiliation) for jid, affiliation in changes.items()]
        admin.iq("set", E("query", MUC_ADMIN, *items), one)
        admin.iq("set", E("query", MUC_OWNER, E("destroy", MUC_OWNER)), another)
    found = {(divergence.kind, divergence.room, divergence.user) for divergence in compare(platform, model).divergences}
    of_bookmarks = {divergence for divergence in found if divergence[0].startswith("bookmark")}
    assert of_bookmarks == {("bookmark lost", one, lost), ("bookmark", one, raised)} | {
        ("bookmark lost", another, user) for user in model.rooms[another].affiliations()}, "they follow the rooms"
    assert found - of_bookmarks == {("lost", one, lost), ("affiliation", one, raised), ("superfluous", one, "intruder@example.test"),
                     ("room missing", another, "")}
    gone = next(jid for jid, room in model.rooms.items() if room.exists and jid not in (one, another))
    model.rooms[gone].exists = False
    assert ("room superfluous", gone, "") in {(one.kind, one.room, one.user) for one in compare(platform, model).divergences}
