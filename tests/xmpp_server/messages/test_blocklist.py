"""mod_sippo_blocklist: who is blocked learns nothing about the blocker's devices (XEP-0191)."""

from __future__ import annotations

import uuid

import pytest

from support.stanzas import CLIENT, ask, assert_absent, create_room, affiliate, error_shape, go_online, has_body, join, new_id, ok, settle
from support.xmpp import error_condition

STANZAS = {
    "chat": "<message xmlns='{c}' type='chat' id='{id}' to='{to}'><body>there?</body></message>",
    "normal": "<message xmlns='{c}' id='{id}' to='{to}'><body>there?</body></message>",
    "no body": "<message xmlns='{c}' type='chat' id='{id}' to='{to}'><x xmlns='urn:example'/></message>",
    "headline": "<message xmlns='{c}' type='headline' id='{id}' to='{to}'><body>there?</body></message>",
    "groupchat": "<message xmlns='{c}' type='groupchat' id='{id}' to='{to}'><body>there?</body></message>",
    "error": "<message xmlns='{c}' type='error' id='{id}' to='{to}'><body>there?</body></message>",
    "no known type": "<message xmlns='{c}' type='odd' id='{id}' to='{to}'><body>there?</body></message>",
    "get": "<iq xmlns='{c}' type='get' id='{id}' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>",
    "set": "<iq xmlns='{c}' type='set' id='{id}' to='{to}'><x xmlns='urn:example'/></iq>",
    "result": "<iq xmlns='{c}' type='result' id='{id}' to='{to}'/>",
    "presence": "<presence xmlns='{c}' id='{id}' to='{to}'/>",
    "probe": "<presence xmlns='{c}' type='probe' id='{id}' to='{to}'/>",
    "subscribe": "<presence xmlns='{c}' type='subscribe' id='{id}' to='{to}'/>",
}


def block(client, jid: str) -> None:
    ok(ask(client, "set", f"<block xmlns='urn:xmpp:blocking'><item jid='{jid}'/></block>"))


def answers(client, stanza: str, to: str) -> list[str]:
    """What comes back."""
    ident = new_id()
    client.send(stanza.format(c=CLIENT, id=ident, to=to))
    settle(client)
    return [error_shape(e) for e in client.received(lambda e: e.get("id") == ident)]


@pytest.mark.parametrize("kind", STANZAS)
def test_the_answer_is_the_same_whether_the_device_is_there_or_not(server, domain, kind):
    jid = f"alice@{domain}"
    with server.user(f"mallory@{domain}") as mallory:
        with server.user(jid, "phone") as alice:
            go_online(alice)
            block(alice, mallory.bare_jid)
            there = answers(mallory, STANZAS[kind], f"{jid}/phone")
            account = answers(mallory, STANZAS[kind], jid)
            settle(alice)
            assert not alice.received(lambda e: (e.get("from") or "").startswith(mallory.bare_jid))
        gone = answers(mallory, STANZAS[kind], f"{jid}/phone")
        assert there == gone
        assert account == answers(mallory, STANZAS[kind], jid)


def test_a_blocked_message_to_a_device_is_answered_as_one_to_the_account(server, domain):
    with server.user(f"alice@{domain}") as alice, server.user(f"mallory@{domain}") as mallory:
        go_online(alice)
        block(alice, mallory.bare_jid)
        [at_device] = answers(mallory, STANZAS["chat"], alice.jid)
        [at_account] = answers(mallory, STANZAS["chat"], alice.bare_jid)
        assert at_device == at_account and "service-unavailable" in at_device


def test_others_are_answered_as_ever(server, domain):
    with server.user(f"alice@{domain}") as alice, server.user(f"bob@{domain}") as bob, server.user(f"m@{domain}") as m:
        go_online(alice)
        block(alice, m.bare_jid)
        assert answers(bob, STANZAS["chat"], alice.jid) == []
        alice.wait(has_body("there?"))


def test_whom_a_blocked_occupant_writes_to_stays_in_the_room(server, domain):
    room = f"group-{uuid.uuid4().hex[:8]}@conference.{domain}"
    alice, mallory = server.user(f"alice@{domain}"), server.user(f"mallory@{domain}")
    with server.admin() as admin, alice, mallory:
        create_room(admin, room)
        ok(affiliate(admin, room, (alice.bare_jid, "member"), (mallory.bare_jid, "member")))
        join(alice, room, "alice")
        join(mallory, room, "mallory")
        block(alice, f"{room}/mallory")
        mallory.message(f"{room}/alice", "psst")
        settle(mallory)
        assert_absent(alice, lambda e: e.get("type") == "unavailable" or has_body("psst")(e))
        assert not [e for e in mallory.received() if error_condition(e)]
