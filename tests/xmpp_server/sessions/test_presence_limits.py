"""mod_sippo_presence_limits: what a presence sets going, and what is kept of it, has an end."""

from __future__ import annotations

import pytest

from support.prosody import Server
from support.stanzas import ROSTER, answer, ask, assert_absent, condition, go_online, new_id, ok, settle
from support.xmpp import CLIENT

LIMIT = 10
DISCO = "http://jabber.org/protocol/disco#info"
PUBSUB = "http://jabber.org/protocol/pubsub"
NODE = "urn:example:mood"
TOLD = f"{{{PUBSUB}#event}}event"


@pytest.fixture(scope="module")
def strict(server_folder):
    server = Server(server_folder(), extra={"DIRECTED_PRESENCE_LIMIT": str(LIMIT)})
    server.start()
    yield server
    server.stop()


def send_presence(client, to: str, kind: str | None = None) -> str:
    ident = new_id()
    client.send(f"<presence xmlns='{CLIENT}' id='{ident}' to='{to}'{f' type={kind!r}' if kind else ''}/>")
    return ident


def test_a_session_sends_presence_to_so_many(strict, unique_domain):
    home = strict.create_host(unique_domain())
    with strict.user(f"alice@{home}") as alice, strict.user(f"bob@{home}", "phone") as bob:
        go_online(alice)
        for n in range(LIMIT - 1):
            send_presence(alice, f"user{n}@{home}/x")
        send_presence(alice, f"bob@{home}/phone")
        too_many = send_presence(alice, f"carol@{home}/x")
        assert condition(answer(alice, too_many)) == "resource-constraint"
        again = send_presence(alice, f"bob@{home}/phone")  # one of those
        settle(alice)
        assert not alice.received(lambda e: e.get("id") == again)
        send_presence(alice, f"user0@{home}/x", "unavailable")  # leaves a place
        in_its_place = send_presence(alice, f"carol@{home}/x")
        settle(alice)
        assert not alice.received(lambda e: e.get("id") == in_its_place)
        alice.abort()
        bob.wait(lambda e: e.get("from") == alice.jid and e.get("type") == "unavailable", 10)


def asked(server, by: str, whom: str) -> int:
    """How often the server has handed on a request for a subscription."""
    return server.log_text().count(f"inbound presence subscribe from {by} for {whom}")


def test_a_subscription_that_is_not_answered_is_asked_for_once(server, domain):
    a, b = f"alice@{domain}", f"bob@{domain}"
    for _ in range(2):
        with server.user(a) as alice:
            ok(ask(alice, "get", f"<query xmlns='{ROSTER}'/>"))
            go_online(alice)
            if not asked(server, a, b):
                alice.send(f"<presence xmlns='{CLIENT}' type='subscribe' to='{b}'/>")
            settle(alice)
    assert asked(server, a, b) == 1
    with server.user(b) as bob, server.user(a) as alice:
        item = ok(ask(alice, "get", f"<query xmlns='{ROSTER}'/>")).find(f".//{{{ROSTER}}}item")
        assert (item.get("jid"), item.get("ask")) == (b, "subscribe")
        go_online(alice)
        go_online(bob)
        bob.wait(lambda e: e.get("type") == "subscribe" and e.get("from") == a, 10)
        bob.send(f"<presence xmlns='{CLIENT}' type='subscribed' to='{a}'/>")
        alice.wait(lambda e: e.get("type") == "subscribed" and e.get("from") == b, 10)
        alice.wait(lambda e: e.get("from") == bob.jid and e.get("type") is None, 10)


@pytest.mark.parametrize(("others", "told"), [(49, True), (50, False)])
def test_a_client_wants_to_be_told_of_so_many_nodes(server, domain, others, told):
    nodes = [NODE, *(f"urn:example:{n}" for n in range(others))]
    features = "".join(f"<feature var='{node}+notify'/>" for node in nodes)
    with server.user(f"alice@{domain}") as alice:
        go_online(alice)
        alice.send(f"<iq xmlns='{CLIENT}' type='result' id='disco'><query xmlns='{DISCO}'>{features}</query></iq>")
        item = "<item id='current'><mood xmlns='urn:example:mood'/></item>"
        ok(ask(alice, "set", f"<pubsub xmlns='{PUBSUB}'><publish node='{NODE}'>{item}</publish></pubsub>"))
        if told:
            alice.wait(lambda e: e.find(TOLD) is not None, 10)
        else:
            assert_absent(alice, lambda e: e.find(TOLD) is not None)
