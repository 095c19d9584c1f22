"""What events/asyncapi.yaml allows is handled by the running stack; what it forbids is a dead letter and does nothing, or is
left out of an event whose rest is handled."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from allowed import edges, generated
from event_document import FORMS, Message, places
from forbidden import Mistake, in_words, no_objects, systematic
from stack import aws, fake_aws
from stack.dead_letters import DEAD
from stack.event_types import EVENT_FUNCTIONS
from stack.rabbitmq import EXCHANGE, QUEUE
from support.platform import BROKER_DEAD, Platform
from support.wait import until

pytestmark = pytest.mark.timeout(400)  # less than 60 s, unless others keep the machine busy
TYPES = len(EVENT_FUNCTIONS)
EXAMPLES = 10
"""Generated for each message."""
PUBLISHERS = 8
"""Connections to the broker, each of which waits for the confirmation of every event."""
PATIENCE = 120.0
"""Seconds until every event of a batch is accounted for, at most."""
Published = tuple[str, bytes, str]
"""Routing key, body, and AMQP's message_id."""
Found = tuple[str, str, str]
"""Of a dead letter: code, reason, body."""


@pytest.fixture(scope="module")
def platform(folder) -> Iterator[Platform]:
    """A stack of these tests' own: nothing but their events is in its queues."""
    platform = Platform(folder / "platform", log_level="debug").start()
    yield platform
    platform.stop()


def event(message: Message, payload: dict) -> tuple[str, Published]:
    """The id that the event will have, and what to publish."""
    message_id = str(uuid.uuid4())
    id = payload["id"] if message.form == "CloudEvent" else message_id
    return id, (message.routing_key, json.dumps(payload, ensure_ascii=False).encode(), message_id)


def publish(platform: Platform, events: list[Published]) -> None:
    """Publishes a batch, in no order."""
    def publish_some(start: int) -> None:
        with platform.broker() as broker:
            for routing_key, body, message_id in events[start::PUBLISHERS]:
                broker.publish(EXCHANGE, routing_key, body, message_id)

    with ThreadPoolExecutor(PUBLISHERS) as pool:
        list(pool.map(publish_some, range(PUBLISHERS)))


def understood(platform: Platform, since: int) -> dict[str, str]:
    """The log's line for each event that a function has understood, by its id."""
    return {line["event.id"]: line["message"] for line in platform.log(since=since) if line["message"].startswith("Received ")}


def depth(platform: Platform, names: Iterable[str]) -> int:
    """Messages in queues, visible or not."""
    return sum(sum(platform.queues.depths(name)) for name in names)


def dead(platform: Platform) -> int:
    """Dead letters, in SQS and in the broker."""
    with platform.broker() as broker:
        return depth(platform, [name + DEAD for name in EVENT_FUNCTIONS]) + (broker.depth(BROKER_DEAD) or 0)


def handle(platform: Platform, events: dict[str, Published]) -> dict[str, str]:
    """Publishes a batch, waits until all of it is handled, and returns the log's lines of its events. None is a dead letter."""
    since, dead_before = platform.mark(), dead(platform)
    publish(platform, list(events.values()))
    try:
        until(lambda: events.keys() <= understood(platform, since).keys() and depth(platform, EVENT_FUNCTIONS) == 0,
              "all events to be handled", PATIENCE)
    except TimeoutError:
        reasons = [line for line in platform.log(since=since) if line["level"] in ("warn", "error")]
        missing = events.keys() - understood(platform, since).keys()
        pytest.fail(f"{len(missing)} of {len(events)} were not understood: {[events[id] for id in missing][:5]}; "
                    f"of others the log says {reasons[-5:]}")
    assert dead(platform) == dead_before, [letter for letter in letters(platform).items() if letter[0] in
                                           {message_id for _, _, message_id in events.values()}][:5]
    with platform.broker() as broker:
        assert broker.depth(QUEUE) == 0
    return understood(platform, since)


def letters(platform: Platform) -> dict[str, Found]:
    """All dead letters, those in the broker too, by AMQP's message_id. They are hidden from the next look for a while."""
    found = [(one.attributes["code"]["StringValue"], one.reason, one.body)
             for function in EVENT_FUNCTIONS for one in platform.queues.letters(function)]
    with platform.broker() as broker:
        found += [(one.headers["x-sippo-code"], one.headers["x-sippo-reason"], one.body.decode())
                  for one in broker.fetch(BROKER_DEAD)]
    return {json.loads(body).get("messageId"): (code, reason, body) for code, reason, body in found}


