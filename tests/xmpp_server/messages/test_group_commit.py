"""mod_sippo_group_commit: messages that come together are archived with one commit, and delivered when it is done."""

from __future__ import annotations

import re
import threading
import uuid
from collections import Counter

import pytest

from support.frames import frame
from support.stanzas import (
    CLIENT,
    answer,
    archived_bodies,
    assert_absent,
    condition,
    configure,
    go_online,
    has_body,
    join,
    new_id,
    ok,
    request,
    send_message,
    settle,
)
from support.wait import until
from support.xmpp import E, XmppError

SM = "urn:xmpp:sm:3"
CARBONS = "urn:xmpp:carbons:2"
PING = "<ping xmlns='urn:xmpp:ping'/>"
GROUP = re.compile(r"Archiving messages in one transaction: (\d+)$", re.MULTILINE)


@pytest.fixture
def tenant(server):
    return server.create_host(f"g{uuid.uuid4().hex[:10]}.example")


@pytest.fixture
def alice(server, tenant):
    with server.user(f"alice@{tenant}", "pc") as client:
        go_online(client)
        yield client


@pytest.fixture
def bob(server, tenant):
    with server.user(f"bob@{tenant}", "pc") as client:
        go_online(client)
        yield client


def message(to: str, text: str, ident: str | None = None, kind: str = "chat") -> str:
    return f"<message xmlns='{CLIENT}' id='{ident or new_id()}' type='{kind}' to='{to}'><body>{text}</body></message>"


def together(client, *stanzas: str) -> None:
    """Sends them at once: the server reads them before it has answered any."""
    client.send_bytes(b"".join(frame(stanza) for stanza in stanzas))


def bodies(client) -> list[str]:
    """Of all messages so far, in order, errors left out."""
    settle(client)
    return [e.findtext(f"{{{CLIENT}}}body") or "" for e in client.messages() if e.get("type") != "error"]


def archives(server, domain: str, store: str = "archive") -> Counter[tuple[str, str]]:
    """How often each user's archive has each text."""
    with server.database() as db:
        rows = db.execute('SELECT "user", value FROM prosodyarchive WHERE host=? AND store=?', (domain, store)).fetchall()
    return Counter((user, value.partition("<body>")[2].partition("</body>")[0]) for user, value in rows)


def groups(server) -> list[int]:
    """How many messages each transaction had so far."""
    return [int(count) for count in GROUP.findall(server.log_text())]


def in_both(*texts: str) -> Counter[tuple[str, str]]:
    return Counter((user, text) for text in texts for user in ("alice", "bob"))


# Commits ------------------------------------------------------------------------------


def test_messages_that_come_together_have_fewer_commits_than_there_are(server, tenant, alice, bob):
    texts = [f"text {n}" for n in range(40)]
    send_message(alice, bob.jid, "first")  # what is looked up once for each user
    bob.wait_message("first")
    before = groups(server)
    together(alice, *(message(bob.jid if n % 2 else bob.bare_jid, text) for n, text in enumerate(texts)))
    for text in texts:
        bob.wait_message(text)
    found = groups(server)[len(before):]
    assert sum(found) == len(texts) and len(found) < len(texts)
    assert archives(server, tenant) == in_both("first", *texts)


def test_a_message_that_comes_alone_has_one_commit_and_waits_for_nobody(server, tenant, alice, bob):
    send_message(alice, bob.jid, "warm up")
    bob.wait_message("warm up")
    before = groups(server)
    send_message(alice, bob.jid, "alone")
    bob.wait_message("alone")
    assert groups(server)[len(before):] == [1]
    assert archives(server, tenant) == in_both("warm up", "alone")


