"""mod_sippo_delivery: a message is reported failed only if nobody got it and it is not stored; it is stored exactly when
nobody got it."""

from __future__ import annotations

import time
import uuid
from types import SimpleNamespace

import pytest

from support.prosody import Server
from support.stanzas import (
    CLIENT,
    answer,
    archived_bodies,
    assert_absent,
    condition,
    go_online,
    has_body,
    new_id,
    send_message,
    settle,
)
from support.wait import until
from support.xmpp import E

SM = "urn:xmpp:sm:3"
CARBONS = "urn:xmpp:carbons:2"
TIMEOUT = 2
QUOTA = 3


@pytest.fixture(scope="module")
def server(server_folder):
    """One whose lost sessions end soon, and of which a user may have two."""
    one = Server(server_folder(), extra={"RESUME_TIMEOUT": str(TIMEOUT), "RESUME_LIMIT": "2", "OFFLINE_QUOTA": str(QUOTA)})
    one.start()
    yield one
    one.stop()


@pytest.fixture
def world(server):
    """Bob writes; Alice has sessions."""
    domain = server.create_host(f"d{uuid.uuid4().hex[:10]}.example")
    jid = f"alice@{domain}"

    def present(resource: str, carbons: bool = False):
        client = server.user(jid, resource)
        if carbons:
            client.iq("set", E("enable", CARBONS))
        go_online(client)
        return client

    def lose(client) -> None:
        """Its network is lost, and the server has noticed."""
        client.send(E("enable", SM, resume="true"))
        client.wait(lambda e: e.tag == f"{{{SM}}}enabled")
        before = server.log_text().count("going into hibernation")
        client.abort()
        until(lambda: server.log_text().count("going into hibernation") > before, "hibernation", 10)

    def expire(count: int) -> None:
        """So many lost sessions have ended since the test began."""
        until(lambda: server.log_text().count("Destroying session for hibernating too long") >= expired + count, "expiry", 20)
        settle(bob)  # the line comes first

    expired = server.log_text().count("Destroying session for hibernating too long")
    with server.user(f"bob@{domain}") as bob:
        yield SimpleNamespace(server=server, domain=domain, jid=jid, bob=bob, present=present, lose=lose, expire=expire)


def stored(w) -> int:
    """How many messages wait in Alice's offline store."""
    with w.server.database() as db:
        return db.execute("SELECT COUNT(*) FROM prosodyarchive WHERE host=? AND \"user\"='alice' AND store='offline'",
                          (w.domain,)).fetchone()[0]


def no_error(w) -> None:
    assert_absent(w.bob, lambda e: e.get("type") == "error")


def write(w, to: str, text: str, kind: str = "chat") -> None:
    send_message(w.bob, to, text, kind)
    settle(w.bob)


def bodies(client) -> list[str]:
    """Of all messages that have come, carbon copies included."""
    settle(client)
    return [text for m in client.messages() if (text := m.findtext(f".//{{{CLIENT}}}body"))]


@pytest.mark.parametrize("kind", ["chat", "normal"])
def test_what_a_live_session_got_is_not_reported_failed(world, kind):
    w = world
    w.lose(w.present("lost"))
    live = w.present("live")
    write(w, w.jid, "to both", kind)
    live.wait(has_body("to both"))
    w.expire(1)
    no_error(w)
    assert stored(w) == 0
    assert bodies(live) == []
    live.close()


def test_what_two_lost_sessions_did_not_get_is_stored_once(world):
    w = world
    w.lose(w.present("one"))
    w.lose(w.present("two"))
    write(w, w.jid, "to both")
    w.expire(2)
    no_error(w)
    assert stored(w) == 1
    again = w.present("three")
    assert bodies(again) == ["to both"]
    again.close()


def test_while_one_lost_session_may_come_back_nothing_is_stored(world):
    w = world
    w.lose(w.present("older"))
    write(w, w.jid, "to one")
    w.lose(w.present("younger"))
    write(w, w.jid, "to both")
    w.expire(2)
    no_error(w)
    again = w.present("three")
    assert sorted(bodies(again)) == ["to both", "to one"]
    again.close()


def test_a_session_without_presence_keeps_nothing_from_the_store(world):
    w = world
    w.lose(w.present("lost"))
    mute = w.server.user(w.jid, "mute")
    write(w, w.jid, "stored")
    w.expire(1)
    no_error(w)
    assert stored(w) == 1
    go_online(mute)
    assert bodies(mute) == ["stored"]
    mute.close()


@pytest.mark.parametrize("carbons", [False, True])
def test_a_message_to_a_lost_session_reaches_the_live_one_once(world, carbons):
    w = world
    w.lose(w.present("lost"))
    live = w.present("live", carbons)
    write(w, f"{w.jid}/lost", "to the lost one")
    assert bodies(live) == ["to the lost one"]
    w.expire(1)
    no_error(w)
    assert stored(w) == 0
    assert bodies(live) == []
    live.close()


def test_what_only_a_lost_session_could_get_goes_to_whoever_came_since(world):
    w = world
    w.lose(w.present("lost"))
    write(w, w.jid, "for whoever comes")
    later = w.present("later")
    w.expire(1)
    later.wait(has_body("for whoever comes"))
    no_error(w)
    assert stored(w) == 0
    later.close()


