"""mod_sippo_offline_quota: messages for users who are not there (xmpp-server/README.md; XEP-0160)."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest

from support.stanzas import (
    CLIENT,
    answer,
    archived_bodies,
    ask,
    assert_absent,
    condition,
    go_online,
    has_body,
    mentions,
    new_id,
    ok,
    send_message,
    settle,
)

QUOTA = 12


@pytest.fixture
def world(small):
    """Alice is there, Bob is not and never was."""
    domain = f"o{uuid.uuid4().hex[:10]}.example"
    small.create_host(domain)
    bob = f"bob@{domain}"
    with small.user(f"alice@{domain}") as alice:
        go_online(alice)
        yield SimpleNamespace(
            server=small, domain=domain, alice=alice, bob=bob, come=lambda: small.user(bob), admin=small.admin
        )


def bodies(client) -> list[str]:
    """Bodies of the messages that have arrived, in order; waits for none."""
    settle(client)
    return [m.findtext("{*}body") for m in client.messages() if m.find("{*}body") is not None and m.get("type") != "error"]


def test_messages_wait_for_one_who_never_logged_in(world):
    w = world
    texts = [f"message {n}" for n in range(8)]
    for text in texts:
        send_message(w.alice, w.bob, text)
    settle(w.alice)
    with w.come() as bob:
        assert bodies(bob) == []  # a session without presence gets nothing yet
        go_online(bob)
        arrived = bob.messages()
        assert [m.findtext("{*}body") for m in arrived] == texts
        assert all(m.find("{urn:xmpp:delay}delay") is not None for m in arrived)
    with w.come() as again:
        go_online(again)
        assert bodies(again) == []


def test_one_who_is_there_is_not_bound_by_the_quota(world):
    w = world
    for n in range(QUOTA):
        send_message(w.alice, w.bob, f"waits {n}")
    settle(w.alice)
    with w.come() as bob:
        # Without a presence there is a session, but only its full JID reaches it.
        ident = send_message(w.alice, bob.jid, "straight to the session")
        bob.wait(has_body("straight to the session"), 10)
        assert_absent(w.alice, lambda e: e.get("id") == ident)
        assert condition(answer(w.alice, send_message(w.alice, w.bob, "to the account"))) == "resource-constraint"
        go_online(bob)
        send_message(w.alice, w.bob, "to the account, now")
        bob.wait(has_body("to the account, now"), 10)


@pytest.mark.parametrize("to", ["{bob}/phone", "{BOB}"])
def test_other_spellings_of_the_address(world, to):
    w = world
    ident = send_message(w.alice, to.format(bob=w.bob, BOB=w.bob.upper()), "hello", "normal")
    settle(w.alice)
    assert_absent(w.alice, lambda e: e.get("id") == ident)
    with w.come() as bob:
        go_online(bob)
        assert bodies(bob) == ["hello"]


def test_two_resources_share_and_nothing_comes_twice(world):
    w = world
    send_message(w.alice, w.bob, "once")
    settle(w.alice)
    with w.come() as first, w.come() as second:
        go_online(first)
        go_online(second)
        assert (bodies(first), bodies(second)) == (["once"], [])


def test_a_negative_priority_gets_nothing_until_it_is_raised(world):
    w = world
    send_message(w.alice, w.bob, "patience")
    settle(w.alice)
    with w.come() as bob:
        go_online(bob, -1)
        assert bodies(bob) == []
        send_message(w.alice, w.bob, "more patience")
        settle(w.alice)
        assert bodies(bob) == []
        go_online(bob, 3)
        assert bodies(bob) == ["patience", "more patience"]
        go_online(bob, -1)
        go_online(bob, 3)
        assert bodies(bob) == []


def test_the_quota(world):
    w = world
    for n in range(QUOTA):
        send_message(w.alice, w.bob, f"fits {n}")
    for n in range(5):
        ident = send_message(w.alice, w.bob, f"too much {n}", ("chat", "normal")[n % 2])
        refused = answer(w.alice, ident)
        assert condition(refused) == "resource-constraint"
        assert refused.find("{*}error").get("type") == "wait"
    # One user's fill is no other's.
    ident = send_message(w.alice, f"carol@{w.domain}", "for carol")
    settle(w.alice)
    assert_absent(w.alice, lambda e: e.get("id") == ident)
    assert w.server.log_text().count(f"The offline messages of {w.bob} have reached the quota of {QUOTA}") == 1
    with w.come() as bob:
        # Nor does the archive hold what its sender was told is refused.
        assert archived_bodies(bob, w.bob) == [f"fits {n}" for n in range(QUOTA)]
    with w.come() as bob:
        go_online(bob)
        assert bodies(bob) == [f"fits {n}" for n in range(QUOTA)]
    # Room again, and told again.
    for n in range(QUOTA):
        send_message(w.alice, w.bob, f"again {n}")
    assert condition(answer(w.alice, send_message(w.alice, w.bob, "too much again"))) == "resource-constraint"
    assert w.server.log_text().count(f"The offline messages of {w.bob} have reached") == 2


def test_the_quota_in_bytes(new_server, unique_domain):
    server = new_server(extra={"OFFLINE_BYTE_QUOTA": "3000"}).start()
    home = server.create_host(unique_domain())
    with server.user(f"alice@{home}") as alice:
        sent = [send_message(alice, f"bob@{home}", f"{n}" + "x" * 1000) for n in range(3)]
        refused = send_message(alice, f"bob@{home}", "one more")
        assert condition(answer(alice, refused)) == "resource-constraint"
    server.restart()  # what is counted is what the store has
    with server.user(f"alice@{home}") as alice:
        assert condition(answer(alice, send_message(alice, f"bob@{home}", "and more"))) == "resource-constraint"
        with server.user(f"bob@{home}") as bob:
            go_online(bob)
            assert [bob.wait(has_body(f"{n}" + "x" * 1000), 10).get("id") for n in range(3)] == sent
        settle(alice)
        send_message(alice, f"bob@{home}", "room again")
        assert_absent(alice, lambda e: e.get("type") == "error")


def test_the_count_is_the_stores_after_a_restart(world):
    w = world
    for n in range(QUOTA - 1):
        send_message(w.alice, w.bob, f"kept {n}")
    settle(w.alice)
    w.server.restart()
    with w.server.user(f"alice@{w.domain}") as alice:
        send_message(alice, w.bob, "the last that fits")
        assert condition(answer(alice, send_message(alice, w.bob, "one more"))) == "resource-constraint"
    with w.come() as bob:
        go_online(bob)
        assert bodies(bob) == [f"kept {n}" for n in range(QUOTA - 1)] + ["the last that fits"]


@pytest.mark.provokes("mod_cloud_notify")
def test_what_a_module_kept_from_the_store_does_not_count(world):
    w = world
    before = w.server.log_text().count("Traceback[c2s]")
    with w.server.database() as db:
        # no table: mod_cloud_notify throws
        db.execute('INSERT INTO prosody (host, "user", store, key, type, value) '
                   "VALUES (?, 'bob', 'cloud_notify', 'damaged', 'number', '1')", (w.domain,))
    for n in range(QUOTA + 1):
        assert condition(answer(w.alice, send_message(w.alice, w.bob, f"thrown {n}"))) == "internal-server-error"
    assert w.server.log_text().count("Traceback[c2s]") - before == QUOTA + 1


def test_headlines_are_dropped_and_errors_too(world):
    w = world
    for kind in ("headline", "error"):
        send_message(w.alice, w.bob, kind, kind)
    settle(w.alice)
    assert_absent(w.alice, lambda e: e.get("type") == "error")
    with w.come() as bob:
        go_online(bob)
        assert bodies(bob) == []


@pytest.mark.parametrize("more", ["", "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"], ids=["new", "delayed"])
def test_chat_states_alone_take_no_room(world, more):
    w = world
    state = f"<composing xmlns='http://jabber.org/protocol/chatstates'/>{more}"
    for _ in range(QUOTA + 3):
        w.alice.send(f"<message xmlns='{CLIENT}' type='chat' to='{w.bob}'>{state}</message>")
    send_message(w.alice, w.bob, "what was composed")
    settle(w.alice)
    assert_absent(w.alice, lambda e: e.get("type") == "error")
    with w.come() as bob:
        go_online(bob)
        assert_absent(bob, mentions("composing"))
        assert bodies(bob) == ["what was composed"]


def test_the_services_invitation_waits_and_its_refusal_is_told(world):
    w = world
    invitation = f"<x xmlns='jabber:x:conference' jid='group@conference.{w.domain}' reason='usersGroup'/>"
    with w.admin() as admin:
        admin.send(f"<message xmlns='{CLIENT}' id='{new_id()}' to='{w.bob}'>{invitation}</message>")
        settle(admin)
        with w.come() as bob:
            go_online(bob)
            received = bob.wait(lambda e: e.find("{jabber:x:conference}x") is not None, 10)
            assert received.find("{jabber:x:conference}x").get("jid") == f"group@conference.{w.domain}"
            assert received.find("{urn:xmpp:delay}delay") is not None
        for n in range(QUOTA):
            send_message(w.alice, w.bob, f"fill {n}")
        settle(w.alice)
        ident = new_id()
        admin.send(f"<message xmlns='{CLIENT}' id='{ident}' to='{w.bob}'>{invitation}</message>")
        assert condition(answer(admin, ident)) == "resource-constraint"


def test_a_client_that_reads_the_archive_frees_the_store(world):
    """mod_mam keeps waiting messages from such a client and would leave them in the store for good."""
    w = world
    for round_ in range(2):
        for n in range(QUOTA):
            send_message(w.alice, w.bob, f"round {round_} message {n}")
        settle(w.alice)
        assert_absent(w.alice, lambda e: e.get("type") == "error")
        with w.come() as bob:
            assert f"round {round_} message {QUOTA - 1}" in archived_bodies(bob, w.bob)
            go_online(bob)
            assert bodies(bob) == []


def test_what_the_archive_does_not_hold_is_delivered_all_the_same(world):
    w = world
    hint = "<no-permanent-store xmlns='urn:xmpp:hints'/>"
    w.alice.send(f"<message xmlns='{CLIENT}' type='chat' to='{w.bob}'><body>unarchived</body>{hint}</message>")
    send_message(w.alice, w.bob, "archived")
    settle(w.alice)
    with w.come() as bob:
        archive = archived_bodies(bob, w.bob)
        go_online(bob)
        assert sorted(archive + bodies(bob)) == ["archived", "unarchived"]


def test_online_users_get_messages_at_once(world):
    w = world
    with w.come() as bob:
        go_online(bob)
        send_message(w.alice, w.bob, "now")
        bob.wait(has_body("now"), 10)
        ok(ask(bob, "get", "<ping xmlns='urn:xmpp:ping'/>"))
