"""An alarm of the broker for memory: it reads from nobody who publishes."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from bridge_env import BridgeEnv, assert_broker_order, events
from support.wait import until

BLOCKED = "The message broker takes no messages for now"


@pytest.fixture
def alarm(env: BridgeEnv) -> Iterator[None]:
    """Gives a function that raises it; it is lifted at the end."""
    def raise_alarm() -> None:
        env.ctl("set_vm_memory_high_watermark", "0.00001")
        until(lambda: "memory" in env.ctl("eval", "rabbit_alarm:get_alarms()."), "the alarm", 30)

    yield raise_alarm
    lift(env)


def lift(env: BridgeEnv) -> None:
    env.ctl("set_vm_memory_high_watermark", "0.6")
    until(lambda: "memory" not in env.ctl("eval", "rabbit_alarm:get_alarms()."), "its end", 30)


def test_events_go_on_while_dead_letters_wait(env, alarm):
    bridge = env.bridge()
    bridge.wait_for("standby")
    bridge.signal(signal.SIGSTOP)
    good = events(300)
    env.publish([("nobody.knows", b'{"serial":-1}'), *good])
    alarm()
    bridge.signal(signal.SIGCONT)
    messages = env.collect(300)
    until(lambda: bridge.health().get("acknowledged") == 300, "all events acknowledged", 30)
    until(lambda: env.unacknowledged() == 1, "the one that waits", 30)
    health = bridge.wait_for("blocked")
    assert health["blocked"] and health["active"] and health["connected"] and health["dead"] == 0
    assert bridge.get()[0] == 200, "a new start would help nobody"
    assert "sippo_xmpp_bridge_blocked 1\n" in bridge.get("/metrics")[1]
    until(lambda: len(bridge.beginning(BLOCKED)) == 1, "the line about it", 10)

    lift(env)
    health = bridge.wait_for("active")
    until(lambda: bridge.health().get("acknowledged") == 301, "the dead letter acknowledged", 30)
    assert not bridge.health()["blocked"] and bridge.health()["epoch"] == 1, "one session did it all"
    assert len(env.dead()) == 1
    messages += env.drain()
    assert len(messages) == 300, "nothing was sent twice"
    assert_broker_order(messages, 300)
    assert len(bridge.beginning(BLOCKED)) == 1


def test_a_bridge_that_starts_during_an_alarm_works(env, alarm):
    env.bridge().wait_for("standby")
    env.bridges[0].end()
    env.publish(events(50))
    alarm()
    bridge = env.bridge()
    assert_broker_order(env.collect(50), 50)
    until(lambda: bridge.health().get("acknowledged") == 50, "all events acknowledged", 30)
    assert bridge.state() == "active", "nothing waits"
