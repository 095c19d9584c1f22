"""What passes by way of a room under its name: forged elements, declines, what the blocked say, the service's address."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest

from support.stanzas import (
    CLIENT,
    MUC_USER,
    affiliate,
    answer,
    ask,
    assert_absent,
    condition,
    configure,
    create_room,
    go_online,
    has_body,
    join,
    mentions,
    new_id,
    ok,
    send_message,
    settle,
    statuses,
)

BATCH = "urn:quobis:sippo:muc-admin-batch:0"


@pytest.fixture
def hall(server, two_tenants):
    """A service room with three members in it."""
    home, _ = two_tenants
    names = ("alice", "bob", "carol")
    clients = {name: server.user(f"{name}@{home}") for name in names}
    admin = server.admin()
    room = f"hall-{uuid.uuid4().hex[:8]}@conference.{home}"
    create_room(admin, room)
    ok(affiliate(admin, room, *((f"{name}@{home}", "member") for name in names)))
    for name, client in clients.items():
        go_online(client)
        assert join(client, room, name).get("type") is None
    yield SimpleNamespace(home=home, room=room, admin=admin, **clients)
    for client in (*clients.values(), admin):
        client.close()


# What only the room says (mod_sippo_muc_forgeries) --------------------------------------------------


@pytest.mark.parametrize("forged", [
    "<invite from='admin@{home}'><reason>come</reason></invite>",
    "<decline from='carol@{home}'/>",
    "<status code='104'/>",
    "<item affiliation='owner' jid='alice@{home}'/>",
    "<destroy jid='adhoc-trap@conference.{home}'/>",
])
def test_nobody_says_in_the_rooms_name_what_only_the_room_says(hall, forged):
    h = hall
    x = f"<x xmlns='{MUC_USER}'>{forged.format(home=h.home)}</x><x xmlns='http://jabber.org/protocol/muc'/>"
    h.alice.send(f"<message xmlns='{CLIENT}' to='{h.room}' type='groupchat'><body>look</body>{x}</message>")
    relayed = h.bob.wait(has_body("look"), 10)
    assert relayed.find(f"{{{MUC_USER}}}x") is None
    ident = new_id()
    h.bob.send(f"<iq xmlns='{CLIENT}' type='set' id='{ident}' to='{h.room}'><query xmlns='urn:xmpp:mam:2'/></iq>")
    stored = h.bob.wait(lambda e: e.find("{urn:xmpp:mam:2}result") is not None, 10)
    kept = stored.find(f".//{{{MUC_USER}}}x")
    assert [child.tag for child in kept] == [f"{{{MUC_USER}}}item"] and kept[0].get("jid") == f"alice@{h.home}"


OF_THE_ROOM = (
    "<hats xmlns='urn:xmpp:hats:0'><hat title='Admin' uri='urn:example:forged'/></hats>",
    "<hats xmlns='xmpp:prosody.im/protocol/hats:1'><hat title='Admin' uri='urn:example:forged'/></hats>",
    "<addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='forged@{home}'/></addresses>",
    "<nick xmlns='http://jabber.org/protocol/nick'>forged</nick>",
    "<delay xmlns='urn:xmpp:delay' from='{room}' stamp='2001-01-01T00:00:00Z'/>",
    "<x xmlns='jabber:x:delay' from='{room}' stamp='20010101T00:00:00'/>",
)


@pytest.mark.parametrize("forged", OF_THE_ROOM)
@pytest.mark.parametrize("stanza", [
    "<message to='{room}' type='groupchat'><body>look</body>{forged}</message>",
    "<message to='{room}/bob' type='chat'><body>look</body>{forged}</message>",
    "<presence to='{room}/alice'><status>look</status>{forged}</presence>",
    "<presence to='{room}/alice' type='unavailable'><status>look</status>{forged}</presence>",
])
def test_nobody_says_of_oneself_or_of_a_message_what_the_room_says(hall, stanza, forged):
    h = hall
    h.alice.send(stanza.format(room=h.room, forged=forged.format(home=h.home, room=h.room))
                 .replace(" to=", f" xmlns='{CLIENT}' to=", 1))
    relayed = h.bob.wait(mentions("look"), 10)
    names = {"hats", "addresses", "nick", "delay"}
    assert not [child for child in relayed if child.tag.partition("}")[2] in names or "delay" in child.tag]


def test_when_a_sender_wrote_it_is_the_senders_to_say(hall):
    h = hall
    late = "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"
    h.alice.send(f"<message xmlns='{CLIENT}' to='{h.room}/bob' type='chat'><body>written offline</body>{late}</message>")
    assert h.bob.wait(has_body("written offline"), 10).find("{urn:xmpp:delay}delay") is not None


def test_a_rename_by_the_owner_is_still_told(hall):
    h = hall
    ok(affiliate(h.admin, h.room, (f"alice@{h.home}", "owner")))
    ok(configure(h.alice, h.room, {"muc#roomconfig_roomname": "New"}))
    h.bob.wait(lambda e: e.tag == f"{{{CLIENT}}}message" and "104" in statuses(e), 10)


def decline(client, room: str, to: str, words: str) -> str:
    ident = new_id()
    client.send(f"<message xmlns='{CLIENT}' id='{ident}' to='{room}'><x xmlns='{MUC_USER}'><decline to='{to}'>"
                f"<reason>{words}</reason></decline></x></message>")
    return ident


def test_a_members_only_room_speaks_no_decline_of_who_does_not_belong(server, hall):
    h = hall
    adhoc = f"adhoc-{uuid.uuid4().hex[:8]}@conference.{h.home}"
    join(h.alice, adhoc, "alice")
    ok(configure(h.alice, adhoc, {"muc#roomconfig_membersonly": "1"}))
    with server.user(f"mallory@{h.home}") as mallory:
        for room in (h.room, adhoc):
            for to in (f"alice@{h.home}", f"{room}/alice"):
                assert condition(answer(mallory, decline(mallory, room, to, "click here"))) == "item-not-found"
    assert_absent(h.alice, mentions("click here"))
    decline(h.bob, h.room, f"alice@{h.home}", "no time")
    h.alice.wait(mentions("no time"), 10)


# The block list (mod_sippo_muc_blocklist) ---------------------------------------------------------------


def block(client, jid: str) -> None:
    ok(ask(client, "set", f"<block xmlns='urn:xmpp:blocking'><item jid='{jid}'/></block>"))


@pytest.mark.parametrize("blocked", ["bob@{home}", "{full}"])
def test_who_is_blocked_does_not_get_through_by_way_of_a_room(hall, blocked):
    h = hall
    block(h.alice, blocked.format(home=h.home, full=h.bob.jid))
    ident = send_message(h.bob, f"{h.room}/alice", "psst")
    assert condition(answer(h.bob, ident)) == "service-unavailable"
    ping = ask(h.bob, "get", "<ping xmlns='urn:xmpp:ping'/>", f"{h.room}/alice")
    assert condition(ping) == "service-unavailable"
    for name in ("invite", "decline"):
        for to in (f"alice@{h.home}", f"{h.room}/alice"):
            ident = new_id()
            h.bob.send(f"<message xmlns='{CLIENT}' id='{ident}' to='{h.room}'><x xmlns='{MUC_USER}'>"
                       f"<{name} to='{to}'><reason>psst</reason></{name}></x></message>")
            assert condition(answer(h.bob, ident)) in ("service-unavailable", "not-allowed", "forbidden")
    assert_absent(h.alice, mentions("psst"))
    send_message(h.carol, f"{h.room}/alice", "not blocked")
    h.alice.wait(has_body("not blocked"), 10)
    send_message(h.bob, h.room, "to all", "groupchat")
    h.alice.wait(has_body("to all"), 10)


def test_what_is_unblocked_gets_through_again(hall):
    h = hall
    block(h.alice, f"bob@{h.home}")
    ok(ask(h.alice, "set", "<unblock xmlns='urn:xmpp:blocking'/>"))
    send_message(h.bob, f"{h.room}/alice", "hello again")
    h.alice.wait(has_body("hello again"), 10)


# The service's address (mod_sippo_muc_service_jid) -------------------------------------------------------


def everything_since(client, mark: str) -> str:
    """Serialized, all that has come to the client up to a group message."""
    from xml.etree import ElementTree
    client.wait(has_body(mark), 10)
    return "".join(ElementTree.tostring(e, encoding="unicode") for e in client.received())


def test_nobody_sees_the_services_address_in_a_room(hall):
    h = hall
    join(h.admin, h.room, "service")
    send_message(h.admin, h.room, "by the service", "groupchat")
    h.alice.wait(has_body("by the service"), 10)
    ok(ask(h.admin, "set", f"<affiliations xmlns='{BATCH}'><none jid='carol@{h.home}'/></affiliations>", h.room))
    ok(affiliate(h.admin, h.room, (f"bob@{h.home}", "admin")))
    ok(ask(h.admin, "set", "<query xmlns='http://jabber.org/protocol/muc#admin'><item nick='bob' role='visitor'/></query>",
           h.room))
    h.carol.wait(lambda e: e.get("type") == "unavailable" and "321" in statuses(e), 10)
    send_message(h.alice, h.room, "mark", "groupchat")
    seen = everything_since(h.alice, "mark")
    assert "321" in seen and "service" in seen
    assert h.admin.bare_jid not in seen
    assert h.admin.bare_jid not in "".join(str(e.attrib) for e in h.carol.received() for e in e.iter())
    ident = new_id()
    h.alice.send(f"<iq xmlns='{CLIENT}' type='set' id='{ident}' to='{h.room}'><query xmlns='urn:xmpp:mam:2'/></iq>")
    h.alice.wait(lambda e: e.get("id") == ident, 10)
    settle(h.alice)
    archived = [e for e in h.alice.received(mentions("by the service"))]
    assert archived and not any(h.admin.bare_jid in str(sub.attrib) for e in archived for sub in e.iter())
