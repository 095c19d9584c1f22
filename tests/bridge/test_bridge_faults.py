"""What breaks: calls to SQS, bridges, the broker. Nothing is lost, and versions keep the broker's order."""

import itertools
import json
import os
import signal
import threading
import urllib.parse
import uuid

from bridge_env import BridgeEnv, assert_broker_order, events
from support.wait import until
from stack import rabbitmq
from stack.paths import StackPaths

TOO_OFTEN = 30
"""Times, for RabbitMQ 4 where nothing is said."""


def run(env: BridgeEnv, count: int, timeout: float = 90.0):
    """Collects `count` events and waits until the broker has no more."""
    messages = env.collect(count, timeout)
    until(lambda: env.depth() == 0, "an empty queue", 30)
    messages += env.drain()
    assert_broker_order(messages, count)
    return messages


def standby(env, broker):
    """A bridge whose queues the broker would remember if it were killed: see rabbitmq.remembers."""
    bridge = env.bridge()
    bridge.wait_for("standby")
    for queue in (env.name, env.dead_letters):
        until(lambda queue=queue: rabbitmq.remembers(broker, queue), f"the log of {queue} to be written down", 60)
    return bridge


def test_failed_entries_are_tried_alone(env):
    env.proxy.faults.entries = 0.3
    bridge = env.bridge()
    bridge.wait_for("standby")
    env.publish(events(600))
    messages = run(env, 600)
    assert len(messages) == 600, "what was accepted was not sent again"
    assert env.proxy.failed_entries > 100
    until(lambda: bridge.health()["acknowledged"] == 600, "acknowledgements", 30)
    assert bridge.health()["epoch"] == 1, "no session was lost for it"
    assert len([line for line in bridge.lines() if line["level"] == "warn"]) == 1, "said once, not each time"


def test_broken_calls_are_repeated(env):
    env.proxy.faults.unsent, env.proxy.faults.unanswered = 0.2, 0.2
    bridge = env.bridge()
    bridge.wait_for("standby")
    env.publish(events(600))
    messages = run(env, 600)
    assert env.proxy.broken_calls > 10 and len(messages) > 600, "an unanswered batch comes twice"
    versions = {}
    for message in messages:
        versions.setdefault(message.stamped["event"]["serial"], set()).add(message.version)
    assert all(len(found) == 1 for found in versions.values()), "a repeated batch keeps its versions"
    until(lambda: bridge.health()["acknowledged"] == 600, "acknowledgements", 30)


def test_nothing_is_acknowledged_before_sqs_has_it(env):
    env.proxy.faults.entries = 1.0
    bridge = env.bridge()
    bridge.wait_for("standby")
    env.publish(events(50))
    until(lambda: env.proxy.failed_entries > 100, "failures", 30)
    assert bridge.health()["acknowledged"] == 0
    bridge.process.kill()
    bridge.process.wait()
    until(lambda: env.depth() == 50, "all of them back in the queue", 30)
    env.proxy.faults.entries = 0.0
    env.bridge()
    assert {message.version.epoch for message in run(env, 50)} == {2}


def test_one_works_and_the_other_takes_over(env):
    first = env.bridge()
    first.wait_for("standby")
    second = env.bridge()
    second.wait_for("standby")
    env.publish(events(200))
    first.wait_for("active")
    assert second.state() == "standby" and second.health()["in"] == 0 and second.get()[0] == 200
    stop = threading.Event()
    sent = [200]

    def publisher():
        while not stop.is_set():
            env.publish(events(50, sent[0]))
            sent[0] += 50

    publishing = threading.Thread(target=publisher)
    publishing.start()
    until(lambda: first.health().get("acknowledged", 0) > 300, "work", 30)
    first.process.kill()
    health = second.wait_for("active", timeout=10)
    assert health["epoch"] >= 2
    until(lambda: second.health()["acknowledged"] > 100, "work", 30)
    stop.set()
    publishing.join()
    run(env, sent[0])


