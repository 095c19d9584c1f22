"""mod_sippo_tenant_isolation: users of one domain cannot reach users of another (xmpp-server/README.md).

Mallory is a user of another tenant with a client of their own making; Alice and Bob are the victims.
"""

from __future__ import annotations

import base64
from types import SimpleNamespace

import pytest

from support.stanzas import (
    CLIENT,
    MUC,
    affiliate,
    answer,
    ask,
    assert_absent,
    condition,
    create_room,
    error_shape,
    go_online,
    has_body,
    join,
    mentions,
    new_id,
    ok,
    request,
    send_message,
    settle,
)

ADMIN_DOMAIN = "sippo-admin.internal"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"


@pytest.fixture(scope="module")
def domains(server, two_tenants):
    """Two tenants, and a room of the first."""
    home, away = two_tenants
    room = f"team@conference.{home}"
    with server.admin() as admin:
        create_room(admin, room)
        ok(affiliate(admin, room, (f"alice@{home}", "member")))
    return home, away, room


@pytest.fixture
def tenants(server, domains):
    """A user of each tenant who is online and asked for their roster, and the service."""
    home, away, room = domains
    alice, mallory = server.user(f"alice@{home}"), server.user(f"mallory@{away}")
    for client in (alice, mallory):
        ask(client, "get", "<query xmlns='jabber:iq:roster'/>")
        go_online(client)
    admin = server.admin()
    yield SimpleNamespace(
        home=home, away=away, alice=alice, mallory=mallory, admin=admin, room=room, alice_jid=f"alice@{home}",
        mallory_jid=f"mallory@{away}",
    )
    for client in (alice, mallory, admin):
        client.close()


def from_away(t):
    return lambda e: t.away in (e.get("from") or "")


def test_neighbours_talk(server, tenants):
    with server.user(f"bob@{tenants.home}") as bob:
        go_online(bob)
        send_message(bob, tenants.alice_jid, "hello neighbour")
        tenants.alice.wait(has_body("hello neighbour"), 10)
        bob.send(f"<presence xmlns='{CLIENT}' type='subscribe' to='{tenants.alice_jid}'/>")
        tenants.alice.wait(lambda e: e.get("type") == "subscribe", 10)


@pytest.mark.parametrize("kind", ["chat", "normal", "headline", "groupchat"])
@pytest.mark.parametrize("address", ["bare", "full", "upper", "wide", "offline", "nobody", "domain", "domain/resource"])
def test_messages_do_not_cross(tenants, kind, address):
    t = tenants
    to = {
        "bare": t.alice_jid,
        "full": t.alice.jid,
        "upper": f"ALICE@{t.home.upper()}",
        "wide": f"\uff41lice@{t.home}",
        "offline": f"bob@{t.home}",
        "nobody": f"no-such-user@{t.home}",
        "domain": t.home,
        "domain/resource": f"{t.home}/x",
    }[address]
    ident = send_message(t.mallory, to, "let me in", kind)
    assert condition(answer(t.mallory, ident)) == "forbidden"
    assert_absent(t.alice, from_away(t))


def test_nothing_is_kept_for_an_offline_user(server, tenants):
    ident = send_message(tenants.mallory, f"bob@{tenants.home}", "read this later")
    assert condition(answer(tenants.mallory, ident)) == "forbidden"
    with server.user(f"bob@{tenants.home}") as bob:
        go_online(bob)
        assert_absent(bob, from_away(tenants))


