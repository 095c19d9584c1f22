"""The way of an event from RabbitMQ to SQS while nothing breaks, and what stops it from arriving."""

import json
import signal

import pytest

from bridge_env import KEYS, Version, assert_broker_order, events
from stack.event_types import ROUTING_KEYS
from support.metrics import total
from support.wait import until

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def settled(env, bridge, count: int):
    """Waits until everything is acknowledged."""
    until(lambda: bridge.health().get("acknowledged") == count, f"{count} acknowledgements", 60)
    assert env.depth() == 0


def test_every_event_arrives_once_in_growing_versions(env):
    bridge = env.bridge()
    bridge.wait_for("standby")
    env.publish(events(500))
    messages = env.collect(500)
    assert_broker_order(messages, 500)
    assert len(messages) == 500
    assert sorted(message.version for message in messages) == [Version(1, i) for i in range(1, 501)]
    settled(env, bridge, 500)
    health = bridge.health()
    assert health["state"] == "active" and health["connected"] and health["active"]
    assert (health["epoch"], health["in"], health["out"], health["dead"]) == (1, 500, 500, 0)
    assert health["lastAcknowledgement"].endswith("Z")
    assert len(bridge.lines("Connecting to message-broker")) == 1
    assert bridge.lines("Connecting to message-broker")[0]["level"] == "silly"
    assert bridge.lines("Active consumer")[0]["epoch"] == 1


def test_what_travels(env):
    bridge = env.bridge()
    bridge.wait_for("standby")
    body = b' {"serial": 0, "n": 12345678901234567890.10} '
    env.publish([("domain.created", body)], {"traceparent": TRACE})
    env.publish([("domain.created", b'{"serial": 1}')], {"traceparent": "rubbish"}, message_ids=False)
    first, second = sorted(env.collect(2), key=lambda message: message.version)
    assert first.stamped["messageId"] == "m-0" and "messageId" not in second.stamped
    assert first.attributes["traceparent"]["StringValue"] == TRACE and second.attributes == {}
    assert first.stamped["stampedAt"].endswith("Z")


def test_rubbish_goes_to_the_queue_of_its_type(env):
    bridge = env.bridge()
    bridge.wait_for("standby")
    rubbish = [b"", b"not json", b"\xff\xfe\x00", b'"text"', "\uffff".encode(), b"\x1f\x8b" + bytes(range(256))]
    env.publish([(KEYS[i], body) for i, body in enumerate(rubbish)])
    found = []
    until(lambda: found.extend(env.drain()) or len(found) == len(rubbish), "arrival", 30)
    assert {message.stamped["routingKey"] for message in found} == set(KEYS[:len(rubbish)])
    assert all(isinstance(message.stamped["event"], str) for message in found), "base64"
    settled(env, bridge, len(rubbish))


def test_what_has_no_queue_or_is_too_large_is_dead_in_rabbitmq(env):
    bridge = env.bridge()
    bridge.wait_for("standby")
    large = json.dumps({"serial": 99, "name": "x" * (2 << 20)}).encode()
    good = events(30)
    env.publish(good[:10] + [("user.created", b'{"a":1}')] + good[10:20] + [("domain.created", large), ("", b"no")] + good[20:])
    assert_broker_order(env.collect(30), 30)
    settled(env, bridge, 33)
    dead = {headers["x-sippo-routing-key"]: (headers, body) for headers, body in env.dead()}
    assert set(dead) == {"user.created", "domain.created", ""}
    for key, version, code in [("user.created", "1.11", "unknown-routing-key"), ("domain.created", "1.22", "too-large"),
                               ("", "1.23", "unknown-routing-key")]:
        headers, _ = dead[key]
        assert headers["x-sippo-version"] == version
        assert headers["x-sippo-code"] == code
        assert headers["x-sippo-reason"].startswith(f"{code}: ") and len(headers["x-sippo-reason"]) <= 256
    for key in ("user.created", ""):
        headers, body = dead[key]
        stamped = json.loads(body)
        assert headers["x-sippo-body"] == "stamped"
        assert (stamped["version"], stamped["routingKey"]) == (headers["x-sippo-version"], key)
    # No byte longer than it was published: the broker takes it.
    headers, body = dead["domain.created"]
    assert headers["x-sippo-body"] == "original" and body == large
    assert bridge.health()["dead"] == 3


def test_what_sqs_refuses_for_its_content_is_dead(env):
    env.proxy.faults.refused = "forbidden"
    bridge = env.bridge()
    bridge.wait_for("standby")
    good = events(20)
    env.publish(good[:10] + [("domain.deleted", b'{"a":"forbidden"}')] + good[10:])
    assert_broker_order(env.collect(20), 20)
    settled(env, bridge, 21)
    [(headers, body)] = env.dead()
    assert headers["x-sippo-code"] == "refused" and headers["x-sippo-version"] == "1.11"
    assert json.loads(body)["event"] == {"a": "forbidden"}


