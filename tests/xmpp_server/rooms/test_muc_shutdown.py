"""The end of the server, or of a host, does not write rooms that need no writing (mod_sippo_muc_shutdown, DELETE)."""

from __future__ import annotations


import pytest

from support.stanzas import affiliate, affiliated, create_room, has_body, join, ok, room_features, send_message, settle

ROOMS = 5


@pytest.fixture
def own(new_server):
    """A server with rooms of the service, in memory, and a list of whatever is written of rooms from now on."""
    server = new_server().start()
    domain = server.create_host("rooms.example")
    with server.admin() as admin:
        for room in rooms():
            create_room(admin, room, life="1.1/x")
            ok(affiliate(admin, room, (f"alice@{domain}", "member")))
    with server.database() as db:
        db.execute("CREATE TABLE written (store TEXT, room TEXT)")
    server.add_trigger("w", "prosody", "NEW.host LIKE 'conference.%'", "INSERT INTO written VALUES (NEW.store, NEW.\"user\")")
    return server


def rooms() -> list[str]:
    return [f"room-{n}@conference.rooms.example" for n in range(ROOMS)]


def written(server) -> set[str]:
    with server.database() as db:
        return {room for store, room in db.execute("SELECT store, room FROM written") if store in ("config", "state")}


def speak(server, room: str) -> None:
    with server.user("alice@rooms.example") as alice:
        join(alice, room, "alice")
        send_message(alice, room, "hello", "groupchat")
        alice.wait(has_body("hello"), 10)


def assert_whole(server) -> None:
    with server.admin() as admin:
        for room in rooms():
            assert affiliated(admin, room, "member") == {"alice@rooms.example"}
            assert {"muc_persistent", "muc_membersonly", "muc_hidden"} <= room_features(admin, room)


def test_the_end_writes_only_what_has_changed(own):
    speak(own, rooms()[0])
    fresh = "fresh@conference.rooms.example"
    with own.admin() as admin:
        join(admin, fresh, "service")  # and the configuration never comes
        settle(admin)
    before = own.log_text().count("SQL transaction begin")
    own.stop()
    assert written(own) == {"room-0", "fresh"}
    assert own.log_text().count("SQL transaction begin") - before < ROOMS
    own.start()
    assert_whole(own)
    with own.admin() as admin:
        assert "muc_persistent" in room_features(admin, fresh)


@pytest.mark.provokes("disk trouble")
def test_what_cannot_be_written_keeps_no_other_room_away(own):
    for room in rooms()[:2]:
        speak(own, room)
    with own.disk_trouble("prosody", "NEW.store='state' AND NEW.\"user\"='room-0'"):
        own.stop()
    assert "room-1" in written(own)
    assert "Could not save the rooms in one transaction" in own.log_text()
    own.start()
    assert_whole(own)


def test_a_host_that_goes_writes_no_room(own):
    for room in rooms():
        speak(own, room)
    with own.user("alice@rooms.example") as alice:
        for room in rooms():
            join(alice, room, "alice")
        before = own.log_text().count("SQL transaction begin")
        own.delete_host("rooms.example")
    assert written(own) == set()
    assert own.log_text().count("SQL transaction begin") - before < 2 * ROOMS
