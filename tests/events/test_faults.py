"""Whatever dies, no event is lost and none is handled wrongly."""

from __future__ import annotations

import uuid

import pytest

from rooms import Room
from support.platform import Platform
from support.wait import until
from support.xmpp import Client


@pytest.mark.timeout(240)
@pytest.mark.parametrize("victim", ["bridge", "functions", "poller", "rabbitmq"])
def test_a_process_dies_while_events_come(platform: Platform, admin: Client, victim: str):
    room = Room(platform, f"fault-{uuid.uuid4().hex[:8]}", "usersGroup")
    room.create("alice")
    users = [f"user{number}" for number in range(40)]
    for number, user in enumerate(users):
        room.publish(room.joined, room.of([user]))
        if number == 20:
            platform.kill(victim)
    for user in users[:10]:
        room.publish(room.left, room.of([user]))
    wanted = {room.jid_of(user) for user in users[10:]}
    until(lambda: room.affiliated(admin, "member") == wanted, f"the members of {room.jid}", 120)


@pytest.mark.timeout(240)
def test_the_xmpp_server_dies_while_events_come(platform: Platform):
    room = Room(platform, f"fault-{uuid.uuid4().hex[:8]}", "usersGroup")
    room.create("alice")
    users = [f"user{number}" for number in range(20)]
    for number, user in enumerate(users):
        room.publish(room.joined, room.of([user]))
        if number == 10:
            platform.kill("prosody")
    with platform.admin() as admin:
        wanted = {room.jid_of(user) for user in users}
        until(lambda: room.affiliated(admin, "member") == wanted, f"the members of {room.jid}", 120)


def test_the_bridge_takes_up_a_new_epoch(platform: Platform, admin: Client, room: Room):
    room.create("alice")
    room.wait_exists(admin)
    platform.kill("bridge")
    room.publish(room.joined, room.of(["bob"]))
    room.wait_affiliated(admin, "member", ["bob"])
    epochs = [line["epoch"] for line in platform.log("bridge") if "epoch" in line]
    assert epochs == sorted(epochs) and len(set(epochs)) >= 2, epochs
