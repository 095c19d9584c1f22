"""A trace of the platform's, from the AMQP header to the log lines of the function that handles the event."""

from __future__ import annotations

import json
import secrets
import uuid

from support.metrics import total
from support.platform import Platform
from support.rooms import Room
from support.wait import until


def test_an_event_keeps_its_trace(platform: Platform, room: Room):
    since = platform.mark()
    trace, parent, id = secrets.token_hex(16), secrets.token_hex(8), str(uuid.uuid4())
    # They cannot be invited: nobody serves their domain. So the reconciler has something to say, deep inside.
    stranger = {"username": "erin", "domain": f"nowhere-{uuid.uuid4().hex[:8]}.test"}
    body = json.dumps(room.payload(owner="alice", participants=[stranger])).encode()
    with platform.broker() as broker:
        broker.publish("sippo.events", room.created, body, id, {"traceparent": f"00-{trace}-{parent}-01"})

    def found() -> list[dict] | None:
        lines = [line for line in platform.log() if line.get("trace_id") == trace]
        return lines if any(line["message"].startswith("Failed to send invite") for line in lines) else None
    lines = until(found, "lines of the event's trace")
    received = next(line for line in lines if line["message"] == "Received a new usersGroup creation")
    assert received["event.id"] == id
    invite = next(line for line in lines if line["message"].startswith("Failed to send invite"))
    assert (invite["event.id"], invite["room"]) == (id, room.jid)
    assert invite["version"] == received["version"]
    # The work is a span of its own in that trace.
    assert len(invite["span_id"]) == 16 and invite["span_id"] != parent
    # Whatever else is searched by is there too.
    assert {"function_request_id", "cold_start", "service", "location", "timestamp"} <= invite.keys()
    until(lambda: total(platform.metrics(since=since), "invitations_failed") >= 1, "the invitation that failed to be counted")
    # They can be invited now, and the event is done.
    platform.publish("domain.created", {"domain": stranger["domain"]})
    platform.wait_handled("users-group-created")


def test_what_is_no_trace_is_left_out(platform: Platform, room: Room):
    id = str(uuid.uuid4())
    with platform.broker() as broker:
        payload = json.dumps(room.payload(owner="alice")).encode()
        broker.publish("sippo.events", room.created, payload, id, {"traceparent": "00-not-a-trace-01"})
    platform.wait_received(id)
    [line] = [line for line in platform.log() if line.get("event.id") == id and line["message"].startswith("Received")]
    trace = line.get("trace_id")
    assert trace is not None and len(trace) == 32, "it is part of the invocation's own trace"
