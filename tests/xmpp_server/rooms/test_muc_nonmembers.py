"""mod_sippo_muc_nonmembers: a room one does not belong to cannot be told from one that does not exist."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from support.stanzas import (
    CLIENT,
    MESSAGES,
    MUC,
    MUC_ADMIN,
    MUC_OWNER,
    MUC_USER,
    affiliate,
    answer,
    ask,
    assert_absent,
    condition,
    configure,
    create_room,
    error_shape,
    has_body,
    join,
    mentions,
    new_id,
    ok,
    room_features,
    send_message,
)

LIVES = "urn:quobis:sippo:room:0"
INVITATION = f"<x xmlns='{MUC_USER}'><invite to='alice@{{home}}'/></x>"
DECLINE = f"<x xmlns='{MUC_USER}'><decline to='alice@{{home}}'><reason>buy this</reason></decline></x>"
VOICE = ("<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#request</value>"
         "</field><field var='muc#role'><value>participant</value></field></x>")

QUESTIONS = {
    "disco#info": ("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>"),
    "disco#items": ("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
    "reserved nickname": ("get", "<query xmlns='http://jabber.org/protocol/disco#info' node='x-roomuser-item'/>"),
    "ping": ("get", "<ping xmlns='urn:xmpp:ping'/>"),
    "members": ("get", f"<query xmlns='{MUC_ADMIN}'><item affiliation='member'/></query>"),
    "occupants": ("get", f"<query xmlns='{MUC_ADMIN}'><item role='participant'/></query>"),
    "kick": ("set", f"<query xmlns='{MUC_ADMIN}'><item nick='alice' role='none'/></query>"),
    "configuration": ("get", f"<query xmlns='{MUC_OWNER}'/>"),
    "destruction": ("set", f"<query xmlns='{MUC_OWNER}'><destroy/></query>"),
    "registration": ("get", "<query xmlns='jabber:iq:register'/>"),
    "unregistration": ("set", "<query xmlns='jabber:iq:register'><remove/></query>"),
    "archive": ("set", "<query xmlns='urn:xmpp:mam:2'/>"),
    "archive form": ("get", "<query xmlns='urn:xmpp:mam:2'/>"),
    "vCard": ("get", "<vCard xmlns='vcard-temp'/>"),
    "unknown": ("get", "<query xmlns='urn:example:unknown'/>"),
}

STANZAS = {
    "joining": f"<presence id='{{id}}' to='{{room}}/bob'><x xmlns='{MUC}'/></presence>",
    "joining as an occupant": f"<presence id='{{id}}' to='{{room}}/alice'><x xmlns='{MUC}'/></presence>",
    "presence": "<presence id='{id}' to='{room}/bob'/>",
    "presence to the room": "<presence id='{id}' to='{room}'/>",
    "subscription": "<presence id='{id}' to='{room}' type='subscribe'/>",
    "group message": "<message id='{id}' to='{room}' type='groupchat'><body>hello</body></message>",
    "message": "<message id='{id}' to='{room}' type='chat'><body>hello</body></message>",
    "private message": "<message id='{id}' to='{room}/alice' type='chat'><body>hello</body></message>",
    "invitation": f"<message id='{{id}}' to='{{room}}'>{INVITATION}</message>",
    "decline": f"<message id='{{id}}' to='{{room}}'>{DECLINE}</message>",
    "voice request": f"<message id='{{id}}' to='{{room}}'>{VOICE}</message>",
}


@pytest.fixture(scope="module")
def house(server, two_tenants):
    """A service room with Alice in it, one that has ended, and one that never was; Bob belongs to none."""
    home, _ = two_tenants
    muc = f"conference.{home}"
    tail = uuid.uuid4().hex[:8]
    rooms = {name: f"{name}-{tail}@{muc}" for name in ("there", "never", "ended")}
    admin, alice, bob = server.admin(), server.user(f"alice@{home}"), server.user(f"bob@{home}")
    for name in ("there", "ended"):
        create_room(admin, rooms[name])
        ok(affiliate(admin, rooms[name], (f"alice@{home}", "owner")))
    assert join(alice, rooms["there"], "alice").get("type") is None
    ok(ask(admin, "set", f"<query xmlns='{MUC_OWNER}'><destroy/></query>", rooms["ended"]))
    yield SimpleNamespace(home=home, muc=muc, admin=admin, alice=alice, bob=bob, **rooms)
    for client in (admin, alice, bob):
        client.close()


def whole(reply, room: str) -> str:
    """All of an answer but what the sender chose: its id, and the room's name."""
    copy = ElementTree.fromstring(ElementTree.tostring(reply))
    copy.set("id", "")
    return ElementTree.tostring(copy, encoding="unicode").replace(room, "ROOM")


