"""mod_sippo_errors: what a module throws is answered, and what nobody takes is not written into the log."""

from __future__ import annotations

import secrets
import uuid

import pytest

from support.prosody import Server
from support.stanzas import MUC, answer, ask, condition, join, new_id, ok, settle
from support.xmpp import CLIENT, SASL, E, StreamError

PUBSUB = "http://jabber.org/protocol/pubsub"
BOOKMARKS = "urn:xmpp:bookmarks:1"
SM = "urn:xmpp:sm:3"


@pytest.fixture
def alice(server, domain):
    with server.user(f"alice@{domain}") as client:
        yield client


@pytest.fixture
def room(server, domain, alice):
    """A room with Alice in it."""
    name = f"adhoc-{uuid.uuid4().hex[:8]}@conference.{domain}"
    join(alice, name, "alice")
    ok(ask(alice, "set", f"<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query>", name))
    return name


# What throws --------------------------------------------------------------------------


def test_a_request_for_voice_from_outside_is_answered(server, domain, room):
    form = ("<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>"
            f"{MUC}#request</value></field><field var='muc#role'><value>participant</value></field></x>")
    with server.user(f"bob@{domain}") as bob:
        ident = new_id()
        bob.send(f"<message xmlns='{CLIENT}' to='{room}' id='{ident}'>{form}</message>")
        assert condition(answer(bob, ident))
        settle(bob)


def test_a_request_for_the_bookmarks_of_an_occupant_is_answered(server, domain, room, alice):
    with server.user(f"bob@{domain}") as bob:
        assert join(bob, room, "bob").get("type") is None
        payload = f"<pubsub xmlns='{PUBSUB}'><items node='storage:bookmarks'/></pubsub>"
        assert condition(ask(bob, "get", payload, f"{room}/alice"))
        settle(bob)


def test_a_bookmark_that_is_none_spoils_no_private_storage(alice):
    item = "<item id='c@d.example'><no-conference xmlns='urn:example:none'/></item>"
    publish = f"<pubsub xmlns='{PUBSUB}'><publish node='{BOOKMARKS}'>{item}</publish></pubsub>"
    storage = "<storage xmlns='storage:bookmarks'><conference jid='c@d.example' name='x'/></storage>"
    assert condition(ask(alice, "set", publish)) == "bad-request"
    ok(ask(alice, "set", f"<query xmlns='jabber:iq:private'>{storage}</query>"))
    ok(ask(alice, "set", publish.replace("<no-conference xmlns='urn:example:none'/>",
                                         f"<conference xmlns='{BOOKMARKS}' name='y'/>")))
    ok(ask(alice, "set", f"<query xmlns='jabber:iq:private'>{storage}</query>"))
    settle(alice)


@pytest.mark.provokes("a module failed")
def test_what_was_stored_before_is_answered_with_an_error(server, domain, alice):
    """A bookmark that is none, put into the store before it was refused."""
    good = f"<item id='c@d.example'><conference xmlns='{BOOKMARKS}'/></item>"
    ok(ask(alice, "set", f"<pubsub xmlns='{PUBSUB}'><publish node='{BOOKMARKS}'>{good}</publish></pubsub>"))
    with server.database() as db:
        changed = db.execute("UPDATE prosodyarchive SET value=REPLACE(value, 'conference', 'none') "
                             "WHERE host=? AND store LIKE 'pep%'", (domain,)).rowcount
    assert changed
    storage = "<storage xmlns='storage:bookmarks'><conference jid='c@d.example' name='x'/></storage>"
    assert condition(ask(alice, "set", f"<query xmlns='jabber:iq:private'>{storage}</query>")) == "internal-server-error"
    settle(alice)


def test_a_photo_that_is_no_base64_is_answered(alice):
    photo = "<PHOTO><TYPE>image/png</TYPE><BINVAL>no base64: %%%</BINVAL></PHOTO>"
    assert condition(ask(alice, "set", f"<vCard xmlns='vcard-temp'><FN>A</FN>{photo}</vCard>"))
    settle(alice)


@pytest.fixture
def damaged(server, domain):
    """Dave, at whose messages a module throws: his push registrations are no table."""
    with server.database() as db:
        db.execute('INSERT INTO prosody (host, "user", store, key, type, value) '
                   "VALUES (?, 'dave', 'cloud_notify', 'damaged', 'number', '1')", (domain,))
    return f"dave@{domain}"


