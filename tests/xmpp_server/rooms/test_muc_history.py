"""What a newcomer gets of a room's history is bounded, whatever anybody asks for (mod_sippo_muc_history)."""

from __future__ import annotations

import uuid

import pytest

from support.stanzas import CLIENT, MUC, configuration, configure, has_body, join, ok, send_message, settle, statuses

BOUND = 100


@pytest.fixture
def room(server, domain):
    """A room of Alice's own, and Alice."""
    name = f"adhoc-{uuid.uuid4().hex[:8]}@conference.{domain}"
    with server.user(f"alice@{domain}") as alice:
        join(alice, name, "alice")
        ok(configure(alice, name, {"muc#roomconfig_persistentroom": "1"}))
        yield name, alice


def test_an_owner_sets_the_history_up_to_a_bound(room):
    name, alice = room
    for length, kept in ((10**9, BOUND), (30, 30)):
        ok(configure(alice, name, {"muc#roomconfig_historylength": str(length)}))
        assert configuration(alice, name)["muc#roomconfig_historylength"] == str(kept)


def test_a_newcomer_to_a_stored_room_gets_no_more(server, room):
    name, alice = room
    for field in ("historylength", "defaulthistorymessages"):
        ok(configure(alice, name, {f"muc#roomconfig_{field}": "1000000"}))
    for n in range(BOUND + 5):
        send_message(alice, name, f"line {n}", "groupchat")
    alice.wait(has_body(f"line {BOUND + 4}"), 20)
    server.restart()
    with server.user(f"bob@{alice.domain}") as bob:
        join(bob, name, "bob")
        settle(bob)
        lines = [m.findtext("{*}body") for m in bob.messages() if m.find("{*}body") is not None]
        assert lines == [f"line {n}" for n in range(5, BOUND + 5)]


@pytest.mark.parametrize("length", ["-1", "-1000000"])
def test_a_length_below_zero_is_none(room, length):
    name, alice = room
    ok(configure(alice, name, {"muc#roomconfig_historylength": length}))
    send_message(alice, name, "hello", "groupchat")
    alice.wait(has_body("hello"), 10)
    assert configuration(alice, name)["muc#roomconfig_historylength"] == "0"


@pytest.mark.parametrize("asked, got", [("-1", 0), ("-1.5", 0), ("0", 0), ("1.5", 1), ("2", 2), ("1000000", 4)])
def test_a_newcomer_asks_for_a_part(server, room, asked, got):
    name, alice = room
    ok(configure(alice, name, {"muc#roomconfig_historylength": "4"}))
    for n in range(6):
        send_message(alice, name, f"line {n}", "groupchat")
    alice.wait(has_body("line 5"), 10)
    server.kill()  # so that the archive is asked: a room that is saved knows its last message
    server.start()
    with server.user(f"bob@{alice.domain}") as bob:
        bob.send(f"<presence xmlns='{CLIENT}' to='{name}/bob'><x xmlns='{MUC}'><history maxstanzas='{asked}'/></x></presence>")
        bob.wait(lambda e: "110" in statuses(e), 10)
        settle(bob)
        lines = [m.findtext("{*}body") for m in bob.messages() if m.find("{*}body") is not None]
        assert lines == [f"line {n}" for n in range(6 - got, 6)]
