"""Rooms with guests of another tenant: what a membership opens, and what it does not (xmpp-server/README.md).

Guest is a member by the service's hand, Mallory of the same tenant is not; both have clients of their own making.
"""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest

from support.stanzas import (
    CLIENT,
    MUC,
    MUC_ADMIN,
    MUC_USER,
    affiliate,
    affiliated,
    answer,
    archived_bodies,
    ask,
    assert_absent,
    condition,
    configure,
    create_room,
    error_shape,
    go_online,
    has_body,
    join,
    leave,
    mentions,
    new_id,
    ok,
    room_features,
    send_message,
    settle,
    statuses,
)


@pytest.fixture
def hall(server, two_tenants):
    """A service room at home with two members of the tenant and one guest."""
    home, away = two_tenants
    people = {
        "alice": server.user(f"alice@{home}"),
        "olivia": server.user(f"olivia@{home}"),
        "guest": server.user(f"guest@{away}"),
        "mallory": server.user(f"mallory@{away}"),
    }
    for client in people.values():
        go_online(client)
    admin = server.admin()
    room = f"hall-{uuid.uuid4().hex[:8]}@conference.{home}"
    create_room(admin, room)
    ok(affiliate(admin, room, (f"olivia@{home}", "owner"), (f"alice@{home}", "member"), (f"guest@{away}", "member")))
    yield SimpleNamespace(home=home, away=away, room=room, admin=admin, **people)
    for client in (*people.values(), admin):
        client.close()


def enter(h, *names: str) -> None:
    for name in names:
        assert join(getattr(h, name), h.room, name).get("type") is None


def groupchat(client, room: str, text: str) -> None:
    send_message(client, room, text, "groupchat")
    client.wait(has_body(text), 10)


def mediated(payload: str, to: str, words: str) -> str:
    return f"<x xmlns='{MUC_USER}'><{payload} to='{to}'><reason>{words}</reason></{payload}></x>"


# What a membership opens ----------------------------------------------------------------


def test_a_guest_takes_part(hall):
    h = hall
    enter(h, "alice", "guest")
    groupchat(h.alice, h.room, "welcome")
    h.guest.wait(has_body("welcome"), 10)
    groupchat(h.guest, h.room, "thank you")
    h.alice.wait(has_body("thank you"), 10)
    assert "muc_membersonly" in room_features(h.guest, h.room)
    assert {"welcome", "thank you"} <= set(archived_bodies(h.guest, h.room))
    ok(ask(h.guest, "get", "<ping xmlns='urn:xmpp:ping'/>", f"{h.room}/guest"))
    leave(h.guest, h.room, "guest")
    h.alice.wait(lambda e: e.get("type") == "unavailable" and e.get("from") == f"{h.room}/guest", 10)


def test_members_speak_in_private_through_the_room(hall):
    h = hall
    enter(h, "alice", "guest")
    send_message(h.guest, f"{h.room}/alice", "a word")
    assert h.alice.wait(has_body("a word"), 10).get("from") == f"{h.room}/guest"
    send_message(h.alice, f"{h.room}/guest", "two words")
    assert h.guest.wait(has_body("two words"), 10).get("from") == f"{h.room}/alice"


def test_a_guest_reads_the_archive_without_entering_and_nobody_else_does(hall):
    h = hall
    enter(h, "alice")
    groupchat(h.alice, h.room, "minutes of the meeting")
    assert archived_bodies(h.guest, h.room) == ["minutes of the meeting"]
    query = "<query xmlns='urn:xmpp:mam:2'/>"
    refused = ask(h.mallory, "set", query, h.room)
    missing = ask(h.mallory, "set", query, f"no-such-room@conference.{h.home}")
    assert condition(refused) == "forbidden"
    assert error_shape(refused) == error_shape(missing)


def test_a_restart_keeps_guests_and_closes_nothing(server, hall):
    h = hall
    enter(h, "guest")
    server.restart()
    with server.user(f"guest@{h.away}") as guest, server.user(f"mallory@{h.away}") as mallory:
        assert join(guest, h.room, "guest").get("type") is None
        assert condition(join(mallory, h.room, "mallory")) == "forbidden"


# What it does not -------------------------------------------------------------------------


def test_membership_of_a_room_opens_neither_its_neighbour_nor_the_users(hall):
    h = hall
    enter(h, "guest", "alice")
    other = f"other-{uuid.uuid4().hex[:8]}@conference.{h.home}"
    create_room(h.admin, other)
    assert condition(join(h.guest, other, "guest")) == "forbidden"
    assert condition(join(h.guest, f"adhoc-x@conference.{h.home}", "guest")) == "forbidden"
    for to in (f"alice@{h.home}", h.alice.jid):
        assert condition(answer(h.guest, send_message(h.guest, to, "outside the room"))) == "forbidden"
    query = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
    assert condition(ask(h.guest, "get", query, f"conference.{h.home}")) == "forbidden"
    assert_absent(h.alice, has_body("outside the room"))