def test_a_kill_leaves_what_was_read_or_acknowledged_in_both_archives(new_server):
    server = new_server(log_level="info").start()
    domain = server.create_host("killed.example")
    pairs = []
    for n in range(8):
        sender, recipient = server.user(f"s{n}@{domain}", "pc"), server.user(f"r{n}@{domain}", "pc")
        for client in (sender, recipient):
            go_online(client)
        sender.send(E("enable", SM))
        sender.wait(lambda e: e.tag == f"{{{SM}}}enabled")
        pairs.append((sender, recipient))

    def send_all(sender, recipient) -> None:
        try:
            for n in range(3000):
                sender.send(message(recipient.jid, f"{n}"))
                sender.send(E("r", SM))
        except (XmppError, OSError):
            pass  # the connection breaks under it, that is the point

    threads = [threading.Thread(target=send_all, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for _, recipient in pairs:
        until(lambda recipient=recipient: "20" in bodies_received(recipient), "the 20th message", 60)
    server.kill()
    for thread in threads:
        thread.join(30)
    for client in (client for pair in pairs for client in pair):
        client.wait_closed(10)
    server.start()
    there = archives(server, domain)
    assert set(there.values()) == {1}
    for n, (sender, recipient) in enumerate(pairs):
        acknowledged = max((int(e.get("h")) for e in sender.received() if e.tag == f"{{{SM}}}a"), default=0)
        texts = {str(number) for number in range(acknowledged)} | set(bodies_received(recipient))
        missing = [(user, text) for text in texts for user in (f"s{n}", f"r{n}") if (user, text) not in there]
        assert not missing, f"{acknowledged} were acknowledged"
    assert len({text for _, text in there}) < 3000, "it ended before it was killed"


def bodies_received(client) -> list[str]:
    return [e.findtext(f"{{{CLIENT}}}body") or "" for e in client.received(lambda e: e.tag == f"{{{CLIENT}}}message")]


def test_nothing_is_acknowledged_or_delivered_before_it_is_stored(postgresql, new_server):
    server = new_server(storage=postgresql.url, extra={"STORAGE_PASSWORD": postgresql.password}).start()
    domain = server.create_host("waits.example")
    with server.user(f"alice@{domain}", "pc") as alice, server.user(f"bob@{domain}", "pc") as bob:
        for client in (alice, bob):
            go_online(client)
        send_message(alice, bob.jid, "first")  # what is looked up once for each user
        bob.wait_message("first")
        alice.send(E("enable", SM))
        alice.wait(lambda e: e.tag == f"{{{SM}}}enabled")
        with server.locked_database():
            together(alice, message(bob.jid, "one"), f"<r xmlns='{SM}'/>")
            until(lambda: postgresql.rows("SELECT count(*) FROM pg_locks WHERE NOT granted") != ["0"], "the server's insertion", 10)
            assert not alice.received(lambda e: e.tag == f"{{{SM}}}a") and not bodies_received(bob)
        bob.wait_message("one")
        assert alice.wait(lambda e: e.tag == f"{{{SM}}}a").get("h") == "1"
        assert archives(server, domain) == in_both("first", "one")


# Order ------------------------------------------------------------------------------------


def told(element) -> str | None:
    """What an element from Alice is, None for all others."""
    if not (element.get("from") or "").startswith("alice@"):
        return None
    return element.findtext(f"{{{CLIENT}}}body") or element.tag.rpartition("}")[2]


def test_all_that_one_sends_another_comes_in_order(alice, bob):
    together(alice, message(bob.jid, "one"), message(bob.bare_jid, "two"), request("get", PING, bob.jid, "ping"),
             message(bob.jid, "three"), f"<presence xmlns='{CLIENT}' to='{bob.jid}'/>", message(bob.jid, "four", kind="headline"),
             message(bob.jid, "five", kind="normal"))
    until(lambda: any(told(e) == "five" for e in bob.received()), "the last of them", 10)
    assert [told(e) for e in bob.received() if told(e)] == ["one", "two", "iq", "three", "presence", "four", "five"]


def test_a_rooms_private_message_does_not_overtake_what_came_before_it(tenant, alice, bob):
    room = f"adhoc-talk@conference.{tenant}"
    join(alice, room, "alice")
    ok(configure(alice, room, {}))
    join(bob, room, "bob")
    together(alice, message(bob.jid, "one"), message(f"{room}/bob", "two"), message(bob.jid, "three"))
    until(lambda: "three" in bodies_received(bob), "the last of them", 10)
    assert [text for text in bodies_received(bob) if text] == ["one", "two", "three"]


def test_messages_of_several_senders_to_one_come_once_each_and_in_each_ones_order(server, tenant, bob):
    senders = [server.user(f"s{n}@{tenant}") for n in range(5)]
    for sender in senders:
        go_online(sender)
    for sender in senders:
        together(sender, *(message(bob.jid if n % 3 else bob.bare_jid, f"{sender.user} {n}") for n in range(30)))
    for sender in senders:
        settle(sender)
    found = bodies(bob)
    for sender in senders:
        assert [text for text in found if text.split()[0] == sender.user] == [f"{sender.user} {n}" for n in range(30)]
    assert archives(server, tenant) == Counter(
        (user, f"{sender.user} {n}") for sender in senders for n in range(30) for user in (sender.user, "bob"))
    for sender in senders:
        sender.close()


def test_a_query_of_the_archive_finds_what_came_right_before_it(alice, bob):
    query = "<query xmlns='urn:xmpp:mam:2' queryid='q'/>"
    together(alice, message(bob.jid, "one"), message(bob.jid, "two"), request("set", query, None, "mam"))
    answer(alice, "mam")
    results = [e for e in alice.received() if e.find("{urn:xmpp:mam:2}result") is not None]
    assert [e.findtext(".//{*}forwarded/{*}message/{*}body") for e in results] == ["one", "two"]


def test_carbon_copies_go_to_the_recipients_other_devices_once(server, tenant, alice, bob):
    with server.user(f"bob@{tenant}", "phone") as phone:
        go_online(phone)
        phone.iq("set", E("enable", CARBONS))
        together(alice, message(bob.jid, "one"), message(bob.jid, "two"))
        bob.wait_message("two")
        settle(phone)
        copies = [e.findtext(".//{*}forwarded/{*}message/{*}body") for e in phone.messages()]
        assert copies == ["one", "two"]
        assert bodies(bob) == ["one"]


def test_messages_to_oneself_to_who_is_there_and_to_who_is_away(server, tenant, alice, bob):
    together(alice, message(bob.jid, "one"), message(f"carol@{tenant}", "two"), message(alice.bare_jid, "three"),
             message(bob.jid, "four"), message(f"carol@{tenant}", "five"))
    alice.wait_message("three")
    settle(alice)
    assert bodies(bob) == ["one", "four"]
    assert archives(server, tenant, "offline") == Counter({("carol", "two"): 1, ("carol", "five"): 1})
    there = archives(server, tenant)
    assert {text for user, text in there if user == "alice"} == {"one", "two", "three", "four", "five"}
    assert {text for user, text in there if user == "carol"} == {"two", "five"}
    with server.user(f"carol@{tenant}") as carol:
        go_online(carol)
        assert bodies(carol) == ["two", "five"]


def test_a_message_is_delivered_though_its_sender_has_gone_at_once(server, tenant, bob):
    sender = server.user(f"alice@{tenant}")
    together(sender, message(bob.jid, "the last"), "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>")
    bob.wait_message("the last")
    assert archives(server, tenant) == in_both("the last")


# What the store does not take -----------------------------------------------------------------


@pytest.mark.provokes("disk trouble", "Could not archive a message to bob@")
@pytest.mark.parametrize("user", ["alice", "bob"])
def test_what_is_not_stored_is_refused_and_nobody_reads_it(server, tenant, alice, bob, user):
    """Whichever of the two archives does not take it. All others of its group are stored and delivered."""
    condition_of_bad = f"NEW.\"user\"='{user}' AND NEW.host='{tenant}' AND NEW.value LIKE '%bad%'"
    with server.disk_trouble("prosodyarchive", condition_of_bad):
        together(alice, message(bob.jid, "one"), message(bob.jid, "bad", "bad-1"), message(bob.jid, "two"),
                 message(bob.bare_jid, "bad", "bad-2"), message(bob.jid, "three"))
        for ident in ("bad-1", "bad-2"):
            refusal = answer(alice, ident)
            assert condition(refusal) == "internal-server-error"
            assert refusal.find(f"{{{CLIENT}}}error").get("type") == "wait"
        bob.wait_message("three")
        assert bodies(bob) == ["one", "two"]
        assert archives(server, tenant) == in_both("one", "two", "three")
    send_message(alice, bob.jid, "bad no more")
    bob.wait_message("bad no more")
    assert archived_bodies(bob, bob.bare_jid) == ["one", "two", "three", "bad no more"]


@pytest.mark.provokes("disk trouble", "Could not archive a message to carol@")
@pytest.mark.parametrize("user", ["alice", "carol"])
def test_nor_does_it_wait_for_who_is_away(server, tenant, alice, user):
    condition_of_bad = f"NEW.\"user\"='{user}' AND NEW.store='archive' AND NEW.host='{tenant}'"
    with server.disk_trouble("prosodyarchive", condition_of_bad):
        together(alice, message(f"carol@{tenant}", "bad", "bad-1"))
        assert condition(answer(alice, "bad-1")) == "internal-server-error"
        assert archives(server, tenant, "offline") == Counter()


@pytest.mark.provokes("locked|lock timeout", "Could not archive a message")
def test_a_locked_database_refuses_a_group_and_takes_the_next(server, tenant, alice, bob):
    send_message(alice, bob.jid, "before")
    bob.wait_message("before")
    with server.locked_database():
        together(alice, message(bob.jid, "locked out", "out"))
        assert condition(answer(alice, "out", 30)) == "internal-server-error"
        assert_absent(bob, has_body("locked out"))
    together(alice, message(bob.jid, "one"), message(bob.jid, "two"))
    bob.wait_message("two")
    assert archives(server, tenant) == in_both("before", "one", "two")


@pytest.mark.provokes("no connection to the server", "Could not archive a message")
def test_while_the_database_is_away_nobody_reads_what_is_not_stored(postgresql, new_server):
    server = new_server(storage=postgresql.url, extra={"STORAGE_PASSWORD": postgresql.password}).start()
    domain = server.create_host("away.example")
    with server.user(f"alice@{domain}", "pc") as alice, server.user(f"bob@{domain}", "pc") as bob:
        for client in (alice, bob):
            go_online(client)
        send_message(alice, bob.jid, "before")
        bob.wait_message("before")
        postgresql.stop()
        together(alice, message(bob.jid, "one", "one"), message(bob.jid, "two", "two"))
        for ident in ("one", "two"):
            assert condition(answer(alice, ident, 30)) == "internal-server-error"
        assert_absent(bob, lambda e: told(e) is not None)
        postgresql.start()
        together(alice, message(bob.jid, "three"), message(bob.jid, "four"))
        bob.wait_message("four")
        assert archives(server, domain) == in_both("before", "three", "four")
