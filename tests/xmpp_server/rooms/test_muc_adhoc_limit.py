"""Rooms of users: what makes none (mod_sippo_muc_policy), and how many one makes (mod_sippo_muc_adhoc_limit)."""

from __future__ import annotations

import uuid
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from support.stanzas import (
    CLIENT,
    MUC_OWNER,
    answer,
    ask,
    condition,
    configure,
    has_body,
    join,
    leave,
    new_id,
    ok,
    send_message,
    settle,
    statuses,
)
from support.wait import until
from support.xmpp import E

SM = "urn:xmpp:sm:3"
LIMIT = 2


@pytest.fixture
def tenant(server, domain):
    with server.user(f"alice@{domain}") as alice, server.admin() as admin:
        yield SimpleNamespace(muc=f"conference.{domain}", alice=alice, admin=admin)


def fresh_adhoc(t) -> str:
    return f"adhoc-{uuid.uuid4().hex[:8]}@{t.muc}"


def exists(admin, room: str) -> bool:
    reply = ask(admin, "get", f"<query xmlns='{MUC_OWNER}'/>", room)
    return reply.get("type") == "result" or condition(reply) != "item-not-found"


@pytest.mark.parametrize("nick", ["", "/ ", "/\u00a0", "/\u0221"])
def test_a_bad_nickname_makes_no_room(tenant, nick):
    room = fresh_adhoc(tenant)
    ident = new_id()
    tenant.alice.send(
        f"<presence xmlns='{CLIENT}' id='{ident}' to='{room}{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    )
    assert condition(answer(tenant.alice, ident)) == "jid-malformed"
    assert not exists(tenant.admin, room)


# How many ---------------------------------------------------------------------------------


@pytest.fixture
def narrow(new_server):
    """A server with room for LIMIT rooms of each user."""
    server = new_server(extra={"ADHOC_ROOM_LIMIT": str(LIMIT)}).start()
    server.create_host("narrow.example")
    return server


def make(client, name: str, persistent: bool = True):
    """Makes a room; the answer to the entrance."""
    room = f"adhoc-{name}@conference.narrow.example"
    entrance = join(client, room, "maker")
    if "201" in statuses(entrance):
        ok(configure(client, room, {"muc#roomconfig_persistentroom": str(int(persistent))}))
    return entrance


def refused(client, name: str) -> bool:
    entrance = make(client, name)
    return entrance.get("type") == "error" and condition(entrance) == "resource-constraint"


def test_a_user_makes_so_many_rooms(narrow):
    with narrow.user("alice@narrow.example") as alice, narrow.user("bob@narrow.example") as bob:
        for n in range(LIMIT):
            assert not refused(alice, f"alice-{n}")
        assert refused(alice, "one-more")
        assert not refused(bob, "bobs")  # another's count is their own
    narrow.restart()
    with narrow.user("alice@narrow.example") as alice, narrow.admin() as admin:
        assert refused(alice, "one-more")
        ok(ask(admin, "set", f"<query xmlns='{MUC_OWNER}'><destroy/></query>", "adhoc-alice-0@conference.narrow.example"))
        assert not refused(alice, "one-more")
        assert refused(alice, "two-more")


def test_a_room_that_has_ended_does_not_count(narrow):
    with narrow.user("alice@narrow.example") as alice:
        for n in range(3 * LIMIT):
            assert "201" in statuses(make(alice, f"short-{n}", persistent=False))
            leave(alice, f"adhoc-short-{n}@conference.narrow.example", "maker")
            settle(alice)


def test_nor_does_one_that_a_crash_took(narrow):
    with narrow.user("alice@narrow.example") as alice:
        for n in range(LIMIT):
            make(alice, f"lost-{n}", persistent=False)
        assert refused(alice, "one-more")
        narrow.kill()
    narrow.start()
    with narrow.user("alice@narrow.example") as alice:
        assert not refused(alice, "one-more")


@pytest.mark.parametrize("trouble", [
    pytest.param(False, id="in one transaction"),
    pytest.param(True, id="one by one", marks=pytest.mark.provokes("disk trouble")),
])
def test_nor_does_one_whose_occupant_waits_to_be_resumed_at_the_servers_end(narrow, trouble):
    short = "adhoc-short@conference.narrow.example"
    with narrow.user("alice@narrow.example") as alice:
        make(alice, "kept")
        make(alice, "short", persistent=False)
        for room in ("adhoc-kept@conference.narrow.example", short):
            send_message(alice, room, f"hello {room}", "groupchat")
            alice.wait(has_body(f"hello {room}"), 10)
        alice.send(E("enable", SM, resume="true"))
        alice.wait(lambda e: e.tag == f"{{{SM}}}enabled")
        alice.abort()
        until(lambda: "going into hibernation" in narrow.log_text(), "the session to wait", 10)
    with narrow.disk_trouble("prosody", "NEW.store='state' AND NEW.\"user\"='adhoc-kept'") if trouble else nullcontext():
        narrow.stop()
    assert ("Could not save the rooms in one transaction" in narrow.log_text()) == trouble
    with narrow.database() as db:
        for table in ("prosody", "prosodyarchive"):
            assert db.execute(f"SELECT store FROM {table} WHERE \"user\"='adhoc-short'").fetchall() == []
        assert db.execute("SELECT key FROM prosody WHERE store='sippo_adhoc'").fetchall() == [("adhoc-kept",)]
    narrow.start()
    with narrow.user("alice@narrow.example") as alice:
        assert not refused(alice, "one-more")
        assert refused(alice, "two-more")
