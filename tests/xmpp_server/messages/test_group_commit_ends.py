"""mod_sippo_group_commit: what waits to be archived when something ends: the server, a tenant, a connection."""

from __future__ import annotations

import signal
import uuid
from collections import Counter

import pytest

from support.frames import frame
from support.stanzas import CLIENT, bounced, deliver, go_online, new_id, settle
from support.wait import until
from support.xmpp import E

SM = "urn:xmpp:sm:3"
MANY = [f"text {n}" for n in range(150)]


@pytest.fixture
def tenant(server):
    return server.create_host(f"g{uuid.uuid4().hex[:10]}.example")


def message(to: str, text: str, kind: str = "chat") -> str:
    return f"<message xmlns='{CLIENT}' id='{new_id()}' type='{kind}' to='{to}'><body>{text}</body></message>"


def together(client, *stanzas: str) -> None:
    """Sends them at once: the server reads them before it has answered any."""
    client.send_bytes(b"".join(frame(stanza) for stanza in stanzas))


def texts(client) -> list[str]:
    """Of all messages so far, in order."""
    found = client.received(lambda e: e.tag == f"{{{CLIENT}}}message" and e.get("type") != "error")
    return [text for e in found if (text := e.findtext(f"{{{CLIENT}}}body"))]


def archive(server, domain: str, user: str) -> list[str]:
    """The texts in a user's archive, in its order."""
    with server.database() as db:
        rows = db.execute("""SELECT value FROM prosodyarchive WHERE host=? AND "user"=? AND store='archive' ORDER BY sort_id""",
                          (domain, user)).fetchall()
    return [value.partition("<body>")[2].partition("</body>")[0] for (value,) in rows]


def resumable(client) -> str:
    client.send(E("enable", SM, resume="true"))
    return client.wait(lambda e: e.tag == f"{{{SM}}}enabled").get("id")


def resumed(server, jid: str, previd: str):
    """A new connection that goes on with a session of which nothing was acknowledged."""
    client = server.client(jid, server.login_token(jid))
    client.open().authenticate()
    client.send(E("resume", SM, previd=previd, h="0"))
    client.wait(lambda e: e.tag == f"{{{SM}}}resumed")
    return client


@pytest.mark.parametrize("moment", [1, 40])
def test_a_stop_leaves_what_was_read_in_both_archives_and_nothing_twice(new_server, moment):
    server = new_server().start()
    domain = server.create_host("stops.example")
    with server.user(f"alice@{domain}", "pc") as alice, server.user(f"bob@{domain}", "pc") as bob:
        for client in (alice, bob):
            go_online(client)
        together(alice, *(message(bob.jid, text) for text in MANY))
        until(lambda: len(texts(bob)) >= moment, "some of them", 10)
        server.signal(signal.SIGTERM)
        until(lambda: not server.running, "its end", 15)
        bob.wait_closed(10)
        read = texts(bob)
    server.start()
    assert read == MANY[:len(read)]
    for user in ("alice", "bob"):
        there = archive(server, domain, user)
        assert there == MANY[:len(there)] and len(there) >= len(read)
    with server.user(f"bob@{domain}") as bob:  # what was archived and not read is not there twice either
        go_online(bob)
        settle(bob)
        assert not set(texts(bob)) & set(read)


def test_a_tenant_is_deleted_while_messages_wait_and_another_loses_none(server, tenant):
    other = server.create_host(f"o{uuid.uuid4().hex[:10]}.example")
    pairs = {domain: [server.user(f"{name}@{domain}", "pc") for name in ("alice", "bob")] for domain in (tenant, other)}
    for client in (client for pair in pairs.values() for client in pair):
        go_online(client)
    for alice, bob in pairs.values():
        together(alice, *(message(bob.jid, text) for text in MANY))
    server.delete_host(tenant)
    until(lambda: MANY[-1] in texts(pairs[other][1]), "the last of them", 20)
    assert texts(pairs[other][1]) == MANY == archive(server, other, "alice") == archive(server, other, "bob")
    assert archive(server, tenant, "alice") == [] == archive(server, tenant, "bob")


def test_messages_to_somebody_whose_connection_is_lost_come_once_and_in_order_when_they_resume(server, tenant):
    with server.user(f"alice@{tenant}", "pc") as alice, server.user(f"bob@{tenant}", "pc") as bob:
        for client in (alice, bob):
            go_online(client)
        previd = resumable(bob)
        together(alice, *(message(bob.jid, text) for text in MANY[:20]))
        until(lambda: texts(bob), "the first of them", 10)
        bob.abort()
        together(alice, *(message(bob.jid if n % 2 else bob.bare_jid, text) for n, text in enumerate(MANY[20:40])))
        settle(alice)
        with resumed(server, f"bob@{tenant}", previd) as back:
            together(alice, *(message(bob.jid, text) for text in MANY[40:60]))
            until(lambda: MANY[59] in texts(back), "the last of them", 10)
            assert texts(back) == MANY[:60] == archive(server, tenant, "bob") == archive(server, tenant, "alice")


def test_what_a_resumed_session_sends_keeps_its_order(server, tenant):
    with server.user(f"alice@{tenant}", "pc") as alice, server.user(f"bob@{tenant}", "pc") as bob:
        for client in (alice, bob):
            go_online(client)
        previd = resumable(alice)
        alice.abort()
        with resumed(server, f"alice@{tenant}", previd) as back:
            together(back, message(bob.jid, "one"), message(bob.jid, "two", "headline"), message(bob.jid, "three"),
                     message(bob.bare_jid, "four", "headline"), message(bob.jid, "five"))
            until(lambda: "five" in texts(bob), "the last of them", 10)
            assert texts(bob) == ["one", "two", "three", "four", "five"]


def test_batches_of_the_service_among_messages_of_users(server, tenant):
    with server.user(f"alice@{tenant}", "pc") as alice, server.user(f"bob@{tenant}", "pc") as bob, server.admin() as admin:
        for client in (alice, bob):
            go_online(client)
        for start in range(0, 100, 20):
            together(alice, *(message(bob.jid, text) for text in MANY[start:start + 20]))
            assert bounced(deliver(admin, tenant, f"carol{start}@{tenant}", f"bob@{tenant}")) == {}
        until(lambda: MANY[99] in texts(bob), "the last of them", 10)
        settle(bob)
        assert [text for text in texts(bob) if text.startswith("text ")] == MANY[:100] == archive(server, tenant, "alice")
        assert Counter(texts(bob)) == Counter(archive(server, tenant, "bob"))
        assert texts(bob) == archive(server, tenant, "bob")


def told_by(jid: str, client) -> list[str | None]:
    """The text, or the type, of all that came from a session."""
    return [e.findtext(f"{{{CLIENT}}}body") or e.get("type") for e in client.received() if e.get("from") == jid]


CLOSE, UNKNOWN = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>", "<nothing xmlns='urn:example:unknown'/>"


@pytest.mark.parametrize("close", [CLOSE, UNKNOWN])
def test_what_somebody_sends_last_comes_before_they_are_unavailable(server, tenant, close):
    """Whether they end the stream themselves or break it, at once behind their messages."""
    with server.user(f"alice@{tenant}", "pc") as alice, server.user(f"bob@{tenant}", "pc") as bob:
        for client in (alice, bob):
            go_online(client)
        together(alice, f"<presence xmlns='{CLIENT}' to='{bob.jid}'/>", message(bob.jid, "one"), message(bob.bare_jid, "two"), close)
        until(lambda: len(told_by(alice.jid, bob)) == 4, "all of them", 10)
        assert told_by(alice.jid, bob) == [None, "one", "two", "unavailable"]