@pytest.mark.provokes("a module failed")
@pytest.mark.parametrize("to", ["{jid}", "{jid}/phone"])
def test_a_message_at_which_a_module_throws_is_answered(alice, damaged, to):
    ident = alice.message(to.format(jid=damaged), "hello")
    assert condition(answer(alice, ident)) == "internal-server-error"
    settle(alice)  # the session goes on


@pytest.mark.provokes("a module failed")
def test_what_throws_is_logged(server, alice, damaged):
    answer(alice, alice.message(damaged, "hello"))
    assert f"Traceback[c2s]: a module failed at message/bare from {alice.jid} to {damaged}" in server.log_text()


# What nobody takes --------------------------------------------------------------------------


UNKNOWN = {
    "SASL 2": "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>{secret}</initial-response></authenticate>",
    "an attribute": "<authenticate xmlns='urn:xmpp:sasl:2' token='{secret}'/>",
    "no namespace of its own": "<auth xmlns='jabber:client'>{secret}</auth>",
    "any namespace": "<x xmlns='urn:example:none'>{secret}</x>",
    "a name that a module knows": f"<a xmlns='{SM}' h='1'>{{secret}}</a>",
    "a name of SASL": f"<response xmlns='{SASL}'>{{secret}}</response>",
}


@pytest.mark.parametrize("logged_in", [False, True])
@pytest.mark.parametrize("kind", UNKNOWN)
def test_an_unknown_element_is_logged_by_name_only(server, domain, kind, logged_in):
    jid, secret = f"alice@{domain}", secrets.token_hex(16)
    client = server.user(jid) if logged_in else server.client(jid, "x").open()
    client.send(UNKNOWN[kind].format(secret=secret))
    if kind == "a name of SASL":
        client.wait(lambda e: e.tag == f"{{{SASL}}}failure")
    else:
        end = client.wait_closed()
        assert isinstance(end, StreamError) and end.condition == "unsupported-stanza-type"
    assert secret not in server.log_text()


def test_its_name_is_logged(server, domain):
    client = server.client(f"alice@{domain}", "x").open()
    client.send(E("nobody-takes-this", "urn:example:none", "secret"))
    client.wait_closed()
    assert "warn\tUnhandled stream element from 127.0.0.1: nobody-takes-this; xmlns=urn:example:none" in server.log_text()


# Lines of the log -----------------------------------------------------------------------------

FORGED = "2026-01-01T00:00:00 forged info a line of somebodys making"
BEGINS_A_LINE = f"&#10;{FORGED}"


@pytest.fixture(scope="module")
def terse(server_folder):
    """A server that logs what servers log by default; at debug level Prosody writes down what it receives."""
    one = Server(server_folder(), log_level="info")
    one.start()
    yield one
    one.stop()


@pytest.mark.parametrize("stanza", [
    "<message id='forging' to='bob{forged}@{home}'><body>x</body></message>",
    "<presence id='forging' to='adhoc-x@conference.{home}/alice{forged}'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
    "<iq id='forging' type='get' to='{home}{forged}'><ping xmlns='urn:xmpp:ping'/></iq>",
    "<iq id='forging' type='get' from='{jid}{forged}'><ping xmlns='urn:xmpp:ping'/></iq>",
])
def test_an_address_with_a_line_break_is_refused_and_not_logged(terse, unique_domain, stanza):
    domain = terse.create_host(unique_domain())
    with terse.user(f"alice@{domain}") as alice:
        alice.send(stanza.format(home=domain, jid=alice.jid, forged=BEGINS_A_LINE).replace(" ", f" xmlns='{CLIENT}' ", 1))
        assert condition(answer(alice, "forging")) == "jid-malformed"
        settle(alice)
    assert not [line for line in terse.log_text().splitlines() if line.strip().startswith(FORGED)]


@pytest.mark.parametrize("logged_in", [False, True])
def test_a_namespace_with_a_line_break_makes_no_line_of_its_own(terse, unique_domain, logged_in):
    domain = terse.create_host(unique_domain())
    client = terse.user(f"alice@{domain}") if logged_in else terse.client(f"alice@{domain}", "x").open()
    client.send(f"<x xmlns='urn:example{BEGINS_A_LINE}'/>")
    client.wait_closed()
    assert not [line for line in terse.log_text().splitlines() if line.strip().startswith(FORGED)]
