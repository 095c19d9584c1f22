"""What functions and bridge tell CloudWatch, in the lines that it reads."""

from __future__ import annotations

import os
import signal
import uuid

from support.metrics import total, values
from support.platform import Platform
from support.rooms import Room
from support.wait import until
from support.xmpp import Client


def test_events_are_counted_by_what_became_of_them(platform: Platform, room: Room, admin: Client):
    since = platform.mark()
    room.create("alice", ["bob"])
    room.wait_affiliated(admin, "member", ["bob"])
    body = f"not JSON {uuid.uuid4()}"
    platform.publish_body(room.joined, body.encode())
    # Older than the creation, so it changes nothing.
    platform.deliver(room.deleted, room.payload(), "0.1")

    def counted() -> bool:
        lines = platform.metrics(since=since)
        return total(lines, "events_handled") >= 2 and total(lines, "events_dead") >= 1 and total(lines, "events_stale") >= 1
    until(counted, "metrics of a handled, a stale and a dead event")
    for line in platform.metrics(since=since):
        measured = values(line)
        assert measured["batch_size"][0] >= 1
        assert all(lag > 0 for lag in measured.get("event_lag", []))
    assert total(platform.metrics(since=since), "batch_size") >= 3


def test_an_xmpp_server_that_is_away_is_counted(platform: Platform, room: Room, admin: Client):
    since = platform.mark()
    pid = platform.supervisor.pid("prosody")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        platform.kill("functions")
        room.create("alice", ["bob"])
        until(lambda: total(platform.metrics(since=since), "xmpp_connect_failures") >= 1, "a failure to connect that is counted")
        assert not any("cell" in line for line in platform.metrics(since=since)), "there is one"
        until(lambda: total(platform.metrics(since=since), "events_failed") >= 1, "an event that comes again to be counted")
    finally:
        os.kill(pid, signal.SIGCONT)
    room.wait_affiliated(admin, "member", ["bob"])
    until(lambda: total(platform.metrics(since=since), "xmpp_connects") >= 1, "a session that is counted")


def test_the_bridge_tells_that_it_is_connected(platform: Platform):
    # Once a minute.
    until(lambda: any(values(line)["bridge_connected"] == [1] for line in platform.metrics("bridge")), "a connected bridge", 90)
