"""Groups that the platform publishes anew every night: each time costs what the last one did, and nobody notices."""

from __future__ import annotations

from stack import fake_aws, ledger_view
from support.platform import Platform
from support.rooms import Room
from support.stanzas import join
from support.xmpp import Client

NIGHTS = 30
MEMBERS = [f"member{number}" for number in range(500)]


def _record(platform: Platform, room: Room) -> tuple[int, int]:
    """How many items the ledger has of a room, and the length of all that is in them."""
    items = ledger_view.read(platform.stack.ports.queue, fake_aws.TABLE, f"{ledger_view.ROOM}{room.jid}")
    return len(items), sum(len(name) + len(str(value)) for item in items for name, value in item.items())


def _lists(platform: Platform, room: Room) -> int:
    items = ledger_view.read(platform.stack.ports.queue, fake_aws.TABLE, f"{ledger_view.ROOM}{room.jid}")
    return sum(item["sk"].startswith(ledger_view.CREATION) for item in items)


def _publish_anew(platform: Platform, room: Room, participants: list[str]) -> None:
    event = room.publish(room.created, room.payload(name="Team", owner="alice", participants=participants))
    platform.wait_received(event)


def test_a_group_published_every_night_costs_the_same_every_night(platform: Platform, room: Room, admin: Client):
    bob = platform.online(room.jid_of("bob"))
    participants = ["bob", *MEMBERS]
    records = []
    for _ in range(NIGHTS):
        _publish_anew(platform, room, participants)
        records.append(_record(platform, room))
    assert records[0][0] == 1
    assert records[1:] == [records[1]] * (NIGHTS - 1)
    assert room.affiliated(admin, "member") == {room.jid_of(name) for name in participants}
    assert room.invitations(bob) == 1, "invited once, however often the group was published"


def test_a_repeated_list_adds_and_takes_nobody_out(platform: Platform, room: Room, admin: Client, names: list[str]):
    alice, bob, carol = names
    _publish_anew(platform, room, [alice, bob])
    _publish_anew(platform, room, [alice, carol])
    room.wait_affiliated(admin, "member", [alice, bob, carol])
    b = platform.online(room.jid_of(bob))
    room.wait_invitation(b)
    platform.wait_received(room.publish(room.left, room.of([bob])))
    room.wait_affiliated(admin, "member", [alice, carol])
    for _ in range(3):
        _publish_anew(platform, room, [alice, carol])
    assert room.affiliated(admin, "member") == {room.jid_of(alice), room.jid_of(carol)}
    assert _lists(platform, room) == 1
    platform.wait_received(room.publish(room.joined, room.of([bob])))
    room.wait_affiliated(admin, "member", [alice, bob, carol])
    room.wait_invitation(b)
    assert join(b, room.jid, bob).get("type") is None
    assert room.invitations(b) == 0, "invited once in each spell of membership"


def test_a_leaving_that_is_handled_after_the_lists_were_folded_still_counts(
        platform: Platform, room: Room, admin: Client, names: list[str]):
    alice, bob, carol = names
    b = platform.online(room.jid_of(bob))
    first, left, newest = (platform.version() for _ in range(3))
    for participants, version in ([alice, bob, carol], first), ([alice, bob, carol], newest):
        platform.deliver(room.created, room.payload(owner=alice, participants=participants), version)
    assert _lists(platform, room) == 1
    room.wait_invitation(b)
    platform.deliver(room.left, room.of([bob]), left)
    assert room.jid_of(bob) in room.affiliated(admin, "member"), "the newest list is newer than that"
    room.wait_invitation(b)
    assert room.invitations(b) == 0, "one more, for the spell of membership that the newest list began"