@pytest.mark.parametrize(
    "payload",
    [
        "<vCard xmlns='vcard-temp'/>",
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:vcard4'/></pubsub>",
        "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'/>",
        "<query xmlns='jabber:iq:version'/>",
    ],
)
def test_accounts_are_not_read_through_the_room(hall, payload):
    """MUC hands IQs for an occupant to their client, and those for vCard and PEP to their account, which answers."""
    h = hall
    enter(h, "alice", "guest")
    assert condition(ask(h.guest, "get", payload, f"{h.room}/alice")) == "forbidden"
    assert condition(ask(h.alice, "get", payload, f"{h.room}/guest")) == "forbidden"
    assert_absent(h.alice, lambda e: e.tag == f"{{{CLIENT}}}iq" and e.get("type") == "get")


def test_neighbours_may_ask_each_other_through_the_room(hall):
    h = hall
    enter(h, "alice", "olivia")
    ident = new_id()
    h.olivia.send(
        f"<iq xmlns='{CLIENT}' type='get' id='{ident}' to='{h.room}/alice'><query xmlns='jabber:iq:version'/></iq>"
    )
    h.alice.wait(lambda e: e.get("type") == "get" and e.get("from") == f"{h.room}/olivia", 10)


def test_an_outsider_does_not_reach_an_occupant(hall):
    h = hall
    enter(h, "alice", "guest")
    for to in (f"{h.room}/alice", f"{h.room}/guest", f"{h.room}/nobody"):
        assert condition(answer(h.mallory, send_message(h.mallory, to, "psst"))) == "forbidden"
    assert_absent(h.alice, has_body("psst"))
    assert_absent(h.guest, has_body("psst"))


@pytest.mark.parametrize("kind", ["error", "unavailable"])
def test_an_outsiders_answers_do_not_reach_the_room(hall, kind):
    h = hall
    enter(h, "alice")
    h.mallory.send(f"<presence xmlns='{CLIENT}' type='{kind}' to='{h.room}/alice'><status>smuggled</status></presence>")
    h.mallory.send(f"<message xmlns='{CLIENT}' type='error' to='{h.room}/alice'><body>smuggled</body></message>")
    settle(h.mallory)
    assert_absent(h.alice, mentions("smuggled"))
    groupchat(h.alice, h.room, f"still here {kind}")


@pytest.mark.parametrize("payload", ["invite", "decline"])
@pytest.mark.parametrize(
    "sender,addressee",
    [
        ("guest", "alice@{home}"),  # a guest writes to the host tenant's user
        ("guest", "mallory@{away}"),  # or brings a friend
        ("guest", "{room}/alice"),
        ("olivia", "mallory@{away}"),  # an owner writes to an outsider
        ("olivia", "guest@{away}"),  # or to a guest, past the room
        ("olivia", "GUEST@{AWAY}"),
        ("olivia", "{room}/guest"),
        ("alice", "sippo@sippo-admin.internal"),
        ("mallory", "alice@{home}"),
    ],
)
def test_mediated_invitations_carry_nothing_across(hall, payload, sender, addressee):
    h = hall
    enter(h, "alice", "guest")
    to = addressee.format(home=h.home, away=h.away, AWAY=h.away.upper(), room=h.room)
    client, ident = getattr(h, sender), new_id()
    client.send(
        f"<message xmlns='{CLIENT}' id='{ident}' to='{h.room}'>{mediated(payload, to, 'contraband')}<body>contraband</body></message>"
    )
    assert condition(answer(client, ident)) in ("forbidden", "not-allowed")
    for other in ("alice", "guest", "mallory", "olivia", "admin"):
        if other != sender:
            assert_absent(getattr(h, other), mentions("contraband"))
    assert affiliated(h.admin, h.room, "member") == {f"alice@{h.home}", f"guest@{h.away}"}


def test_a_decline_between_neighbours_passes(hall):
    h = hall
    h.alice.send(f"<message xmlns='{CLIENT}' to='{h.room}'>{mediated('decline', f'olivia@{h.home}', 'no time')}</message>")
    h.olivia.wait(mentions("no time"), 10)


def test_two_payloads_in_one_invitation_do_not_fool_the_guard(hall):
    h = hall
    go_online(h.mallory)
    for x in (
        f"<x xmlns='{MUC_USER}'><invite to='alice@{h.home}'/><invite to='mallory@{h.away}'/></x>",
        f"<x xmlns='{MUC_USER}'><invite xmlns='urn:other' to='alice@{h.home}'/><invite to='mallory@{h.away}'/></x>",
        f"<x xmlns='{MUC_USER}'><invite to='alice@{h.home}'/></x><x xmlns='{MUC_USER}'><invite to='mallory@{h.away}'/></x>",
    ):
        h.olivia.send(f"<message xmlns='{CLIENT}' to='{h.room}'>{x}</message>")
    settle(h.olivia)
    assert_absent(h.mallory, lambda e: e.tag == f"{{{CLIENT}}}message")
    assert f"mallory@{h.away}" not in affiliated(h.admin, h.room, "member")


