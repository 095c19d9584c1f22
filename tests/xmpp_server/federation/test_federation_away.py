"""A cell that is away: its guests' messages come later, and the room's own members do not wait for them."""

from __future__ import annotations

import signal

import pytest

from federation.conftest import Federation, is_invitation
from support.bookmarks import bookmarks, rooms_of
from support.stanzas import archived_bodies, has_body, join
from support.wait import until
from support.xmpp import body

NUMBERS = [str(number) for number in range(100)]


def test_a_cell_that_hangs_delays_its_guests_messages_and_nobody_elses(federation: Federation):
    room = federation.create_room(federation.alice, federation.guest)
    alice, guest = federation.online(federation.alice), federation.online(federation.guest)
    join(alice, room, "alice")
    join(guest, room, "guest")
    federation.two.signal(signal.SIGSTOP)
    try:
        for number in NUMBERS:
            alice.message(room, number, type="groupchat")
        for number in NUMBERS:
            alice.wait(has_body(number))
    finally:
        federation.two.signal(signal.SIGCONT)
    guest.wait(has_body(NUMBERS[-1]), 30)
    earlier = [body(message) for message in guest.messages()]
    assert [text for text in earlier if text in NUMBERS] == NUMBERS[:-1], "all, once, in their order"


def test_a_cell_that_is_killed_comes_back_to_all_that_was_said(federation: Federation):
    room = federation.create_room(federation.alice, federation.guest)
    alice, guest = federation.online(federation.alice), federation.online(federation.guest)
    join(alice, room, "alice")
    join(guest, room, "guest")
    for number in NUMBERS:
        if number == "30":
            federation.two.kill()
        alice.message(room, number, type="groupchat")
    for number in NUMBERS:
        alice.wait(has_body(number))
    alice.wait(lambda e: e.get("type") == "unavailable" and e.get("from") == f"{room}/guest", 30)
    federation.two.start()
    guest = federation.online(federation.guest)
    assert room in bookmarks(guest)
    assert join(guest, room, "guest", 30).get("type") is None
    assert archived_bodies(guest, room) == NUMBERS[:50]
    alice.message(room, "again", type="groupchat")
    guest.wait(has_body("again"))


def test_what_guests_say_to_a_cell_that_is_down_comes_back_to_them(federation: Federation):
    room = federation.create_room(federation.alice, federation.guest)
    guest = federation.online(federation.guest)
    join(guest, room, "guest")
    federation.one.kill()
    id = guest.message(room, "into the void", type="groupchat")
    bounced = guest.wait(lambda e: e.get("id") == id and e.get("type") == "error", 30)
    assert bounced.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}remote-server-not-found") is not None \
        or bounced.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}remote-server-timeout") is not None \
        or bounced.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}recipient-unavailable") is not None
    federation.one.start()
    alice = federation.online(federation.alice)
    join(alice, room, "alice")
    assert join(guest, room, "guest", 30).get("type") is None
    guest.message(room, "back", type="groupchat")
    alice.wait(has_body("back"))


@pytest.mark.parametrize("also_killed", ["", "one"])
def test_ends_and_beginnings_are_told_when_the_cell_is_back(federation: Federation, also_killed: str):
    late = f"late-{federation.tail}@{federation.away}"
    room = federation.create_room(federation.alice, federation.guest)
    federation.invite(federation.guest)
    with federation.two.admin() as admin:
        assert room in rooms_of(admin, federation.guest)
    federation.two.kill()
    federation.affiliate((federation.guest, "none"), (late, "member"))
    if also_killed:
        federation.one.kill()
        federation.one.start()
    federation.two.start()
    with federation.two.admin() as admin:
        until(lambda: room in rooms_of(admin, late), "the bookmark of who was made a member meanwhile")
        until(lambda: room not in rooms_of(admin, federation.guest), "the end of the bookmark of who was taken out meanwhile")
    guest = federation.online(federation.guest)
    guest.sync()
    assert not guest.received(is_invitation(room))


def test_both_cells_restart_and_know_each_other(federation: Federation):
    room = federation.create_room(federation.alice, federation.guest)
    for server in (federation.one, federation.two):
        server.restart()
    alice, guest = federation.online(federation.alice), federation.online(federation.guest)
    join(alice, room, "alice")
    assert join(guest, room, "guest", 30).get("type") is None
    guest.message(room, "after both", type="groupchat")
    alice.wait(has_body("after both"))


def test_a_cell_that_hangs_does_not_hold_up_who_is_granted_membership_elsewhere(federation: Federation):
    """The answer comes without that cell's, though what it is told takes as long as it hangs."""
    room = federation.create_room(federation.alice)
    federation.two.signal(signal.SIGSTOP)
    try:
        for number in range(5):
            federation.affiliate((f"g{number}-{federation.tail}@{federation.away}", "member"))
        assert join(federation.online(federation.alice), room, "alice").get("type") is None
    finally:
        federation.two.signal(signal.SIGCONT)
    with federation.two.admin() as admin:
        for number in range(5):
            until(lambda number=number: room in rooms_of(admin, f"g{number}-{federation.tail}@{federation.away}"), "the bookmark")