def test_one_that_was_paused_and_deposed_does_no_harm(env):
    env.proxy.faults.paused.set()
    first = env.bridge(SIPPO_BROKER__URL=env.amqp_url + "?heartbeat=2")
    first.wait_for("standby")
    second = env.bridge()
    second.wait_for("standby")
    env.publish(events(400))
    first.wait_for("active")
    until(lambda: env.proxy.held > 0 and first.health()["in"] > 100, "batches in flight", 30)
    first.signal(signal.SIGSTOP)
    env.proxy.faults.paused.clear()
    env.publish(events(400, 400))
    # The broker finds out by missing heartbeats.
    second.wait_for("active", timeout=30)
    messages = env.collect(800)
    first.signal(signal.SIGCONT)
    first.wait_for("standby", timeout=30)
    env.publish(events(200, 800))
    env.collect(1000, into=messages)
    until(lambda: env.depth() == 0, "an empty queue", 30)
    messages += env.drain()
    assert_broker_order(messages, 1000)
    until(lambda: second.health()["acknowledged"] >= 1000, "every event acknowledged by the second", 30)
    assert first.health()["acknowledged"] == 0


def test_bridges_paused_by_turns(env):
    bridges = [env.bridge(SIPPO_BROKER__URL=env.amqp_url + "?heartbeat=2") for _ in range(2)]
    for bridge in bridges:
        bridge.wait_for("standby")
    count, messages = 0, []
    for turn in range(4):
        env.publish(events(150, count))
        count += 150
        active = until(lambda: next((b for b in bridges if b.health().get("active")), None), "an active one", 30)
        other = bridges[1 - bridges.index(active)]
        active.signal(signal.SIGSTOP)
        env.publish(events(50, count))
        count += 50
        other.wait_for("active", timeout=30)
        env.collect(count, into=messages)
        active.signal(signal.SIGCONT)
        active.wait_for("standby", timeout=30)
    until(lambda: env.depth() == 0, "an empty queue", 30)
    messages += env.drain()
    assert_broker_order(messages, count)


def test_a_broker_that_is_killed_loses_nothing(env, supervisor, paths: StackPaths, broker):
    bridge = standby(env, broker)
    env.proxy.faults.entries = 0.2
    env.publish(events(2000))
    until(lambda: bridge.health().get("acknowledged", 0) > 100, "work", 30)
    os.kill(supervisor.pid("rabbitmq"), signal.SIGKILL)
    bridge.wait_for("connecting", timeout=40)
    assert bridge.get()[0] == 503
    supervisor.wait_ready("rabbitmq", 90)
    bridge.wait_for("standby", "active", timeout=60)
    messages = env.collect(2000, 90)
    env.publish(events(100, 2000))
    env.collect(2100, into=messages)
    until(lambda: env.depth() == 0, "an empty queue", 30)
    messages += env.drain()
    assert_broker_order(messages, 2100)
    assert len(bridge.lines("Connected to the message broker again")) >= 1


def test_dead_letters_survive_a_broker_that_is_killed(env, supervisor, broker):
    bridge = standby(env, broker)
    env.publish([("nobody.knows", str(i).encode()) for i in range(100)])
    until(lambda: bridge.health().get("dead", 0) > 20, "dead letters", 30)
    os.kill(supervisor.pid("rabbitmq"), signal.SIGKILL)
    supervisor.wait_ready("rabbitmq", 90)
    bridge.wait_for("standby", "active", timeout=60)
    until(lambda: env.depth(env.dead_letters) >= 100 and env.depth() == 0, "all dead letters", 60)
    assert {json.loads(body)["event"] for _, body in env.dead()} == set(range(100))


def test_the_broker_counts_no_consumer_that_waits_behind_another(env):
    """From that a bridge tells that it has stalled: nobody is active, and messages wait."""
    for _ in range(2):
        env.bridge().wait_for("standby")
    assert env.active_consumers() == 1
    for bridge in env.bridges:
        bridge.process.kill()
    until(lambda: env.active_consumers() == 0, "the end of both", 30)


