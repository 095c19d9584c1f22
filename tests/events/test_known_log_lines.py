"""The known log lines of the events' half (docs/OPERATIONS.md#known-log-lines): to the letter, and at their level."""

from __future__ import annotations

import json
import uuid

import pytest

from stack.event_types import ROUTING_KEYS
from support.platform import Platform
from support.rooms import DOMAIN, Room
from support.stanzas import join
from support.wait import until
from support.xmpp import Client

RECEIVED = {
    "usersGroup.created": "Received a new usersGroup creation",
    "usersGroup.deleted": "Received a usersGroup deletion",
    "usersGroup.participants.joined": "Received a change in a group participants (joining)",
    "usersGroup.participants.left": "Received a change in a group participants (leaving)",
    "domain.created": "Received a notification of a new domain",
    "domain.deleted": "Received a notification of a deleted domain",
    "conference.participant.joined": "Received a notification of a new participant in a conference",
    "conference.participant.left": "Received a notification of a participant leaving a conference",
    "conference.created": "Received a new conference",
    "conference.destroyed": "Received a conference destroyed",
}


def payload(key: str) -> dict:
    """A good payload of this type, of a room or domain of its own."""
    if key.startswith("domain."):
        return {"domain": f"n{uuid.uuid4().hex[:8]}.test"}
    base = {"id": f"log-{uuid.uuid4().hex[:8]}", "domain": DOMAIN}
    return base | ({"participants": ["bob"]} if "participants" in key else {"participant": "bob"} if "participant" in key else {})


def test_the_line_of_every_type_is_known_here():
    assert set(RECEIVED) == set(ROUTING_KEYS.values()), "write the new type's line here, to the letter, and into docs/OPERATIONS.md"


@pytest.mark.parametrize("key", RECEIVED)
def test_each_event_is_announced(platform: Platform, key: str):
    since = platform.mark()
    id = platform.publish(key, payload(key))
    platform.wait_received(id)
    lines = [line for line in platform.log(since=since) if line.get("event.id") == id and line["message"] == RECEIVED[key]]
    assert [line["level"] for line in lines] == ["debug"]


def test_a_kick_is_told(platform: Platform, room: Room, names: list[str]):
    alice, bob, _ = names
    b = platform.online(room.jid_of(bob))
    room.create(alice, [bob])
    room.wait_invitation(b)
    join(b, room.jid, bob)
    room.publish(room.left, room.of([bob]))
    platform.wait_log("debug", f"Kicking {room.jid_of(bob)} from {room.jid}")


def test_a_conference_tells_its_payload_and_its_end(platform: Platform, admin: Client):
    conference = Room(platform, f"log-{uuid.uuid4().hex[:8]}", "conference")
    conference.create("alice")
    conference.wait_exists(admin)
    prefix = "ConferenceCreated payload "

    def line() -> dict | None:
        return next((one for one in platform.log() if one["message"].startswith(prefix) and conference.id in one["message"]), None)
    found = until(line, "the payload's line")
    assert found["level"] == "silly"
    assert json.loads(found["message"].removeprefix(prefix)) == conference.payload(owner="alice")
    conference.publish(conference.deleted, conference.payload())
    platform.wait_log("silly", f"Destroying MUC {conference.jid}")


def test_the_bridge_tells_that_it_connects(platform: Platform):
    platform.wait_log("silly", "Connecting to message-broker", "bridge")


def test_a_failed_invitation_is_told(platform: Platform, room: Room, admin: Client):
    # Nobody serves that domain yet, so the invitation bounces; the membership stands, and the event waits for the domain.
    guest = f"erin@nowhere-{uuid.uuid4().hex[:8]}.test"
    username, _, domain = guest.partition("@")
    room.create("alice", [{"username": username, "domain": domain}])
    platform.wait_log("warn", f"Failed to send invite to MUC {room.jid} to user {guest}")
    room.wait_exists(admin)
    platform.publish("domain.created", {"domain": domain})
    platform.wait_handled("users-group-created")
    room.wait_invitation(platform.online(guest))


def test_a_server_that_is_down_is_told_and_waited_for(platform: Platform, admin: Client):
    # Stopped, not killed: it hangs for as long as the test needs, whatever the supervisor does.
    import os
    import signal
    room = Room(platform, f"log-{uuid.uuid4().hex[:8]}", "usersGroup")
    since = platform.mark()
    pid = platform.supervisor.pid("prosody")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        # Functions that have no session yet, and so must connect.
        host = platform.supervisor.pid("functions")
        assert host is not None
        os.kill(host, signal.SIGKILL)
        until(lambda: platform.supervisor.pid("functions") not in (None, host), "the functions' new start")
        domain = f"n{uuid.uuid4().hex[:8]}.test"
        room.create("alice", ["bob"])
        platform.publish("domain.created", {"domain": domain})
        platform.wait_log("error", "Failed to obtain [admin] XMPP client", since=since)
        platform.wait_log("error", f"Failed to create {domain} host in XMPP server", since=since)
    finally:
        os.kill(pid, signal.SIGCONT)
    room.wait_affiliated(admin, "member", ["bob"])
    until(lambda: domain in platform.hosts(), f"virtual host {domain}")


def test_every_line_is_json_without_secrets(platform: Platform):
    for name in ("functions", "bridge", "poller"):
        text = (platform.paths.logs / f"{name}.log").read_text()
        for secret in (platform.stack.admin_token, platform.stack.rabbitmq.password):
            assert secret not in text
        for line in text.splitlines():
            # The last words of functions whose runtime was killed by a test; two may share a line.
            if line.startswith("the Lambda runtime ended") or not line:
                continue
            assert {"level", "message", "timestamp"} <= json.loads(line).keys(), line
