"""What is handed out and not acknowledged comes again in its order: the versions of the next session rely on that."""

from __future__ import annotations

import signal

from bridge_env import BridgeEnv, assert_broker_order, events
from support.wait import until

PREFETCH = 300
"""Of the bridge."""
EVENTS, SESSIONS = 1_500, 3


def test_a_bridge_that_is_stopped_while_there_is_much_to_do_leaves_the_rest_in_order(env: BridgeEnv):
    """Its last acknowledgement has the broker send it more, and that is on its way to it when it ends."""
    env.bridge().wait_for("standby")
    env.bridges[0].end()
    env.publish(events(EVENTS))
    messages = []
    for _ in range(SESSIONS):
        env.proxy.faults.paused.set()
        bridge = env.bridge()
        until(lambda bridge=bridge: bridge.health().get("in", 0) >= PREFETCH, "as many events as it may have", 30)
        bridge.signal(signal.SIGTERM)
        until(lambda bridge=bridge: bridge.state() == "stopping", "it to be about to stop", 30)
        env.proxy.faults.paused.clear()
        bridge.process.wait(30)
        assert env.depth() > 0
        messages += env.drain()
    env.bridge()
    until(lambda: env.depth() == 0, "an empty queue", 30)
    assert_broker_order(messages + env.drain(), EVENTS)
