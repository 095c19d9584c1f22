"""mod_sippo_muc_room_quotas: how much users store in a room."""

from __future__ import annotations

import uuid

import pytest

from support.prosody import Server
from support.stanzas import (
    CLIENT,
    affiliate,
    affiliated,
    answer,
    condition,
    configuration,
    configure,
    create_room,
    join,
    new_id,
    ok,
)

QUOTA = 1024


@pytest.fixture(scope="module")
def strict(server_folder):
    server = Server(server_folder(), extra={"ADHOC_AFFILIATION_QUOTA": str(QUOTA)})
    server.start()
    yield server
    server.stop()


@pytest.fixture
def alice(strict, unique_domain):
    with strict.user(f"alice@{strict.create_host(unique_domain())}") as client:
        yield client


@pytest.fixture
def own_room(alice) -> str:
    """A room of Alice's own, with her in it."""
    room = f"adhoc-{uuid.uuid4().hex[:8]}@conference.{alice.domain}"
    assert join(alice, room, "alice").get("type") is None
    ok(configure(alice, room, {"muc#roomconfig_persistentroom": "1"}))
    return room


TEXTS = [("roomname", 1023), ("roomdesc", 4096), ("roomsecret", 1023)]


@pytest.mark.parametrize(("field", "most"), TEXTS)
def test_texts_of_the_configuration(alice, own_room, field, most):
    ok(configure(alice, own_room, {f"muc#roomconfig_{field}": "x" * most}))
    reply = configure(alice, own_room, {f"muc#roomconfig_{field}": "x" * (most + 1)})
    assert condition(reply) == "not-acceptable" and str(most) in reply.findtext(".//{*}text")
    assert configuration(alice, own_room)[f"muc#roomconfig_{field}"] == "x" * most


def test_an_owner_of_a_service_room_gives_no_longer_name(strict, alice):
    room = f"group@conference.{alice.domain}"
    with strict.admin() as admin:
        create_room(admin, room, **{"muc#roomconfig_roomname": "s" * 2000})
        ok(affiliate(admin, room, (alice.bare_jid, "owner")))
    assert condition(configure(alice, room, {"muc#roomconfig_roomname": "x" * 1024})) == "not-acceptable"
    assert configuration(alice, room)["muc#roomconfig_roomname"] == "s" * 2000


def test_the_subject(alice, own_room):
    def change(length: int) -> str:
        ident = new_id()
        alice.send(f"<message xmlns='{CLIENT}' id='{ident}' type='groupchat' to='{own_room}'>"
                   f"<subject>{'x' * length}</subject></message>")
        return ident

    change(4096)
    alice.wait(lambda e: (e.findtext(f"{{{CLIENT}}}subject") or "").startswith("x"), 10)
    assert condition(answer(alice, change(4097))) == "not-acceptable"


def test_who_belongs_to_a_room_of_users(alice, own_room):
    banned = 0
    while True:
        reply = affiliate(alice, own_room, (f"user{banned}@{alice.domain}", "outcast"))
        if reply.get("type") == "error":
            break
        banned += 1
        assert banned < QUOTA // 32, "there is no quota"
    assert condition(reply) == "resource-constraint" and reply.findtext(".//{*}text")
    assert len(affiliated(alice, own_room, "outcast")) == banned > 3
    ok(affiliate(alice, own_room, (f"user0@{alice.domain}", "member")))  # has a place already
    ok(affiliate(alice, own_room, (f"user1@{alice.domain}", "none")))
    ok(affiliate(alice, own_room, (f"user2@{alice.domain}", "none")))
    ok(affiliate(alice, own_room, (alice.domain, "member")))  # a whole domain gives nobody a place of their own
    replies = [affiliate(alice, own_room, (f"new{n}@{alice.domain}", "admin")) for n in range(3)]
    assert [reply.get("type") for reply in replies] == ["result", "error", "error"]


def test_who_is_invited_finds_no_place_either(strict, alice, own_room):
    ok(configure(alice, own_room, {"muc#roomconfig_membersonly": "1", "muc#roomconfig_persistentroom": "1"}))
    replies = [affiliate(alice, own_room, (f"user{n}@{alice.domain}", "outcast")) for n in range(QUOTA // 32)]
    assert condition(replies[-1]) == "resource-constraint"
    guest = f"bob-{'x' * 50}@{alice.domain}"
    alice.send(f"<message xmlns='{CLIENT}' to='{own_room}'><x xmlns='http://jabber.org/protocol/muc#user'>"
               f"<invite to='{guest}'/></x></message>")
    assert guest not in affiliated(alice, own_room, "member")
