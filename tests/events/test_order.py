"""Order never matters, nor do duplicates (docs/ARCHITECTURE.md#order-never-matters): the room ends as in broker order."""

from __future__ import annotations

import itertools
import random
import uuid

import pytest

from support.platform import Platform
from support.rooms import Room
from support.xmpp import Client

ALL_ORDERS = list(itertools.permutations(range(4)))


@pytest.mark.parametrize("order", random.Random(7).sample(ALL_ORDERS, 8), ids=str)
def test_any_order_ends_as_the_brokers(platform: Platform, admin: Client, order: tuple[int, ...]):
    room = Room(platform, f"order-{uuid.uuid4().hex[:8]}", "usersGroup")
    events = [
        (room.created, room.payload(owner="alice", participants=["bob", "carol"])),
        (room.left, room.of(["bob"])),
        (room.joined, room.of(["dave"])),
        (room.left, room.of(["carol"])),
    ]
    versions = [platform.version() for _ in events]
    for index in order:
        platform.deliver(*events[index], versions[index])
    assert room.affiliated(admin, "member") == {room.jid_of("dave")}
    assert room.jid_of("alice") in room.affiliated(admin, "owner")


@pytest.mark.parametrize("order", random.Random(8).sample(ALL_ORDERS, 8), ids=str)
def test_any_order_with_a_second_life(platform: Platform, admin: Client, order: tuple[int, ...]):
    room = Room(platform, f"lives-{uuid.uuid4().hex[:8]}", "conference")
    events = [
        (room.created, room.payload(owner="alice", participants=["bob"])),
        (room.deleted, room.payload()),
        (room.created, room.payload(owner="alice", participants=["carol"])),
        (room.joined, room.of(["dave"])),
    ]
    versions = [platform.version() for _ in events]
    for index in order:
        platform.deliver(*events[index], versions[index])
    assert room.affiliated(admin, "member") == {room.jid_of("carol"), room.jid_of("dave")}


def test_reversed_a_room_ends_destroyed(platform: Platform, admin: Client, any_room: Room):
    creation, join, deletion = (platform.version() for _ in range(3))
    platform.deliver(any_room.deleted, any_room.payload(), deletion)
    platform.deliver(any_room.joined, any_room.of(["bob"]), join)
    platform.deliver(any_room.created, any_room.payload(owner="alice", participants=["carol"]), creation)
    assert not any_room.exists(admin)


def test_duplicates_change_nothing(platform: Platform, admin: Client, any_room: Room, names: list[str]):
    alice, bob, carol = names
    b = platform.online(any_room.jid_of(bob))
    steps = [(any_room.created, any_room.payload(owner=alice, participants=[bob]), platform.version()),
             (any_room.joined, any_room.of([carol]), platform.version()),
             (any_room.left, any_room.of([carol]), platform.version())]
    for step in [*steps, *steps, *reversed(steps)]:
        platform.deliver(*step)
    assert any_room.affiliated(admin, "member") == {any_room.jid_of(bob)}
    assert any_room.invitations(b) == 1, "invited once however often the event came"


def test_a_burst_of_joins_and_leaves_ends_right(platform: Platform, admin: Client, room: Room):
    users = [f"user{number}" for number in range(60)]
    room.create("alice")
    for user in users:
        room.publish(room.joined, room.of([user]))
    for user in users[::2]:
        room.publish(room.left, room.of([user]))
    room.wait_affiliated(admin, "member", users[1::2])