def test_what_the_broker_gives_up_is_a_dead_letter(env, broker):
    """An operator's policy gives events up that come back too often, as RabbitMQ 4 does where nothing is said."""
    bridge = standby(env, broker)
    env.ctl("set_policy", "--apply-to", "queues", env.name, f"^{env.name}$", '{"delivery-limit": 2}')
    env.proxy.faults.entries = 1.0
    env.publish(events(50))
    for _ in range(3):
        until(lambda bridge=bridge: bridge.health().get("in") == 50, "deliveries", 30)
        bridge.process.kill()
        bridge.process.wait()
        bridge = env.bridge()
    until(lambda: env.depth(env.dead_letters) == 50, "dead letters", 30)
    assert env.depth() == 0
    dead = env.dead()
    assert {json.loads(body)["serial"] for _, body in dead} == set(range(50))
    assert {headers["x-death"][0]["reason"] for headers, _ in dead} == {"delivery_limit"}


def test_what_comes_back_often_is_not_given_up(env):
    """RabbitMQ 4 gives a message up that has come back more than 20 times, where a queue asks for nothing else."""
    bridge = env.bridge()
    bridge.wait_for("standby")
    bridge.process.kill()
    bridge.process.wait()
    env.publish(events(1))
    with env.connect() as connection:  # the only consumer now, so the active one
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for method, _, body in itertools.islice(channel.consume(env.name), TOO_OFTEN):
            channel.basic_nack(method.delivery_tag, requeue=True)
    env.bridge()
    [message] = run(env, 1)
    assert message.stamped["event"] == json.loads(body)
    assert env.depth(env.dead_letters) == 0


def test_a_register_that_moved_on_stops_acknowledgements(env):
    """As after a restored table, whose epoch an operator has raised."""
    from stack import aws
    bridge = env.bridge()
    bridge.wait_for("standby")
    env.publish(events(20))
    messages = run(env, 20)
    until(lambda: bridge.health()["acknowledged"] == 20, "acknowledgements", 30)
    aws.call(env.aws_port, "dynamodb", "UpdateItem", TableName=env.name,
             Key={"pk": {"S": "bridge"}, "sk": {"S": "epoch"}}, UpdateExpression="SET epoch = :e",
             ExpressionAttributeValues={":e": {"N": "40"}})
    env.publish(events(20, 20))
    env.collect(40, into=messages)
    until(lambda: bridge.health()["acknowledged"] == 40, "acknowledgements", 30)
    messages += env.drain()
    assert_broker_order(messages, 40)
    newest = {}
    for message in messages:
        number = message.stamped["event"]["serial"]
        newest[number] = max(newest.get(number, message.version), message.version)
    assert [newest[i].epoch for i in range(40)] == [1] * 20 + [41] * 20


def test_a_queue_declared_by_others_is_told_with_its_mend(env):
    with env.connect() as connection:
        connection.channel().queue_declare(env.name, durable=True)
    bridge = env.bridge()
    until(lambda: len(bridge.lines("Connecting to message-broker")) >= 2, "two tries", 30)
    warned = [line for line in bridge.lines() if line["level"] == "warn"]
    assert len(warned) == 1 and "PRECONDITION" in warned[0]["cause"].upper(), warned
    # The operator mends it.
    with env.connect() as connection:
        connection.channel().queue_delete(env.name)
    bridge.wait_for("standby", timeout=30)