def test_questions_have_the_same_answer(house):
    h = house
    for what, (kind, payload) in QUESTIONS.items():
        for to in ("{}", "{}/alice", "{}/nobody"):
            answers = {whole(ask(h.bob, kind, payload, to.format(room)), room) for room in (h.there, h.never, h.ended)}
            assert len(answers) == 1, (what, to, answers)
            assert "item-not-found" in answers.pop(), (what, to)
    assert "muc_membersonly" in room_features(h.alice, h.there)


def test_requests_of_the_services_own_kinds_have_the_same_answer(house):
    """Not `item-not-found`: a service that is not taken for the admin has to be told so."""
    h = house
    for payload in (f"<ensure xmlns='{LIVES}' life='9.9/ff'/>", f"<destroy xmlns='{LIVES}' ended='9.9/ff'/>",
                    "<affiliations xmlns='urn:quobis:sippo:muc-admin-batch:0'/>", f"<messages xmlns='{MESSAGES}'/>"):
        answers = {whole(ask(h.bob, "set", payload, room), room) for room in (h.there, h.never, h.ended)}
        assert len(answers) == 1, answers
        assert "forbidden" in answers.pop(), payload


def test_stanzas_have_the_same_answer(house):
    h = house
    for what, stanza in STANZAS.items():
        answers = set()
        for room in (h.there, h.never, h.ended):
            ident = new_id()
            h.bob.send(stanza.format(id=ident, room=room, home=h.home).replace(" id=", f" xmlns='{CLIENT}' id=", 1))
            reply = answer(h.bob, ident)
            assert condition(reply) == "item-not-found", what
            answers.add(whole(reply, room))
        assert len(answers) == 1, (what, answers)
    assert_absent(h.alice, mentions("hello"))
    assert_absent(h.alice, mentions("buy this"))


def test_what_nobody_answers_has_no_answer(house):
    h = house
    for room in (h.there, h.never):
        for stanza in ("<presence to='{}/bob' type='unavailable'/>", "<presence to='{}/bob' type='probe'/>",
                       "<message to='{}' type='error'><body>x</body></message>", "<iq to='{}' type='result' id='r'/>",
                       "<presence to='{}/alice' type='error'/>"):
            h.bob.send(stanza.format(room).replace(" to=", f" xmlns='{CLIENT}' to=", 1))
        assert_absent(h.bob, lambda e: (e.get("from") or "").startswith(room))


def test_who_belongs_to_it_is_answered_by_the_room(house):
    h = house
    assert condition(ask(h.alice, "set", f"<query xmlns='{MUC_OWNER}'><destroy/></query>", h.there)) == "not-allowed"
    ok(ask(h.alice, "get", f"<query xmlns='{MUC_ADMIN}'><item affiliation='member'/></query>", h.there))
    send_message(h.alice, h.there, "at home", "groupchat")
    h.alice.wait(has_body("at home"), 10)


def test_a_hidden_room_of_users_is_hidden_but_from_who_tries_to_enter(house):
    h = house
    closed, open_, never = (f"adhoc-{uuid.uuid4().hex[:8]}@{h.muc}" for _ in range(3))
    for room, members_only in ((closed, "1"), (open_, "0")):
        join(h.alice, room, "alice")
        ok(configure(h.alice, room, {"muc#roomconfig_membersonly": members_only}))
    for what, (kind, payload) in QUESTIONS.items():
        assert whole(ask(h.bob, kind, payload, closed), closed) == whole(ask(h.bob, kind, payload, never), never), what
    assert condition(join(h.bob, closed, "bob")) == "registration-required"
    assert "muc_open" in room_features(h.bob, open_)
    assert "item-not-found" in error_shape(ask(h.bob, *QUESTIONS["disco#info"], closed))
    assert join(h.bob, open_, "bob").get("type") is None


def test_nothing_but_entering_tells_a_hidden_room_of_users(house):
    """Whatever else a stranger sends has the answer of a room that is not there, and makes none."""
    h = house
    closed, never = (f"adhoc-{uuid.uuid4().hex[:8]}@{h.muc}" for _ in range(2))
    join(h.alice, closed, "alice")
    ok(configure(h.alice, closed, {"muc#roomconfig_membersonly": "1"}))
    for to in ("{}/alice", "{}/nobody"):
        for what, (kind, payload) in QUESTIONS.items():
            answers = {whole(ask(h.bob, kind, payload, to.format(room)), room) for room in (closed, never)}
            assert len(answers) == 1, (what, to, answers)
    for what, stanza in STANZAS.items():
        if not what.startswith("joining"):
            answers = {}
            for room in (closed, never):
                ident = new_id()
                h.bob.send(stanza.format(id=ident, room=room, home=h.home).replace(" id=", f" xmlns='{CLIENT}' id=", 1))
                answers[room] = whole(answer(h.bob, ident), room)
            assert len(set(answers.values())) == 1 and "item-not-found" in answers[never], (what, answers)
    assert_absent(h.alice, mentions("hello"))
