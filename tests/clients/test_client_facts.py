"""What docs/CLIENTS.md says of answers and ends, without a browser: the conditions that a page decides by."""

from __future__ import annotations

import uuid

import pytest

from support.rooms import Room
from support.xmpp import MUC_USER, E, StanzaError, error_condition, local

DISCO = "http://jabber.org/protocol/disco#info"
ADMIN = "http://jabber.org/protocol/muc#admin"
BLOCKING = "urn:xmpp:blocking"
MAM = "urn:xmpp:mam:2"
RSM = "http://jabber.org/protocol/rsm"
SM = "urn:xmpp:sm:3"


@pytest.fixture
def users(platform):
    """Two users of the test's own who are online."""
    tail = uuid.uuid4().hex[:8]
    return platform.online(f"alice-{tail}@example.test"), platform.online(f"bob-{tail}@example.test")


@pytest.fixture
def members(room: Room, admin, users):
    """The two as owner and member of a group, in its room."""
    alice, bob = users
    room.create(owner=alice.user, participants=[bob.user])
    room.wait_exists(admin)
    room.wait_invitation(bob)
    for one in users:
        one.join_room(room.jid)
    return users


def status_codes(presence) -> set[str]:
    """What the room says of a presence."""
    return {status.get("code") for status in presence.iter(f"{{{MUC_USER}}}status")}


def own_end(client, room: Room):
    """The presence that ends the own stay."""
    return client.wait(lambda e: local(e) == "presence" and e.get("type") == "unavailable"
                       and (e.get("from") or "").startswith(room.jid) and "110" in status_codes(e))


def refusal(client, type: str, payload, to: str | None) -> str | None:
    """The condition of a request's answer."""
    return error_condition(client.iq(type, payload, to=to, check=False))


def error_of_message(client, to: str, **options) -> str | None:
    """The condition with which a message comes back."""
    id = client.message(to, "hello", **options)
    return error_condition(client.wait(lambda e: local(e) == "message" and e.get("id") == id and e.get("type") == "error"))


def test_who_is_blocked_gets_service_unavailable(users):
    alice, bob = users
    alice.iq("set", E("block", BLOCKING, E("item", BLOCKING, jid=bob.bare_jid)))
    assert error_of_message(bob, alice.bare_jid) == "service-unavailable"


def test_a_room_that_one_has_left_and_one_that_has_ended(members, room, admin):
    _, bob = members
    bob.leave_room(room.jid)
    own_end(bob, room)
    assert error_of_message(bob, room.jid, type="groupchat") == "not-acceptable"
    assert refusal(bob, "get", E("ping", "urn:xmpp:ping"), f"{room.jid}/{bob.user}") == "not-acceptable"
    room.publish(room.deleted, room.payload())
    room.wait_gone(admin)
    with pytest.raises(StanzaError, match="item-not-found"):
        bob.join_room(room.jid)
    assert error_of_message(bob, room.jid, type="groupchat") == "item-not-found"
    assert refusal(bob, "set", E("query", MAM), room.jid) == "item-not-found"


def test_whoever_is_thrown_out_may_enter_again(members, room):
    alice, bob = members
    alice.iq("set", E("query", ADMIN, E("item", ADMIN, nick=bob.user, role="none")), to=room.jid)
    codes = status_codes(own_end(bob, room))
    assert "307" in codes and "321" not in codes
    bob.join_room(room.jid)


def test_a_membership_that_ends_has_321(members, room):
    _, bob = members
    room.publish(room.left, room.of([bob.user]))
    assert "321" in status_codes(own_end(bob, room))


def test_members_are_made_by_the_service_only(members, room):
    alice, bob = members
    item = E("item", ADMIN, jid="carol@example.test", affiliation="member")
    assert refusal(alice, "set", E("query", ADMIN, item), room.jid) == "not-allowed"
    listed = bob.iq("get", E("query", ADMIN, E("item", ADMIN, affiliation="member")), to=room.jid)
    assert [item.get("jid") for item in listed.iter(f"{{{ADMIN}}}item")] == [bob.bare_jid]


