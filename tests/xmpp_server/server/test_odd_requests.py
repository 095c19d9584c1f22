"""Requests that stock Prosody throws at, found by the stanza fuzzer (scripts/fuzz stanzas): each has an answer, and the log is
silent. The fixture `complaints` fails each of these tests if the server logs an error."""

from __future__ import annotations

import uuid

import pytest

from support.stanzas import MUC, MUC_ADMIN, answer, archived_bodies, ask, condition, configure, join, new_id, ok, settle, statuses
from support.xmpp import CLIENT, StreamError

PUBSUB, BOOKMARKS, OLD_BOOKMARKS, MAM = "http://jabber.org/protocol/pubsub", "urn:xmpp:bookmarks:1", "storage:bookmarks", "urn:xmpp:mam:2"


@pytest.fixture
def alice(server, domain):
    with server.user(f"alice@{domain}", "phone") as client:
        yield client


@pytest.fixture
def room(domain, alice):
    name = f"adhoc-{uuid.uuid4().hex[:8]}@conference.{domain}"
    join(alice, name, "alice")
    ok(ask(alice, "set", f"<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query>", name))
    return name


def form(kind: str, **fields: str) -> str:
    """A form of this FORM_TYPE; an empty kind has no value."""
    value = f"<value>{kind}</value>" if kind else ""
    rest = "".join(f"<field var='{name}'><value>{text}</value></field>" for name, text in fields.items())
    return f"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>{value}</field>{rest}</x>"


# Rooms


def test_a_list_of_nobody_is_refused(alice, room):
    assert condition(ask(alice, "get", f"<query xmlns='{MUC_ADMIN}'/>", room)) == "bad-request"


@pytest.mark.parametrize("fields", [
    form(f"{MUC}#register"), form(""), form(f"{MUC}#register", **{"muc#register_roomnick": "alice"}).replace(
        "<field var='muc#register_roomnick'>", "<field var='muc#register_roomnick'/><field var='muc#register_roomnick'>"),
    form(f"{MUC}#register", **{"muc#register_roomnick": ""}),
], ids=["none", "no type", "a second one", "an empty one"])
def test_a_registration_without_a_nickname_is_refused(alice, room, fields):
    assert condition(ask(alice, "set", f"<query xmlns='jabber:iq:register'>{fields}</query>", room)) == "bad-request"


def test_a_configuration_that_shows_addresses_to_nobody_known_is_refused(alice, room):
    assert condition(configure(alice, room, {"muc#roomconfig_whois": "forged"})) == "bad-request"
    ok(configure(alice, room, {"muc#roomconfig_whois": "anyone"}))


@pytest.mark.parametrize("name", ["invite", "decline"])
def test_an_invitation_of_another_namespace_is_refused(alice, room, name):
    ident = new_id()
    alice.send(f"<message xmlns='{CLIENT}' id='{ident}' to='{room}'><x xmlns='{MUC}#user'><{name} xmlns='urn:x' to='{alice.bare_jid}'/></x></message>")
    assert condition(answer(alice, ident)) == "bad-request"


def test_a_history_since_before_all_dates_is_sent(server, domain, room):
    with server.user(f"bob@{domain}") as bob:
        bob.send(f"<presence xmlns='{CLIENT}' to='{room}/bob'><x xmlns='{MUC}'><history since='1969-12-31T23:59:59Z'/></x></presence>")
        assert bob.wait(lambda e: "110" in statuses(e)).get("type") is None


def test_an_error_to_nobody_in_the_room_is_dropped(alice, room):
    alice.send(f"<message xmlns='{CLIENT}' type='error' to='{room}/nobody'><error type='cancel'/></message>")
    settle(alice)


# The own account


def test_an_error_as_presence_is_dropped(alice):
    alice.send(f"<presence xmlns='{CLIENT}' type='error'><error type='cancel'/></presence>")
    settle(alice)


@pytest.mark.parametrize("kind", ["subscribe", "subscribed"])
def test_a_subscription_to_nobody_is_answered(alice, kind):
    alice.send(f"<presence xmlns='{CLIENT}' type='{kind}'/>")
    alice.send(f"<presence xmlns='{CLIENT}' type='{kind}' to='{alice.bare_jid}'/>")
    settle(alice)


@pytest.mark.parametrize("field", ["start", "end"])
def test_an_archive_before_all_dates_is_refused(alice, field):
    query = f"<query xmlns='{MAM}'>{form(MAM, **{field: '1969-12-31T23:59:59Z'})}</query>"
    assert condition(ask(alice, "set", query)) == "bad-request"