def test_large_events_share_no_batch_that_is_too_large(env):
    bridge = env.bridge()
    bridge.wait_for("standby")
    bodies = [json.dumps({"serial": i, "name": "x" * 400_000}).encode() for i in range(12)]
    env.publish([("usersGroup.created", body) for body in bodies])
    messages = env.collect(12)
    assert len(messages) == 12
    settled(env, bridge, 12)


def test_a_stop_loses_nothing(env):
    env.proxy.faults.paused.set()
    bridge = env.bridge()
    bridge.wait_for("standby")
    env.publish(events(1000))
    until(lambda: env.proxy.held > 0 and bridge.health().get("in", 0) > 100, "batches in flight", 30)
    bridge.signal(signal.SIGTERM)
    bridge.wait_for("stopping")
    env.proxy.faults.paused.clear()
    assert bridge.process.wait(30) == 0
    done = [line for line in bridge.lines("Bridge stopped")]
    assert len(done) == 1
    first = env.drain()
    # A call that was held for too long was made again: what it sent is there twice.
    sent = {message.version for message in first}
    # All that was sent was acknowledged: the next one sends none of it again.
    assert sent and env.depth() == 1000 - len(sent)
    metrics = bridge.lines("Metrics")
    # Told when it stops, and counted once however often a call was made.
    assert total(metrics, "bridge_out") == len(sent) <= total(metrics, "bridge_in")
    second = env.bridge()
    messages = env.collect(1000, into=first)
    versions = {message.version for message in messages}
    assert len(versions) == 1000
    assert_broker_order(messages, 1000)
    settled(env, second, 1000 - len(sent))
    assert {version.epoch for version in versions} == {1, 2}


def test_a_disabled_service_consumes_nothing(env, tmp_path):
    (tmp_path / "wac.ini").write_text("[log]\nlevel = info\n")
    bridge = env.bridge(CONFIG_DIR=str(tmp_path), SIPPO_LOG__FORMAT="json")
    status, body = until(bridge.get, "its health", 10)
    assert status == 200 and json.loads(body)["state"] == "disabled"
    bridge.signal(signal.SIGINT)
    assert bridge.process.wait(10) == 0
    assert [line for line in bridge.lines() if line["message"].startswith("The service is disabled")]
    assert bridge.beginning(f"The service is disabled: {tmp_path}/wac.ini has no section [xmpp];"), "the file that it has read"


@pytest.mark.parametrize(("change", "named"), [
    ({"SIPPO_BROKER__URL": ""}, "broker"),
    ({"SIPPO_BROKER__URL": "amqp:nohost"}, "SIPPO_BROKER__URL"),
    ({"SIPPO_QUEUES__URL_PREFIX": "ftp://queues/"}, "SIPPO_QUEUES__URL_PREFIX"),
])
def test_a_bad_configuration_is_one_line(env, change, named):
    bridge = env.bridge(**change)
    assert bridge.process.wait(10) != 0
    lines = [line for line in bridge.log.read_text().splitlines() if not line.startswith("{")]
    assert len(lines) == 1 and named in lines[0], lines


def test_health_and_metrics(env):
    bridge = env.bridge()
    bridge.wait_for("standby")
    status, text = bridge.get("/metrics")
    assert status == 200 and "sippo_xmpp_bridge_connected 1\n" in text
    assert bridge.get("/nothing")[0] == 404
    assert bridge.get("/health", "POST")[0] == 405


def test_without_a_broker_it_is_not_healthy_and_says_so_once(env):
    from stack.ports import free_port
    bridge = env.bridge(SIPPO_BROKER__URL=f"amqp://user:{env.password}@127.0.0.1:{free_port()}")
    until(lambda: len(bridge.lines("Connecting to message-broker")) >= 3, "three tries", 30)
    assert bridge.get()[0] == 503 and bridge.state() == "connecting"
    assert len([line for line in bridge.lines() if line["level"] in ("warn", "error")]) == 1
    bridge.signal(signal.SIGTERM)
    assert bridge.process.wait(10) == 0


def test_the_functions_names_are_the_queues(env):
    bridge = env.bridge()
    bridge.wait_for("standby")
    env.publish([(key, json.dumps({"serial": i}).encode()) for i, key in enumerate(KEYS)])
    messages = env.collect(len(KEYS))
    assert {message.function: message.stamped["routingKey"] for message in messages} == ROUTING_KEYS
