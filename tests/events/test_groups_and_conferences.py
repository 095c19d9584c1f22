"""Groups and conferences become rooms as docs/ARCHITECTURE.md has it (#the-path-of-an-event), as a client in the room sees it."""

from __future__ import annotations

import uuid

import pytest

from support.platform import Platform
from support.rooms import DOMAIN, Room
from support.stanzas import archived_bodies, has_body, join, send_message, statuses
from support.wait import until
from support.xmpp import Client, StanzaError, error_condition


def test_a_creation_makes_the_room_as_it_should_be(any_room: Room, admin: Client, names: list[str]):
    alice, bob, carol = names
    any_room.create(alice, [bob, f"{carol}@{DOMAIN}"])
    any_room.wait_affiliated(admin, "member", [bob, carol])
    assert any_room.affiliated(admin, "owner") >= {any_room.jid_of(alice)}
    assert any_room.features(admin) >= {"muc_persistent", "muc_membersonly", "muc_hidden", "urn:xmpp:mam:2"}


@pytest.mark.parametrize("bare", [False, True], ids=["cloudevent", "bare"])
def test_both_envelopes_are_understood(any_room: Room, admin: Client, names: list[str], bare: bool):
    alice, bob, carol = names
    any_room.create(alice, [bob], bare=bare)
    any_room.wait_affiliated(admin, "member", [bob])
    any_room.publish(any_room.joined, any_room.of([carol]), bare=bare)
    any_room.wait_affiliated(admin, "member", [bob, carol])
    any_room.publish(any_room.left, any_room.of([bob]), bare=bare)
    any_room.wait_affiliated(admin, "member", [carol])
    any_room.publish(any_room.deleted, any_room.payload(), bare=bare)
    any_room.wait_gone(admin)


def test_members_are_invited_and_talk(any_room: Room, platform: Platform, names: list[str]):
    alice, bob, _ = names
    a, b = (platform.online(any_room.jid_of(name)) for name in (alice, bob))
    any_room.create(alice, [bob])
    assert any_room.wait_invitation(b).get("reason") == any_room.family
    until(lambda: join(a, any_room.jid, alice).get("type") is None, "the owner in the room")
    assert join(b, any_room.jid, bob).get("type") is None
    send_message(a, any_room.jid, "hello", "groupchat")
    b.wait(has_body("hello"))
    until(lambda: "hello" in archived_bodies(b, any_room.jid), "the message in the room's archive")


def test_an_invitation_waits_for_who_is_offline(any_room: Room, platform: Platform, admin: Client, names: list[str]):
    alice, bob, _ = names
    any_room.create(alice, [bob])
    any_room.wait_affiliated(admin, "member", [bob])
    b = platform.online(any_room.jid_of(bob))
    assert any_room.wait_invitation(b).get("reason") == any_room.family
    assert any_room.invitations(b) == 0, "invited once"


def test_who_joins_is_invited_and_who_leaves_is_kicked(any_room: Room, platform: Platform, admin: Client, names: list[str]):
    alice, bob, _ = names
    any_room.create(alice)
    b = platform.online(any_room.jid_of(bob))
    any_room.publish(any_room.joined, any_room.of([bob]))
    any_room.wait_invitation(b)
    assert join(b, any_room.jid, bob).get("type") is None
    any_room.publish(any_room.left, any_room.of([bob]))
    gone = b.wait(lambda e: e.get("type") == "unavailable" and e.get("from") == f"{any_room.jid}/{bob}", 30)
    assert statuses(gone) & {"307", "321"}
    any_room.wait_affiliated(admin, "member", [])
    with pytest.raises(StanzaError, match="item-not-found"):
        b.join_room(any_room.jid, bob)
    any_room.publish(any_room.joined, any_room.of([bob]))
    any_room.wait_invitation(b)
    assert join(b, any_room.jid, bob).get("type") is None, "a new spell, invited anew"


