"""mod_sippo_cell_link and others: a room's members on another cell have what its own have."""

from __future__ import annotations

import pytest

from federation.conftest import Federation, is_invitation
from support.bookmarks import bookmarks, is_bookmarked, is_gone, listen, mark, rooms_of
from support.stanzas import (
    MUC_OWNER,
    archived_bodies,
    ask,
    assert_absent,
    configure,
    go_online,
    has_body,
    join,
    ok,
    room_features,
    statuses,
)
from support.wait import until

BATCH = "urn:quobis:sippo:muc-admin-batch:0"


def test_a_guest_has_the_room_among_their_bookmarks(federation: Federation):
    room = federation.create_room(federation.alice, federation.guest, **{"muc#roomconfig_roomname": "Team 7"})
    guest = federation.online(federation.guest)
    assert mark(bookmarks(guest)[room]) == {"kind": "usersGroup", "affiliation": "member", "name": "Team 7"}
    with federation.two.admin() as admin:
        assert set(rooms_of(admin, federation.guest)) == {room}


def test_a_guest_enters_and_speaks(federation: Federation):
    room = federation.create_room(federation.alice, federation.guest)
    alice, guest = federation.online(federation.alice), federation.online(federation.guest)
    assert join(alice, room, "alice").get("type") is None
    alice.message(room, "before", type="groupchat")
    alice.wait(has_body("before"))
    assert join(guest, room, "guest").get("type") is None
    guest.wait(has_body("before"))
    guest.message(room, "from afar", type="groupchat")
    alice.wait(has_body("from afar"))
    guest.wait(has_body("from afar"))


def test_a_guest_reads_the_rooms_archive_and_who_is_in_it(federation: Federation):
    room = federation.create_room(federation.alice, federation.guest)
    alice, guest = federation.online(federation.alice), federation.online(federation.guest)
    join(alice, room, "alice")
    alice.message(room, "for later", type="groupchat")
    alice.wait(has_body("for later"))
    assert archived_bodies(guest, room) == ["for later"]
    assert "muc_membersonly" in room_features(guest, room)


def test_an_invitation_reaches_a_guest_who_is_online_and_one_who_is_not(federation: Federation):
    late = f"late-{federation.tail}@{federation.away}"
    room = federation.create_room(federation.alice, federation.guest, late)
    guest = federation.online(federation.guest)
    federation.invite(federation.guest, late)
    guest.wait(is_invitation(room))
    federation.online(late).wait(is_invitation(room))


def test_the_end_of_a_membership_takes_bookmark_and_invitation_and_puts_the_guest_out(federation: Federation):
    late = f"late-{federation.tail}@{federation.away}"
    room = federation.create_room(federation.alice, federation.guest, late)
    federation.invite(late)
    guest = federation.two.user(federation.guest)
    listen(guest)
    join(guest, room, "guest")
    federation.affiliate((federation.guest, "none"), (late, "none"))
    kicked = guest.wait(lambda e: e.get("type") == "unavailable" and e.get("from") == f"{room}/guest")
    assert "321" in statuses(kicked)
    guest.wait(is_gone(room))
    assert join(guest, room, "guest").get("type") == "error"
    until(lambda: room not in bookmarks(federation.online(late)), "the end of the bookmark of who was away")
    assert_absent(federation.online(late), is_invitation(room))


def test_an_end_that_is_told_late_leaves_the_next_spells_invitation(federation: Federation):
    room = federation.create_room(federation.guest)
    federation.invite(federation.guest, since="5.1/65")
    with federation.one.admin() as admin:
        ended = f"<affiliations xmlns='{BATCH}'><none jid='{federation.guest}' ended='4.1/65'/></affiliations>"
        ok(ask(admin, "set", ended, room))
    guest = federation.online(federation.guest)
    guest.wait(is_invitation(room))
    until(lambda: room not in bookmarks(guest), "the end of the bookmark")


def test_a_new_name_reaches_the_guests_bookmark(federation: Federation):
    room = federation.create_room(federation.guest, **{"muc#roomconfig_roomname": "old"})
    guest = federation.two.user(federation.guest)
    listen(guest)
    with federation.one.admin() as admin:
        ok(configure(admin, room, {"muc#roomconfig_roomname": "new"}))
    guest.wait(is_bookmarked(room))
    assert mark(bookmarks(guest)[room])["name"] == "new"


@pytest.mark.parametrize("end", ["room", "tenant"])
def test_with_a_room_or_its_tenant_all_of_it_goes(federation: Federation, end: str):
    room = federation.create_room(federation.alice, federation.guest)
    federation.invite(federation.guest, since="2.1/65")
    inside = federation.two.user(f"inside-{federation.tail}@{federation.away}")
    federation.affiliate((inside.bare_jid, "member"))
    listen(inside)
    join(inside, room, "inside")
    if end == "room":
        with federation.one.admin() as admin:
            ok(ask(admin, "set", f"<query xmlns='{MUC_OWNER}'><destroy/></query>", room))
    else:
        federation.one.delete_host(federation.home)
    inside.wait(lambda e: e.get("type") == "unavailable" and e.get("from") == f"{room}/inside")
    inside.wait(is_gone(room))
    guest = federation.two.user(federation.guest)
    until(lambda: room not in bookmarks(guest), "the end of the bookmark of who was away")
    go_online(guest)
    assert_absent(guest, is_invitation(room))
    if end == "tenant":
        federation.one.create_host(federation.home)


def test_more_members_than_are_told_at_once(federation: Federation):
    guests = [f"g{number}-{federation.tail}@{federation.away}" for number in range(130)]
    room = federation.create_room(*guests)
    with federation.two.admin() as admin:
        until(lambda: all(room in rooms_of(admin, guest) for guest in guests), "the bookmarks of all")
        federation.affiliate(*((guest, "none") for guest in guests))
        until(lambda: not any(room in rooms_of(admin, guest) for guest in guests), "the end of all of them")
