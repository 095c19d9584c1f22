"""Lists of people that are longer than what one round of invitations takes (core/src/rooms/invitations.rs)."""

from __future__ import annotations

from support.platform import FUNCTIONS, Platform
from support.rooms import Room
from support.xmpp import Client

MANY = 1_000
TRIED = (0, 200, MANY - 1)
"""Who is looked at: of the first round, of a later one, the last."""


def test_many_who_join_by_one_event_are_all_let_in_and_invited_once(room: Room, platform: Platform, admin: Client):
    names = [f"many-{number:04}" for number in range(MANY)]
    room.create()
    room.wait_exists(admin)
    room.publish(room.joined, room.payload(participants=names))
    room.wait_affiliated(admin, "member", names)
    platform.wait_handled(FUNCTIONS[room.joined], timeout=120)
    for number in TRIED:
        client = platform.online(room.jid_of(names[number]))
        room.wait_invitation(client)
        assert room.invitations(client) == 0, "once"