def test_an_archive_by_a_form_of_no_type_is_refused(alice, room):
    for to in (None, room):
        assert condition(ask(alice, "set", f"<query xmlns='{MAM}'>{form('')}</query>", to)) == "bad-request"
    assert archived_bodies(alice, alice.bare_jid) == []


def test_publish_options_without_a_form_are_refused(alice):
    request = f"<pubsub xmlns='{PUBSUB}'><publish node='urn:x'><item/></publish><publish-options/></pubsub>"
    assert condition(ask(alice, "set", request)) == "bad-request"


def test_a_vcard_with_a_jid_that_is_no_text_is_refused(alice):
    vcard = "<vCard xmlns='vcard-temp'><JABBERID>a@b<x/></JABBERID></vCard>"
    assert condition(ask(alice, "set", vcard)) == "bad-request"


def test_bookmarks_are_kept_and_ones_own(alice):
    """Their node could be set up so that mod_bookmarks failed from then on."""
    item = f"<item id='c@d.example'><conference xmlns='{BOOKMARKS}'/></item>"
    options = form(f"{PUBSUB}#node_config", **{"pubsub#persist_items": "false"})
    for request in (
        f"<pubsub xmlns='{PUBSUB}'><publish node='{BOOKMARKS}'>{item}</publish><publish-options>{options}</publish-options></pubsub>",
        f"<pubsub xmlns='{PUBSUB}'><create node='{BOOKMARKS}'/><configure>{options}</configure></pubsub>",
        f"<pubsub xmlns='{PUBSUB}#owner'><configure node='{BOOKMARKS}'>{options}</configure></pubsub>",
        f"<pubsub xmlns='{PUBSUB}#owner'><affiliations node='{BOOKMARKS}'><affiliation jid='{alice.bare_jid}' affiliation='none'/>"
        "</affiliations></pubsub>",
    ):
        ok(ask(alice, "set", f"<query xmlns='jabber:iq:private'><storage xmlns='{OLD_BOOKMARKS}'/></query>"))
        assert condition(ask(alice, "set", request)) == "bad-request"
    ok(ask(alice, "get", f"<query xmlns='jabber:iq:private'><storage xmlns='{OLD_BOOKMARKS}'/></query>"))


def test_an_affiliation_of_nobody_is_refused(alice):
    ok(ask(alice, "set", f"<pubsub xmlns='{PUBSUB}'><publish node='urn:x'><item id='1'><a xmlns='urn:x'/></item></publish></pubsub>"))
    for jid in ("jid='@b'", ""):
        request = f"<affiliations node='urn:x'><affiliation {jid} affiliation='member'/></affiliations>"
        assert condition(ask(alice, "set", f"<pubsub xmlns='{PUBSUB}#owner'>{request}</pubsub>")) == "bad-request"


@pytest.mark.parametrize("request_", [
    f"<query xmlns='jabber:iq:private'><storage xmlns='{OLD_BOOKMARKS}'/></query>",
    f"<pubsub xmlns='{PUBSUB}'><publish node='{OLD_BOOKMARKS}'><item id='current'><storage xmlns='{OLD_BOOKMARKS}'/></item></publish></pubsub>",
], ids=["private", "pubsub"])
def test_no_bookmarks_are_set_where_there_were_none(alice, request_):
    ok(ask(alice, "set", request_))


def test_old_bookmarks_that_are_none_keep_nobody_out(server, domain, alice):
    """They were taken, and every later login of the user ended in an error."""
    publish = f"<pubsub xmlns='{PUBSUB}'><publish node='{OLD_BOOKMARKS}'><item id='current'><a xmlns='urn:x'/></item></publish></pubsub>"
    configure = (f"<pubsub xmlns='{PUBSUB}#owner'><configure node='{OLD_BOOKMARKS}'>"
                 + form(f"{PUBSUB}#node_config", **{"pubsub#persist_items": "true"}) + "</configure></pubsub>")
    ok(ask(alice, "set", configure))
    assert condition(ask(alice, "set", publish)) == "bad-request"
    with server.user(f"alice@{domain}", "laptop") as again:
        settle(again)


# Streams


def test_what_comes_behind_half_an_element_ends_the_stream(alice):
    """All of it was lost inside."""
    alice.send(f"<message xmlns='{CLIENT}'><body>hello")
    alice.send(f"<iq xmlns='{CLIENT}' type='get' id='lost'><ping xmlns='urn:xmpp:ping'/></iq>")
    end = alice.wait_closed()
    assert isinstance(end, StreamError) and end.condition == "not-well-formed"
