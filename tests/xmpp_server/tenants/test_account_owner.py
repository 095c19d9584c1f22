"""mod_sippo_account_owner: what an account keeps for its owner is asked of one's own account only."""

from __future__ import annotations

import pytest

from support.stanzas import ask, condition, ok

PRIVATE = "<query xmlns='jabber:iq:private'>{}</query>"
BOOKMARKS = "<storage xmlns='storage:bookmarks'>{}</storage>"
NOTE = "<note xmlns='urn:example:note'>{}</note>"
PUBSUB = "http://jabber.org/protocol/pubsub"


@pytest.fixture
def two(server, domain):
    with server.user(f"alice@{domain}") as alice, server.user(f"bob@{domain}") as bob:
        yield alice, bob


@pytest.mark.parametrize("element", [BOOKMARKS, NOTE])
def test_private_storage_of_another_is_refused(two, element):
    alice, bob = two
    conference = f"<conference jid='adhoc-mine@conference.{alice.domain}' name='mine'/>"
    ok(ask(alice, "set", PRIVATE.format(element.format(conference if element is BOOKMARKS else "mine"))))
    for to in (f"bob@{alice.domain}", alice.domain, f"nobody@{alice.domain}"):
        for kind in ("get", "set"):
            refused = ask(alice, kind, PRIVATE.format(element.format("")), to)
            assert condition(refused) in ("forbidden", "service-unavailable"), (to, kind)
    for to in (None, alice.bare_jid):
        reply = ok(ask(alice, "get", PRIVATE.format(element.format("")), to))
        assert "mine" in "".join([*reply.itertext(), *(str(e.attrib) for e in reply.iter())])
    assert not any("mine" in str(e.attrib) + (e.text or "") for e in ok(ask(bob, "get", PRIVATE.format(element.format("")))).iter())


@pytest.mark.parametrize("kind,action", [
    ("get", "<items node='storage:bookmarks'/>"),
    ("set", "<publish node='storage:bookmarks'><item id='current'><storage xmlns='storage:bookmarks'>"
            "<conference jid='adhoc-trap@conference.{domain}' name='trap'/></storage></item></publish>"),
])
def test_the_old_bookmarks_of_another_are_refused(two, kind, action):
    alice, bob = two
    conference = f"<conference jid='adhoc-mine@conference.{alice.domain}' name='mine'/>"
    ok(ask(alice, "set", PRIVATE.format(BOOKMARKS.format(conference))))
    payload = f"<pubsub xmlns='{PUBSUB}'>{action.format(domain=alice.domain)}</pubsub>"
    assert condition(ask(alice, kind, payload, f"bob@{alice.domain}")) == "forbidden"
    kept = ok(ask(alice, "get", f"<pubsub xmlns='{PUBSUB}'><items node='storage:bookmarks'/></pubsub>"))
    assert [e.get("name") for e in kept.iter("{storage:bookmarks}conference")] == ["mine"]
