"""Events that are other services': ignored, not bound, or dead letters, as the configuration says."""

from __future__ import annotations

import json

from bridge_env import assert_broker_order, events
from support.wait import until

MUTED = json.dumps({"specversion": "1.0", "id": "ev-1", "source": "/platform", "type": "conference.participant.muted",
                    "data": {"id": "c1", "domain": "a.test", "participant": "bob", "muted": True}}).encode()


def test_others_events_are_ignored_by_default(env):
    bridge = env.bridge(SIPPO_BROKER__UNKNOWN="ignore")
    bridge.wait_for("standby")
    good, others = events(11), [("conference.participant.muted", MUTED)] * 100
    env.publish([event for one in good for event in (*others, one)])
    assert_broker_order(env.collect(11, 60), 11)
    until(lambda: bridge.health().get("acknowledged") == 1_111, "all acknowledged", 60)
    assert env.depth() == 0 and env.depth(env.dead_letters) == 0
    health = bridge.health()
    assert (health["ignored"], health["dead"], health["out"]) == (1_100, 0, 11)
    assert "sippo_xmpp_bridge_ignored_total 1100\n" in bridge.get("/metrics")[1]
    assert not [line for line in bridge.lines() if line["level"] in ("warn", "error")]
    [line] = bridge.beginning("Events of this routing key are ignored")
    assert line["routing_key"] == "conference.participant.muted", "said once"


def test_an_event_that_is_ignored_is_found_by_its_id_and_its_room(env):
    """As under a misspelt routing key: whoever looks for it searches for what it is about."""
    bridge = env.bridge(SIPPO_BROKER__UNKNOWN="ignore", SIPPO_LOG__LEVEL="info")
    bridge.wait_for("standby")
    about = {"chatId": "team-7", "id": "g7", "domain": "a.test"}
    cloud = [{"specversion": "1.0", "id": f"ev-{number}", "source": "/platform", "type": "userGroup.created", "data": about}
             for number in range(200)]
    env.publish([("userGroup.created", json.dumps(one).encode()) for one in cloud])
    env.publish([("domian.created", b'{"domain":"b.test"}')])
    until(lambda: bridge.health().get("ignored") == 201, "all ignored", 30)
    lines = [line for line in bridge.lines() if line.get("routing_key") == "userGroup.created"]
    assert [line["event.id"] for line in lines] == [f"ev-{number}" for number in range(10)], "bounded"
    assert {(line["room"], line["domain"], line["level"]) for line in lines} == {("team-7@conference.a.test", "a.test", "info")}
    assert len({line["version"] for line in lines}) == 10
    [line] = [line for line in bridge.lines() if line.get("routing_key") == "domian.created"]
    assert (line["event.id"], line["domain"]) == ("m-0", "b.test"), "AMQP's message id, where the event has none"


def test_at_debug_each_event_that_is_ignored_is_logged(env):
    bridge = env.bridge(SIPPO_BROKER__UNKNOWN="ignore", SIPPO_LOG__LEVEL="debug")
    bridge.wait_for("standby")
    env.publish([("user.created", b"{}")] * 50)
    until(lambda: bridge.health().get("ignored") == 50, "all ignored", 30)
    lines = [line for line in bridge.lines() if line.get("routing_key") == "user.created"]
    assert {line["event.id"] for line in lines} == {f"m-{number}" for number in range(50)} and len(lines) == 50


def test_what_is_not_bound_does_not_come(env):
    first = env.bridge()
    first.wait_for("standby")
    first.end()
    bridge = env.bridge(SIPPO_BROKER__BINDINGS="usersGroup.#, domain.*,conference.created")
    bridge.wait_for("standby")
    good = [event for event in events(60) if not event[0].startswith("conference.")]
    with env.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for key, body in [("conference.participant.muted", MUTED), *good, ("user.created", b"{}")]:
            channel.basic_publish(env.exchange, key, body)
    until(lambda: bridge.health().get("acknowledged") == len(good), "the events that are bound", 30)
    env.publish([("conference.created", b"{}")])
    until(lambda: bridge.health().get("acknowledged") == len(good) + 1, "one more", 30)
    assert bridge.health()["in"] == len(good) + 1, "the binding of everything is gone"


def test_a_wrong_word_is_one_line(env):
    bridge = env.bridge(SIPPO_BROKER__UNKNOWN="drop")
    assert bridge.process.wait(10) != 0
    text = bridge.log.read_text()
    assert "SIPPO_BROKER__UNKNOWN" in text and "dead-letter" in text and len(text.splitlines()) == 1
