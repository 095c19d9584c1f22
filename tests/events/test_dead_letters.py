"""Poison goes to the dead letters at once and says why; what fails for a passing reason does not."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest

from stack.dead_letters import BROKER
from stack.redrive import Redrive
from stack.event_types import ROUTING_KEYS
from support.platform import BROKER_DEAD, FUNCTIONS, Platform
from support.rooms import DOMAIN, Room
from support.wait import until
from support.xmpp import Client


def tag() -> str:
    return f"poison-{uuid.uuid4().hex[:8]}"


@pytest.mark.parametrize("key", ROUTING_KEYS.values())
def test_a_payload_that_lacks_its_fields(platform: Platform, key: str):
    mark = tag()
    platform.publish(key, {"comment": mark})
    letter = platform.wait_dead(FUNCTIONS[key], mark)
    assert letter.attributes["code"]["StringValue"]
    assert "missing" in letter.attributes["reason"]["StringValue"]
    assert len(letter.reason) <= 256 and letter.reason.isascii()


@pytest.mark.parametrize("body", [b"no json %s", b'"%s"', b'["%s"]', b'{"id": "%s", "domain": 7}', b"\xff\xfe %s"], ids=repr)
def test_what_is_no_event(platform: Platform, body: bytes):
    mark = tag()
    platform.publish_body("usersGroup.created", body.replace(b"%s", mark.encode()), id=mark)
    letter = platform.wait_dead("users-group-created", mark)
    assert letter.reason.startswith(letter.attributes["code"]["StringValue"])


def test_a_name_that_the_xmpp_server_would_change(platform: Platform, room: Room):
    room.create("alice", ["ÀLICE"])
    assert platform.wait_dead("users-group-created", room.id).attributes["code"]["StringValue"]


def test_an_event_that_is_too_old(platform: Platform, room: Room, admin: Client):
    platform.deliver(room.created, room.payload(owner="alice"), platform.version(), age=timedelta(days=21, minutes=1))
    assert platform.wait_dead("users-group-created", room.id).attributes["code"]["StringValue"] == "expired"
    assert not room.exists(admin)
    platform.deliver(room.created, room.payload(owner="alice"), platform.version(), age=timedelta(days=20, hours=23))
    assert room.exists(admin)


def test_one_poisoned_message_holds_nobody_else_up(platform: Platform, admin: Client, room: Room):
    mark = tag()
    platform.publish(room.joined, {"comment": mark})
    room.create("alice")
    platform.publish(room.joined, {"comment": mark})
    room.publish(room.joined, room.of(["bob"]))
    room.wait_affiliated(admin, "member", ["bob"])


def test_an_unknown_routing_key_and_its_correction(platform: Platform, admin: Client, room: Room):
    key = f"usersGroup.made-{uuid.uuid4().hex[:8]}"
    platform.publish(key, room.payload(owner="alice", participants=["bob"]), bare=True)

    def headers() -> dict | None:
        with platform.broker() as broker:
            return next((one.headers for one in broker.fetch(BROKER_DEAD)
                         if one.headers.get("x-sippo-routing-key") == key), None)
    found = until(headers, "the dead letter in RabbitMQ")
    assert found["x-sippo-code"] and found["x-sippo-reason"] and "." in str(found["x-sippo-version"])
    assert not room.exists(admin)
    with platform.broker() as broker:
        redrive = Redrive(platform.queues, broker, BROKER_DEAD, [BROKER], [], {key: room.created})
        assert redrive.bring_back() >= 1
    room.wait_affiliated(admin, "member", ["bob"])


def test_what_sqs_cannot_hold(platform: Platform, room: Room):
    platform.publish(room.created, room.payload(owner="alice", name="n", filler="x" * (1 << 20)))

    def found() -> bool:
        with platform.broker() as broker:
            return any(room.id.encode() in one.body for one in broker.fetch(BROKER_DEAD))
    until(found, "the dead letter in RabbitMQ")


def test_a_redriven_event_keeps_its_place(platform: Platform, admin: Client, tenant: str):
    """A creation that was a dead letter while its room was destroyed does not bring it back."""
    room = Room(platform, f"r-{uuid.uuid4().hex[:8]}", "usersGroup", tenant)
    stale, deletion, fresh = (platform.version() for _ in range(3))
    platform.deliver(room.deleted, room.payload(), deletion)
    for version, is_there in ((stale, False), (fresh, True)):
        body = json.dumps({"version": version, "stampedAt": "2100-01-01T00:00:00Z", "routingKey": room.created,
                           "event": room.payload(owner="alice")})
        platform.queues.send("users-group-created-dead", body, {
            "reason": {"DataType": "String", "StringValue": "a test's"},
            "code": {"DataType": "String", "StringValue": "test"},
            "traceparent": {"DataType": "String", "StringValue": f"00-{uuid.uuid4().hex}-00f067aa0ba902b7-01"}})
        letter = platform.wait_dead("users-group-created", version)
        for one in platform.queues.letters("users-group-created"):
            if one.id == letter.id:
                platform.queues.redrive(one)
            else:
                platform.queues.release(one)
        platform.wait_handled("users-group-created")
        assert room.exists(admin) is is_there


def test_a_domain_that_is_not_there_is_waited_for(platform: Platform, admin: Client):
    domain = f"n{uuid.uuid4().hex[:8]}.test"
    room = Room(platform, "waiting", "usersGroup", domain)
    room.create("alice", ["bob"])
    until(lambda: any(domain in str(line) and line["level"] == "warn" for line in platform.log()), "a first failed try")
    assert not [one for one in platform.dead_letters("users-group-created") if domain in one.body]
    platform.publish("domain.created", {"domain": domain})
    room.wait_affiliated(admin, "member", ["bob"])
    assert DOMAIN in platform.hosts()