def test_a_room_goes_with_its_archive(any_room: Room, platform: Platform, admin: Client, names: list[str]):
    alice, bob, _ = names
    any_room.create(alice, [bob])
    any_room.wait_affiliated(admin, "member", [bob])
    b = platform.online(any_room.jid_of(bob))
    join(b, any_room.jid, bob)
    send_message(b, any_room.jid, "of the first life", "groupchat")
    until(lambda: "of the first life" in archived_bodies(b, any_room.jid), "the archived message")
    any_room.publish(any_room.deleted, any_room.payload())
    any_room.wait_gone(admin)
    any_room.create(alice, [bob])
    any_room.wait_affiliated(admin, "member", [bob])
    assert "of the first life" not in archived_bodies(b, any_room.jid)


def test_joining_and_creating_never_lower_the_owner(any_room: Room, platform: Platform, admin: Client, names: list[str]):
    alice, bob, _ = names
    any_room.create(alice, [alice, bob])
    any_room.wait_affiliated(admin, "member", [bob])
    id = any_room.publish(any_room.joined, any_room.of([alice]))
    platform.wait_received(id)
    platform.wait_received(any_room.create(bob, [alice]))
    assert any_room.jid_of(alice) in any_room.affiliated(admin, "owner")


def test_chat_id_names_the_room_and_odd_names_are_escaped(platform: Platform, admin: Client):
    chat = f"team {uuid.uuid4().hex[:6]}"
    room = Room(platform, chat.replace(" ", "\\20"), "usersGroup")
    user = f"dave@office-{uuid.uuid4().hex[:6]}"
    platform.publish("usersGroup.created", {"id": "another", "chatId": chat, "domain": DOMAIN,
                                            "participants": [{"username": user, "capabilities": ["chat"]}]})
    room.wait_affiliated(admin, "member", [user.replace("@", "\\40")])


def test_who_lacks_chat_is_neither_added_nor_invited(any_room: Room, platform: Platform, admin: Client, names: list[str]):
    alice, bob, carol = names
    c = platform.online(any_room.jid_of(carol))
    any_room.create(alice, [bob, {"username": carol, "capabilities": ["voice"]}])
    any_room.wait_affiliated(admin, "member", [bob])
    platform.wait_received(any_room.publish(any_room.joined, any_room.of([{"username": carol, "capabilities": []}])))
    assert any_room.affiliated(admin, "member") == {any_room.jid_of(bob)}
    assert any_room.invitations(c) == 0


def test_a_user_of_another_domain_is_member_of_this_one_room(platform: Platform, admin: Client, tenant: str,
                                                             any_room: Room, names: list[str]):
    alice, bob, _ = names
    guest = f"erin@{tenant}"
    e = platform.online(guest)
    any_room.create(alice, [{"username": "erin", "domain": tenant}])
    any_room.wait_invitation(e)
    assert join(e, any_room.jid, "erin").get("type") is None
    other = Room(platform, f"x-{uuid.uuid4().hex[:8]}", "usersGroup")
    other.create(alice, [bob])
    other.wait_affiliated(admin, "member", [bob])
    assert error_condition(join(e, other.jid, "erin")) is not None


def test_rooms_that_clients_made_are_never_touched(platform: Platform, admin: Client, names: list[str]):
    alice, _, _ = names
    a = platform.online(f"{alice}@{DOMAIN}")
    own = Room(platform, f"adhoc-{uuid.uuid4().hex[:8]}", "usersGroup")
    join(a, own.jid, alice)
    a.iq("set", _instant(), own.jid)
    platform.publish("usersGroup.deleted", own.payload())
    letter = platform.wait_dead("users-group-deleted", own.id)
    assert "adhoc" in letter.reason
    a.sync(own.jid)
    assert own.exists(admin)


def _instant():
    from support.xmpp import E
    return E("query", "http://jabber.org/protocol/muc#owner", E("x", "jabber:x:data", type="submit"))
