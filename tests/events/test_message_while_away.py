"""A message in a room while members are elsewhere: they find the room, and in it the message, on any device."""

from __future__ import annotations

import httpx

from support.bookmarks import bookmarks, is_bookmarked, listen
from support.platform import Platform
from support.rooms import Room
from support.stanzas import archived_bodies, has_body, join, send_message, settle
from support.wait import until
from support.xmpp import Client


def test_who_was_elsewhere_finds_the_room_and_what_was_said(platform: Platform, room: Room, admin: Client, names: list[str]):
    """The owner need not be among the participants; one member is online outside of the room, another one is away."""
    owner, online, away = names
    dana = platform.user(room.jid_of(online))
    listen(dana)
    room.create(owner, [online, away])
    dana.wait(is_bookmarked(room.jid), 30)
    room.wait_affiliated(admin, "member", [online, away])
    alice = platform.online(room.jid_of(owner))
    until(lambda: room.jid in bookmarks(alice), "the owner's bookmark")
    join(alice, room.jid, owner)
    send_message(alice, room.jid, "lunch?", "groupchat")
    alice.wait(has_body("lunch?"), 10)
    settle(dana)
    assert room.invitations(dana) == 1
    for member, devices in ((online, 1), (away, 2)):
        for _ in range(devices):
            device = platform.online(room.jid_of(member))
            bookmark = bookmarks(device)[room.jid]
            assert bookmark.get("autojoin") in ("true", "1"), "their clients enter of themselves, and get what was said"
            assert archived_bodies(device, room.jid) == ["lunch?"], "also without entering"
            join(device, room.jid, member)
            device.wait(has_body("lunch?"), 10)
            device.close()