@pytest.mark.parametrize("kind", ["", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "unavailable", "error"])
@pytest.mark.parametrize("address", ["bare", "full", "domain"])
def test_presence_does_not_cross(tenants, kind, address):
    t = tenants
    to = {"bare": t.alice_jid, "full": t.alice.jid, "domain": t.home}[address]
    ident, attribute = new_id(), f" type='{kind}'" if kind else ""
    t.mallory.send(f"<presence xmlns='{CLIENT}' id='{ident}' to='{to}'{attribute}><status>psst</status></presence>")
    if kind in ("unavailable", "error"):
        assert_absent(t.mallory, lambda e: e.get("id") == ident)
    else:
        assert condition(answer(t.mallory, ident)) == "forbidden"
    assert_absent(t.alice, from_away(t))
    # Nor is anything left in the rosters, as a request or a contact.
    for client in (t.mallory, t.alice):
        items = ok(ask(client, "get", "<query xmlns='jabber:iq:roster'/>")).iterfind(".//{jabber:iq:roster}item")
        assert list(items) == []


@pytest.mark.parametrize("kind", ["get", "set"])
@pytest.mark.parametrize(
    "payload",
    [
        "<vCard xmlns='vcard-temp'/>",
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:vcard4'/></pubsub>",
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node='urn:xmpp:bookmarks:1' jid='mallory@x'/></pubsub>",
        "<query xmlns='jabber:iq:roster'/>",
        "<query xmlns='jabber:iq:last'/>",
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        "<query xmlns='urn:xmpp:mam:2'/>",
        "<ping xmlns='urn:xmpp:ping'/>",
    ],
)
def test_iqs_do_not_cross(tenants, kind, payload):
    t = tenants
    for to in (t.alice_jid, t.alice.jid, f"no-such-user@{t.home}", t.home):
        assert condition(ask(t.mallory, kind, payload, to)) == "forbidden"
    assert_absent(t.alice, from_away(t))


@pytest.mark.parametrize("stanza", ["<iq type='result' id='r1'", "<iq type='error' id='r1'", "<message type='error'"])
def test_answers_do_not_cross_and_are_not_answered(tenants, stanza):
    t = tenants
    close = stanza.split()[0].replace("<", "</") + ">"
    t.mallory.send(f"{stanza} xmlns='{CLIENT}' to='{t.alice.jid}'><x xmlns='urn:example:smuggled'/>{close}")
    assert_absent(t.mallory, lambda e: e.get("type") == "error")
    assert_absent(t.alice, mentions("smuggled"))


def test_a_forged_sender_does_not_help(tenants):
    t = tenants
    for forged in (f"bob@{t.home}", t.home, f"sippo@{ADMIN_DOMAIN}", t.room):
        ident = new_id()
        t.mallory.send(f"<message xmlns='{CLIENT}' id='{ident}' from='{forged}' to='{t.alice_jid}'><body>forged</body></message>")
        assert condition(answer(t.mallory, ident)) == "forbidden"
    assert_absent(t.alice, has_body("forged"))


def test_carbons_of_a_refused_message_stay_home(server, tenants):
    t = tenants
    with server.user(t.mallory_jid) as second:
        go_online(second)
        for client in (t.mallory, second, t.alice):
            ok(ask(client, "set", "<enable xmlns='urn:xmpp:carbons:2'/>"))
        ident = send_message(t.mallory, t.alice_jid, "copy that")
        assert condition(answer(t.mallory, ident)) == "forbidden"
        assert_absent(second, mentions("copy that"))
    assert_absent(t.alice, mentions("copy that"))


def test_pep_notifications_stay_home(tenants):
    t = tenants
    # What a contact who wants notifications announces: directed presence with capabilities (XEP-0163, section 4.3).
    t.mallory.send(
        f"<presence xmlns='{CLIENT}' to='{t.alice_jid}'><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' "
        "node='urn:example' ver='+notify'/></presence>"
    )
    item = "<item id='current'><geoloc xmlns='http://jabber.org/protocol/geoloc'><text>secret place</text></geoloc></item>"
    publish = f"<publish node='http://jabber.org/protocol/geoloc'>{item}</publish>"
    ok(ask(t.alice, "set", f"<pubsub xmlns='http://jabber.org/protocol/pubsub'>{publish}</pubsub>"))
    assert_absent(t.mallory, mentions("secret place"))