@pytest.mark.parametrize("first", ["message", "copy"])
def test_a_carbon_copy_that_nobody_got_is_no_delivery(world, first):
    w = world
    one, two = w.present("one", carbons=True), w.present("two", carbons=True)
    for client in (one, two) if first == "message" else (two, one):
        client.send(E("enable", SM, resume="true"))
        client.wait(lambda e: e.tag == f"{{{SM}}}enabled")
    # unread when the network is lost: it stays unacknowledged
    write(w, f"{w.jid}/one", "to one, copied to two")
    for client in (one, two) if first == "message" else (two, one):
        before = w.server.log_text().count("going into hibernation")
        client.abort()
        until(lambda before=before: w.server.log_text().count("going into hibernation") > before, "hibernation", 10)
    w.expire(2)
    no_error(w)
    assert stored(w) == 1
    again = w.present("three")
    [message] = [m for m in again.messages() if m.findtext(f".//{{{CLIENT}}}body")]
    assert message.findtext(f"{{{CLIENT}}}body") == "to one, copied to two"  # itself, not the copy
    assert message.get("from") == w.bob.jid
    again.close()


def test_sessions_that_end_by_our_own_limits(world):
    w = world
    for resource in ("one", "two", "three"):
        w.lose(w.present(resource))
        write(w, w.jid, f"after {resource}")
    no_error(w)  # the first has ended, and what it held the others have
    w.expire(2)
    no_error(w)
    again = w.present("four")
    assert sorted(bodies(again)) == ["after one", "after three", "after two"]
    again.close()


MAX_AGE = 8


def test_sessions_that_end_by_their_age(new_server):
    server = new_server(extra={"SESSION_MAX_AGE": str(MAX_AGE)}).start()
    domain = server.create_host("age.example")
    jid = f"alice@{domain}"
    for resource in ("one", "two"):
        client = server.user(jid, resource)
        go_online(client)
        client.send(E("enable", SM, resume="true"))
        client.wait(lambda e: e.tag == f"{{{SM}}}enabled")
        client.abort()
    begun = time.monotonic()
    until(lambda: server.log_text().count("going into hibernation") == 2, "hibernation", 10)
    until(lambda: time.monotonic() - begun > MAX_AGE / 2, "a session that ends well after these", MAX_AGE)
    with server.user(f"bob@{domain}") as bob:
        send_message(bob, jid, "to both")
        settle(bob)
        until(lambda: server.log_text().count(f"Session of {jid}/") == 2, "the end of both", MAX_AGE + 10)
        assert_absent(bob, lambda e: e.get("type") == "error")
    with server.user(jid, "three") as again:
        go_online(again)
        assert bodies(again) == ["to both"]


def test_a_session_that_its_successor_replaces(world):
    w = world
    w.lose(w.present("phone"))
    live = w.present("live")
    write(w, w.jid, "to both")
    live.wait(has_body("to both"))
    phone = w.present("phone")
    no_error(w)
    assert bodies(phone) == bodies(live) == []
    assert stored(w) == 0
    phone.close()
    live.close()


def test_what_the_quota_refuses_is_reported_once(world):
    w = world
    w.lose(w.present("one"))
    w.lose(w.present("two"))
    idents = [send_message(w.bob, w.jid, f"number {n}") for n in range(QUOTA + 1)]
    settle(w.bob)
    w.expire(2)
    assert stored(w) == QUOTA
    assert condition(answer(w.bob, idents[-1])) == "resource-constraint"
    no_error(w)


def test_a_typing_state_is_not_stored(world):
    w = world
    w.lose(w.present("lost"))
    w.bob.send(f"<message xmlns='{CLIENT}' type='chat' id='{new_id()}' to='{w.jid}'>"
               "<composing xmlns='http://jabber.org/protocol/chatstates'/></message>")
    settle(w.bob)
    w.expire(1)
    no_error(w)
    assert stored(w) == 0


def test_messages_with_one_id_are_each_delivered(world):
    w = world
    w.lose(w.present("lost"))
    for text in ("one", "two"):
        w.bob.send(f"<message xmlns='{CLIENT}' type='chat' id='same' to='{w.jid}'><body>{text}</body></message>")
    settle(w.bob)
    w.expire(1)
    assert stored(w) == 2
    no_error(w)


def test_what_marks_a_delivery_stays_in_the_server(world):
    w = world
    live = w.present("live")
    w.lose(w.present("lost"))
    w.bob.send(f"<message xmlns='{CLIENT}' type='chat' id='m' to='{w.jid}' sippo-delivery='1'><body>marked</body></message>")
    settle(w.bob)
    assert set(live.wait(has_body("marked")).keys()) <= {"from", "to", "id", "type", "{http://www.w3.org/XML/1998/namespace}lang"}
    live.close()
    w.expire(1)
    again = w.present("again")
    write(w, w.jid, "and now")
    assert "sippo-delivery" not in again.wait(has_body("and now")).keys()
    assert archived_bodies(again, w.jid) == ["marked", "and now"]
    with w.server.database() as db:
        assert db.execute("SELECT COUNT(*) FROM prosodyarchive WHERE value LIKE '%sippo-delivery%'").fetchone() == (0,)
    again.close()


def test_what_a_client_calls_a_carbon_copy_is_never_taken_for_one(world):
    """When a lost session ended, what was in it was delivered as if its made-up sender had sent it."""
    lost = world.present("lost")
    world.lose(lost)
    inner = E("message", None, E("body", None, "forged"), to=world.jid, type="chat", from_=f"carol@{world.domain}/desk")
    carbon = E("received", CARBONS, E("forwarded", "urn:xmpp:forward:0", inner))
    world.bob.message(f"{world.jid}/lost", "written by bob", carbon)
    settle(world.bob)
    live = world.present("live")
    world.expire(1)
    assert live.wait(lambda e: e.tag == f"{{{CLIENT}}}message").get("from") == world.bob.jid
    assert_absent(live, has_body("forged"))