def test_every_example_is_handled(platform, all_messages):
    events = dict(event(message, message.example) for message in all_messages)
    assert len(events) == 2 * TYPES
    lines = handle(platform, events)
    received = {(routing_key, lines[id]) for id, (routing_key, _, _) in events.items()}
    assert len(received) == len({line for _, line in received}) == TYPES, "each type has a line, in both envelopes the same"


def test_generated_events_are_handled(platform, all_messages):
    events = {}
    for message in all_messages:
        for payload in [*generated(message, EXAMPLES), *edges(message)]:
            assert message.allows(payload), payload
            if message.form == "CloudEvent":
                payload["id"] = f"{uuid.uuid4()} {payload['id']}"
            id, published = event(message, payload)
            events[id] = published
    assert len(events) >= 200 and len({key for key, _, _ in events.values()}) == TYPES
    handle(platform, events)


def ledger(platform: Platform) -> list[str]:
    """All that events have left behind."""
    found, start = [], {}
    while True:
        page = aws.call(platform.stack.ports.queue, "dynamodb", "Scan", TableName=fake_aws.TABLE, **start)
        found += [json.dumps(item, sort_keys=True) for item in page["Items"] if item["pk"] != {"S": "bridge"}]
        if not page.get("LastEvaluatedKey"):
            return sorted(found)
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def forbidden(all_messages: list[Message], service_domain: str) -> Iterator[Mistake]:
    """Every mistake there is."""
    for message in all_messages:
        found = list(systematic(message))
        left = set(places(message.example)) - {one.path for one in found}
        assert left <= {("time",)}, f"of {message.routing_key} ({message.form}) anything is allowed for {left}"
        yield from found
        if message.form == FORMS[1]:
            yield from no_objects(message.routing_key)
    [created] = [one for one in all_messages if one.function == "users-group-created" and one.form == FORMS[1]]
    yield from in_words(created, service_domain)
    for key in ("usersGroup.made", "usersgroup.created", "usersGroup", "usersGroup.created.", "domain.created.now", "x" * 255):
        yield Mistake(key, "no event's", json.dumps(created.example).encode(), frozenset({"unknown-routing-key"}))


def carries(stamped: str, body: bytes) -> bool:
    """Whether a dead letter holds what was published: JSON as it was, anything else in base64."""
    event = json.loads(stamped)["event"]
    return base64.b64decode(event) == body if isinstance(event, str) else json.loads(body) == event


def test_what_is_forbidden_is_a_dead_letter_and_does_nothing(platform, all_messages):
    service_domain = platform.stack.prosody.admin_jid.partition("@")[2]
    cases = {str(uuid.uuid4()): mistake for mistake in forbidden(all_messages, service_domain) if not mistake.costs_a_part}
    assert len(cases) > 3000
    since, dead_before, ledger_before, hosts = platform.mark(), dead(platform), ledger(platform), platform.hosts()
    publish(platform, [(one.routing_key, one.body, message_id) for message_id, one in cases.items()])
    until(lambda: dead(platform) >= dead_before + len(cases) and depth(platform, EVENT_FUNCTIONS) == 0,
          f"{len(cases)} dead letters", PATIENCE)
    found, wrong = letters(platform), []
    for message_id, mistake in cases.items():
        code, reason, body = found.get(message_id, ("none", "", "{}"))
        if code not in mistake.codes or not reason.startswith(f"{code}: ") or "; " not in reason or not carries(body, mistake.body):
            wrong.append((mistake.routing_key, mistake.what, code, reason))
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(map(repr, wrong[:20]))
    assert understood(platform, since) == {}
    assert ledger(platform) == ledger_before and platform.hosts() == hosts


def test_what_costs_a_part_is_left_out_and_told(platform, all_messages):
    service_domain = platform.stack.prosody.admin_jid.partition("@")[2]
    bare = [message for message in all_messages if message.form == FORMS[1]]
    cases = {str(uuid.uuid4()): mistake for mistake in forbidden(bare, service_domain) if mistake.costs_a_part}
    assert len(cases) > 200
    since = platform.mark()
    handle(platform, {id: (mistake.routing_key, mistake.body, id) for id, mistake in cases.items()})
    told: dict[str, set[str]] = {}
    for line in platform.log(since=since):
        if line["message"] == "A part of an event is left out":
            assert line["level"] == "warn" and "; " in line["reason"]
            told.setdefault(line["event.id"], set()).add(line["code"])
    wrong = [(mistake.what, told.get(id)) for id, mistake in cases.items() if not told.get(id, set()) & mistake.codes]
    assert not wrong, f"{len(wrong)} of {len(cases)}: {wrong[:20]}"