def test_a_contact_written_into_the_roster_by_the_admin_opens_nothing(tenants):
    t = tenants
    for user, contact in ((t.alice_jid, t.mallory_jid), (t.mallory_jid, t.alice_jid)):
        ok(ask(t.admin, "set", f"<query xmlns='jabber:iq:roster'><item jid='{contact}'/></query>", user))
    for client in (t.alice, t.mallory):
        go_online(client, 5)
    ident = send_message(t.mallory, t.alice_jid, "we are contacts now")
    assert condition(answer(t.mallory, ident)) == "forbidden"
    remove = f"<query xmlns='jabber:iq:roster'><item jid='{t.alice_jid}' subscription='remove'/></query>"
    ok(ask(t.admin, "set", remove, t.mallory_jid))
    assert_absent(t.alice, from_away(t))


# Rooms and services of another tenant -----------------------------------------------


@pytest.mark.parametrize("namespace", ["disco#items", "disco#info"])
def test_another_tenants_service_tells_nothing(tenants, namespace):
    t = tenants
    query = f"<query xmlns='http://jabber.org/protocol/{namespace}'/>"
    for to in (f"conference.{t.home}", f"CONFERENCE.{t.home.upper()}", f"conference.{t.home}/x", t.home):
        assert condition(ask(t.mallory, "get", query, to)) == "forbidden"


def probes(room: str, ident: str) -> list[str]:
    def iq(kind: str, payload: str, to: str = room) -> str:
        return request(kind, payload, to, ident)

    return [
        f"<presence xmlns='{CLIENT}' id='{ident}' to='{room}/mallory'><x xmlns='{MUC}'/></presence>",
        f"<presence xmlns='{CLIENT}' id='{ident}' to='{room}/mallory'/>",
        f"<presence xmlns='{CLIENT}' id='{ident}' to='{room}'/>",
        f"<presence xmlns='{CLIENT}' id='{ident}' type='probe' to='{room}/service'/>",
        f"<presence xmlns='{CLIENT}' id='{ident}' type='subscribe' to='{room}'/>",
        f"<message xmlns='{CLIENT}' id='{ident}' type='groupchat' to='{room}'><body>hi</body></message>",
        f"<message xmlns='{CLIENT}' id='{ident}' type='chat' to='{room}/alice'><body>hi</body></message>",
        f"<message xmlns='{CLIENT}' id='{ident}' to='{room}'><x xmlns='{MUC}#user'><invite to='bob@x.example'/></x></message>",
        f"<message xmlns='{CLIENT}' id='{ident}' to='{room}'><x xmlns='{MUC}#user'><decline to='bob@x.example'/></x></message>",
        iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>"),
        iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>"),
        iq("get", "<query xmlns='http://jabber.org/protocol/disco#info' node='x-roomuser-item'/>"),
        iq("set", "<query xmlns='urn:xmpp:mam:2'/>"),
        iq("get", "<query xmlns='urn:xmpp:mam:2'/>"),
        iq("get", f"<query xmlns='{MUC}#admin'><item affiliation='member'/></query>"),
        iq("set", f"<query xmlns='{MUC}#admin'><item affiliation='member' jid='mallory@x.example'/></query>"),
        iq("get", f"<query xmlns='{MUC}#owner'/>"),
        iq("set", f"<query xmlns='{MUC}#owner'><destroy/></query>"),
        iq("get", "<query xmlns='jabber:iq:register'/>"),
        iq("get", "<ping xmlns='urn:xmpp:ping'/>"),
        iq("get", "<ping xmlns='urn:xmpp:ping'/>", f"{room}/alice"),
        iq("get", "<vCard xmlns='vcard-temp'/>", f"{room}/alice"),
    ]