def test_direct_invitations_of_users_stay_home(hall):
    h = hall
    ident = new_id()
    h.olivia.send(
        f"<message xmlns='{CLIENT}' id='{ident}' to='mallory@{h.away}'><x xmlns='jabber:x:conference' jid='{h.room}'/></message>"
    )
    assert condition(answer(h.olivia, ident)) == "forbidden"
    assert_absent(h.mallory, lambda e: e.tag == f"{{{CLIENT}}}message")


def test_a_guest_administers_nothing(hall):
    h = hall
    enter(h, "alice", "guest")
    kick = f"<query xmlns='{MUC_ADMIN}'><item nick='alice' role='none'/></query>"
    assert condition(ask(h.guest, "set", kick, h.room)) == "not-allowed"
    assert condition(affiliate(h.guest, h.room, (f"mallory@{h.away}", "member"))) == "not-allowed"
    assert condition(ask(h.guest, "get", f"<query xmlns='{MUC}#owner'/>", h.room)) == "forbidden"
    assert condition(ask(h.guest, "set", f"<query xmlns='{MUC}#owner'><destroy/></query>", h.room)) == "forbidden"


# The end of a membership ---------------------------------------------------------------------


def test_a_guest_whose_membership_ends_is_told_and_out(hall):
    h = hall
    enter(h, "alice", "guest")
    ok(affiliate(h.admin, h.room, (f"guest@{h.away}", "none")))
    h.guest.wait(lambda e: e.get("type") == "unavailable" and "321" in statuses(e), 10)
    groupchat(h.alice, h.room, "now that we are among us")
    assert_absent(h.guest, has_body("now that we are among us"))
    assert condition(answer(h.guest, send_message(h.guest, h.room, "hello?", "groupchat"))) == "forbidden"
    assert condition(join(h.guest, h.room, "guest")) == "forbidden"
    assert condition(ask(h.guest, "set", "<query xmlns='urn:xmpp:mam:2'/>", h.room)) == "forbidden"


def test_a_destroyed_room_says_goodbye_to_guests(hall):
    h = hall
    enter(h, "guest")
    ok(ask(h.admin, "set", f"<query xmlns='{MUC}#owner'><destroy/></query>", h.room))
    h.guest.wait(lambda e: e.get("type") == "unavailable" and e.find(f".//{{{MUC_USER}}}destroy") is not None, 10)
    assert condition(join(h.guest, h.room, "guest")) == "forbidden"


def test_an_open_room_of_users_is_open_to_their_own_tenant_only(hall):
    h = hall
    room = f"adhoc-{uuid.uuid4().hex[:8]}@conference.{h.home}"
    join(h.alice, room, "alice")
    ok(configure(h.alice, room, {"muc#roomconfig_membersonly": "0", "muc#roomconfig_publicroom": "1"}))
    assert join(h.olivia, room, "olivia").get("type") is None
    assert condition(join(h.guest, room, "guest")) == "forbidden"
    assert condition(ask(h.guest, "set", "<query xmlns='urn:xmpp:mam:2'/>", room)) == "forbidden"
    # The service makes a guest, and ends it: in a room that is open the guest would otherwise stay inside.
    ok(affiliate(h.admin, room, (f"guest@{h.away}", "member")))
    assert join(h.guest, room, "guest").get("type") is None
    ok(affiliate(h.admin, room, (f"guest@{h.away}", "none")))
    h.guest.wait(lambda e: e.get("type") == "unavailable" and "110" in statuses(e), 10)
    groupchat(h.alice, room, "the guest is gone")
    assert_absent(h.guest, has_body("the guest is gone"))


def test_a_guest_cannot_bring_friends_into_a_room_where_members_may_invite(hall):
    h = hall
    room = f"adhoc-{uuid.uuid4().hex[:8]}@conference.{h.home}"
    join(h.alice, room, "alice")
    invites = "{http://prosody.im/protocol/muc}roomconfig_allowmemberinvites"
    ok(configure(h.alice, room, {"muc#roomconfig_membersonly": "1", invites: "1"}))
    ok(affiliate(h.admin, room, (f"guest@{h.away}", "member")))
    join(h.guest, room, "guest")
    for inviter, friend in ((h.guest, f"mallory@{h.away}"), (h.alice, f"mallory@{h.away}"), (h.guest, f"olivia@{h.home}")):
        ident = new_id()
        inviter.send(f"<message xmlns='{CLIENT}' id='{ident}' to='{room}'>{mediated('invite', friend, 'come')}</message>")
        assert condition(answer(inviter, ident)) == "forbidden"
    # Among neighbours it works as the owner wants it.
    h.alice.send(f"<message xmlns='{CLIENT}' to='{room}'>{mediated('invite', f'olivia@{h.home}', 'come')}</message>")
    h.olivia.wait(mentions("come"), 10)
    assert affiliated(h.alice, room, "member") == {f"guest@{h.away}", f"olivia@{h.home}"}