def test_each_cause_of_one_interruption_is_told(env):
    """Whoever has mended the first has to hear of the second."""
    name, right, wrong = f"u{uuid.uuid4().hex[:8]}", "right", "wrong"
    env.ctl("add_user", name, right)
    parts = urllib.parse.urlsplit(env.amqp_url)

    def told(number: int, *words: str) -> None:
        lines = until(lambda: (found := bridge.beginning("The session with the message broker broke"))[number:] and found,
                      f"line {number + 1} about the interruption", 30)
        assert lines[number]["level"] == "warn" and all(word in lines[number]["cause"] for word in words), lines[number]

    with env.connect() as connection:
        connection.channel().queue_declare(env.name, durable=True)
    try:
        env.ctl("change_password", name, wrong)
        bridge = env.bridge(SIPPO_BROKER__URL=f"amqp://{name}:{right}@{parts.hostname}:{parts.port}")
        told(0, "ACCESS_REFUSED")
        env.ctl("change_password", name, right)
        told(1, "access to vhost", name)
        env.ctl("set_permissions", "-p", "/", name, ".*", ".*", ".*")
        told(2, "PRECONDITION_FAILED", env.name)
        tries = len(bridge.lines("Connecting to message-broker"))
        until(lambda: len(bridge.lines("Connecting to message-broker")) >= tries + 2, "two more tries", 30)
        assert len(bridge.beginning("The session with the message broker broke")) == 3, "each once"
        with env.connect() as connection:
            connection.channel().queue_delete(env.name)
        bridge.wait_for("standby", timeout=30)
    finally:
        env.ctl("delete_user", name)


def test_deliveries_that_wait_too_long_are_told_as_what_they_are(env):
    """Not as a queue that was declared otherwise: RabbitMQ has one code for both."""
    limits = [env.ctl("eval", f"{{ok, V}} = application:get_env(rabbit, {key}), V.").strip()
              for key in ("consumer_timeout", "channel_tick_interval")]
    set_limits(env, "2000", "500")
    try:
        env.proxy.faults.paused.set()
        bridge = env.bridge()
        bridge.wait_for("standby")
        env.publish(events(5))
        [line] = until(lambda: bridge.beginning("The message broker took deliveries back"), "the line about it", 30)
        assert "consumer_timeout" in line["cause"] and "2000" in line["cause"] and line["level"] == "warn"
        assert not bridge.beginning("The session with the message broker broke")
    finally:
        set_limits(env, *limits)
    env.proxy.faults.paused.clear()
    run(env, 5)


def set_limits(env: BridgeEnv, timeout: str, tick: str) -> None:
    """Of the broker: how long a delivery may wait, and how often it looks; milliseconds."""
    env.ctl("eval", f"application:set_env(rabbit, consumer_timeout, {timeout}), "
                    f"application:set_env(rabbit, channel_tick_interval, {tick}).")


def test_a_batch_that_is_refused_as_a_whole_costs_the_one_at_fault(env):
    env.proxy.faults.refused_batch = "forbidden"
    bridge = env.bridge()
    bridge.wait_for("standby")
    bridge.signal(signal.SIGSTOP)
    good = [("domain.created", json.dumps({"serial": n}).encode()) for n in range(30)]
    env.publish(good[:14] + [("domain.created", b'{"a":"forbidden"}')] + good[14:])
    bridge.signal(signal.SIGCONT)
    assert_broker_order(env.collect(30), 30)
    until(lambda: bridge.health().get("acknowledged") == 31, "all acknowledged", 30)
    [(headers, body)] = env.dead()
    assert headers["x-sippo-code"] == "refused" and headers["x-sippo-version"] == "1.15"
    assert "InvalidMessageContents" in headers["x-sippo-reason"]
    assert json.loads(body)["event"] == {"a": "forbidden"}


def test_a_queue_of_dead_letters_that_is_gone_is_made_again(env):
    bridge = env.bridge()
    bridge.wait_for("standby")
    env.publish([("nobody.knows", b'{"n":1}')])
    until(lambda: bridge.health().get("dead") == 1, "a dead letter", 30)
    with env.connect() as connection:
        connection.channel().queue_delete(env.dead_letters)
    env.publish([("nobody.knows", b'{"n":2}')])
    until(lambda: bridge.health().get("dead") == 2, "another one", 30)
    [(_, body)] = env.dead()
    assert json.loads(body)["event"] == {"n": 2}
