"""Whatever dies, no event is lost and none is handled wrongly."""

from __future__ import annotations

import uuid

import pytest

from support.platform import Platform
from support.rooms import Room
from support.wait import until
from support.xmpp import Client


def publish_crowd(platform: Platform, victim: str, *, joining: int, leaving: int = 0) -> tuple[Room, set[str]]:
    """A group's room whose members join one by one; the victim dies half-way. The room, and who belongs to it in the end."""
    room = Room(platform, f"fault-{uuid.uuid4().hex[:8]}", "usersGroup")
    room.create("alice")
    users = [f"user{number}" for number in range(joining)]
    for number, user in enumerate(users):
        room.publish(room.joined, room.of([user]))
        if number == joining // 2:
            platform.kill(victim)
    for user in users[:leaving]:
        room.publish(room.left, room.of([user]))
    return room, {room.jid_of(user) for user in users[leaving:]}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("victim", ["bridge", "functions", "poller", "rabbitmq"])
def test_a_process_dies_while_events_come(platform: Platform, admin: Client, victim: str):
    room, wanted = publish_crowd(platform, victim, joining=40, leaving=10)
    until(lambda: room.affiliated(admin, "member") == wanted, f"the members of {room.jid}", 120)


@pytest.mark.timeout(240)
def test_the_xmpp_server_dies_while_events_come(platform: Platform):
    room, wanted = publish_crowd(platform, "prosody", joining=20)
    with platform.admin() as admin:
        until(lambda: room.affiliated(admin, "member") == wanted, f"the members of {room.jid}", 120)


def test_the_bridge_takes_up_a_new_epoch(platform: Platform, admin: Client, room: Room):
    room.create("alice")
    room.wait_exists(admin)
    platform.kill("bridge")
    room.publish(room.joined, room.of(["bob"]))
    room.wait_affiliated(admin, "member", ["bob"])
    epochs = [line["epoch"] for line in platform.log("bridge") if "epoch" in line]
    assert epochs == sorted(epochs) and len(set(epochs)) >= 2, epochs