@pytest.mark.parametrize("index", range(len(probes("x", "x"))))
def test_an_outsider_cannot_tell_an_existing_room_from_a_missing_one(tenants, index):
    t = tenants
    answers = []
    for room in (t.room, f"no-such-room@conference.{t.home}", f"adhoc-none@conference.{t.home}"):
        ident = new_id()
        t.mallory.send(probes(room, ident)[index])
        answers.append(answer(t.mallory, ident))
    assert {condition(a) for a in answers} == {"forbidden"}
    assert len({error_shape(a) for a in answers}) == 1


def test_an_outsider_leaves_silently_whether_the_room_exists_or_not(tenants):
    for room in (tenants.room, f"no-such-room@conference.{tenants.home}"):
        tenants.mallory.send(f"<presence xmlns='{CLIENT}' type='unavailable' to='{room}/mallory'/>")
    assert_absent(tenants.mallory, lambda e: tenants.home in (e.get("from") or ""))


def test_an_unknown_domain_answers_like_another_tenant(tenants):
    t = tenants
    query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    known, unknown = ask(t.mallory, "get", query, t.alice_jid), ask(t.mallory, "get", query, "x@no-such-domain.example")
    assert error_shape(known) == error_shape(unknown)


# The service ------------------------------------------------------------------------


def test_the_service_reaches_everyone(tenants):
    t = tenants
    for client, jid in ((t.alice, t.alice_jid), (t.mallory, t.mallory_jid)):
        send_message(t.admin, jid, "from the service")
        client.wait(has_body("from the service"), 10)


def test_users_cannot_reach_the_service(tenants):
    t = tenants
    for to in (f"sippo@{ADMIN_DOMAIN}", t.admin.jid, ADMIN_DOMAIN, f"SIPPO@{ADMIN_DOMAIN}"):
        ident = send_message(t.alice, to, "dear service")
        assert condition(answer(t.alice, ident)) == "forbidden"
        assert condition(ask(t.alice, "get", "<ping xmlns='urn:xmpp:ping'/>", to)) == "forbidden"
        t.alice.send(f"<presence xmlns='{CLIENT}' to='{to}'/>")
    settle(t.alice)
    assert_absent(t.admin, lambda e: (e.get("from") or "").startswith(t.alice_jid))


# Login ------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["another tenant", "the service"])
def test_a_token_of_one_tenant_opens_no_session_elsewhere_by_way_of_the_to_attribute(server, tenants, target):
    """Prosody passes elements with a `to` to the host named there, also an <auth/> before login."""
    t = tenants
    name, host = ("alice", t.home) if target == "another tenant" else ("sippo", ADMIN_DOMAIN)
    plain = base64.b64encode(f"\0{name}\0{server.login_token(f'{name}@{t.away}')}".encode()).decode()
    with server.client(f"{name}@{host}", "unused").open() as client:
        # An abort makes Prosody forget the checks of the stream's own host; the next element's host puts in its own.
        client.send(f"<abort xmlns='{SASL}'/>")
        client.wait(lambda e: e.tag == f"{{{SASL}}}failure", 10)
        client.send(f"<auth xmlns='{SASL}' mechanism='PLAIN' to='{t.away}'>{plain}</auth>")
        answered = client.wait(lambda e: e.tag.startswith(f"{{{SASL}}}"), 10)
        assert answered.find(f"{{{SASL}}}not-authorized") is not None


def test_a_room_of_ones_own_tenant_is_reached_in_any_spelling(tenants):
    t = tenants
    assert join(t.alice, t.room, "alice").get("type") is None
    ident = send_message(t.alice, t.room.upper(), "LOUD", "groupchat")
    t.alice.wait(lambda e: e.get("id") == ident and has_body("LOUD")(e), 10)


def test_the_service_is_told_at_once_that_a_domain_is_not_served(tenants):
    """Prosody's own answer would come in the name of that domain, from where nothing reaches the service."""
    for to in ("alice@nowhere.test", "nowhere.test", "conference.nowhere.test"):
        assert condition(ask(tenants.admin, "get", "<query xmlns='jabber:iq:roster'/>", to)) == "remote-server-not-found"