def test_a_new_name_is_told_with_status_104(members, room):
    _, bob = members
    room.publish(room.created, room.payload(name="Friends", owner=members[0].user, participants=[bob.user]))
    bob.wait(lambda e: local(e) == "message" and e.get("from") == room.jid and "104" in status_codes(e), 30)
    info = bob.iq("get", E("query", DISCO), to=room.jid)
    assert info.find(f".//{{{DISCO}}}identity").get("name") == "Friends"


@pytest.mark.parametrize("filtered", [False, True])
def test_an_invitation_is_in_the_archive_but_under_no_address(members, room, filtered):
    _, bob = members
    form = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in
                   (("FORM_TYPE", MAM), ("with", room.jid)))
    x = f"<x xmlns='jabber:x:data' type='submit'>{form}</x>" if filtered else ""
    id = bob.next_id()
    bob.send(f"<iq xmlns='jabber:client' type='set' id='{id}'><query xmlns='{MAM}' queryid='q'>{x}</query></iq>")
    bob.wait(lambda e: local(e) == "iq" and e.get("id") == id)
    found = bob.received(lambda e: e.find(f"{{{MAM}}}result[@queryid='q']") is not None)
    assert [x.get("jid") for one in found for x in one.iter("{jabber:x:conference}x")] == ([] if filtered else [room.jid])


def test_rooms_of_users_own_have_names_that_begin_with_adhoc(users):
    alice, _ = users
    own = f"adhoc-{uuid.uuid4().hex[:8]}@conference.example.test"
    assert "201" in status_codes(alice.join_room(own))
    with pytest.raises(StanzaError, match="item-not-found"):
        alice.join_room(own.removeprefix("adhoc-"))
    with pytest.raises(StanzaError, match="forbidden"):
        alice.join_room(own.replace("example.test", "partner.test"))


def test_a_page_of_an_archive(users):
    alice, bob = users
    for number in range(60):
        alice.message(bob.bare_jid, str(number))
    alice.sync()
    answer = alice.iq("set", E("query", MAM, E("set", RSM, E("max", RSM, "1000"))))
    fin = answer.find(f"{{{MAM}}}fin")
    assert fin.get("complete") is None
    results = alice.received(lambda e: e.find(f"{{{MAM}}}result") is not None)
    assert len(results) == 50
    bad = E("query", MAM, E("set", RSM, E("max", RSM, "-1")))
    assert refusal(alice, "set", bad, None) == "bad-request"


def test_a_session_is_kept_as_long_as_the_guide_says(users):
    alice, _ = users
    alice.send(E("enable", SM, resume="true"))
    assert alice.wait(lambda e: e.tag == f"{{{SM}}}enabled").get("max") == "600"


def test_a_resource_that_is_taken_ends_the_older_session(platform):
    jid = f"dora-{uuid.uuid4().hex[:8]}@example.test"
    older = platform.user(jid, "desk")
    platform.user(jid, "desk")
    assert older.wait_closed().condition == "conflict"


@pytest.mark.parametrize("domain", ["partner.test", "nowhere.test"])
def test_a_user_of_another_domain(users, domain):
    assert error_of_message(users[0], f"bob@{domain}") == "forbidden"


def test_a_presence_that_is_too_long(users):
    alice, _ = users
    alice.send(E("presence", None, E("status", None, "x" * 17_000), id="long"))
    refused = alice.wait(lambda e: e.get("id") == "long" and e.get("type") == "error")
    assert error_condition(refused) == "policy-violation"


def test_a_server_that_stops_says_so(platform, users):
    alice, _ = users
    platform.supervisor.stop_one("prosody")
    try:
        assert alice.wait_closed().condition == "system-shutdown"
    finally:
        from stack import prosody
        platform.supervisor.start(prosody.process(platform.stack.prosody))
