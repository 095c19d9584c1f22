"""What is odd in an event costs only itself, and nobody becomes somebody else (docs/CONFIGURATION.md, `[events] names`)."""

from __future__ import annotations

import pytest

from support.platform import Platform
from support.rooms import Room
from support.wait import until
from support.xmpp import Client

LEFT_OUT = "A part of an event is left out"
ODD = ["Zoe", "", " zoe", "ﬁona", "x" * 201, None, 7, ["zoe"], "ann@corp.test", {"username": "Zoe"}, {"name": "zoe"}]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
def test_one_odd_participant_costs_nobody_else(platform: Platform, room: Room, admin: Client, odd: object):
    since = platform.mark()
    room.create("alice", ["bob", odd, "carol"])
    room.wait_affiliated(admin, "member", ["bob", "carol"])
    room.publish(room.joined, room.of([odd, "dan"]))
    room.wait_affiliated(admin, "member", ["bob", "carol", "dan"])
    room.publish(room.left, room.of(["bob", odd, "dan"]))
    room.wait_affiliated(admin, "member", ["carol"])
    lines = [line for line in platform.log(since=since) if line["message"] == LEFT_OUT and line.get("room") == room.jid]
    assert {line["level"] for line in lines} == {"warn"}
    assert {line["reason"].partition(" ")[0].partition(".")[0] for line in lines} == {f"participants[{n}]" for n in (0, 1)}


@pytest.mark.parametrize(("owner", "name"), [("Olga", None), (7, None), ("olga@corp.test", None), ("alice", 7), ("alice", "a\x00b")])
def test_an_odd_owner_or_name_costs_only_itself(platform: Platform, room: Room, admin: Client, owner: object, name: object):
    room.publish(room.created, room.payload(owner=owner, name=name, participants=["bob"]))
    room.wait_affiliated(admin, "member", ["bob"])
    assert room.affiliated(admin, "owner") == ({room.jid_of("alice")} if owner == "alice" else set())


@pytest.mark.parametrize("family", ["usersGroup", "conference"])
@pytest.mark.parametrize("id", ["01HXZ8K3VQ", "V1StGXR8_Z5", "3F2504E0-4F89-11D3", "Ünïcode"])
def test_ids_with_capitals_have_rooms_of_their_own(platform: Platform, admin: Client, family: str, id: str):
    id += family[0].upper()  # groups and conferences have no id in common
    rooms = {one: Room(platform, one, family) for one in (id, id.lower())}
    escaped = "".join(c if c == c.lower() else "".join(f"\\{byte:02x}" for byte in c.encode()) for c in id)
    rooms[id].jid = f"{escaped}@conference.example.test"
    since = platform.mark()
    for room, member in zip(rooms.values(), ("bob", "carol"), strict=True):
        room.create("alice", [member])
        room.wait_affiliated(admin, "member", [member])
    assert {line["room"] for line in platform.log(since=since) if "room" in line} >= {room.jid for room in rooms.values()}


def test_an_email_address_is_nobody_of_another_tenant(platform: Platform, room: Room, admin: Client):
    room.create("alice", ["bob", "ann@partner.test"])
    room.wait_affiliated(admin, "member", ["bob"])
    assert not any("partner.test" in jid for jid in room.affiliated(admin, "member"))
    for guest in ({"username": "ann", "domain": "partner.test"}, {"username": "ann@partner.test"}):
        room.publish(room.joined, room.of([guest]))
    wanted = {"bob@example.test", "ann@partner.test", r"ann\40partner.test@example.test"}
    until(lambda: room.affiliated(admin, "member") == wanted, "both, each as themselves")
