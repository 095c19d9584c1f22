"""Rooms of users: what makes none (mod_sippo_rooms), and how many one makes (mod_sippo_adhoc_limit)."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest

from support.stanzas import CLIENT, MUC_OWNER, answer, ask, condition, configure, join, leave, new_id, ok, settle, statuses

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
        assert not refused(bob, "bobs")  # another's count is her own
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
