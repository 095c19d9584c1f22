"""An exchange of the platform's own, and users that may not do everything."""

from __future__ import annotations

import re

import pytest

from bridge_env import BridgeEnv, assert_broker_order, events
from support.wait import until


def works(env: BridgeEnv, bridge) -> None:
    bridge.wait_for("standby", "active")
    env.publish(events(20))
    assert_broker_order(env.collect(20), 20)
    until(lambda: bridge.health().get("acknowledged") == 20, "all acknowledged", 30)


@pytest.mark.parametrize("how", [
    {"durable": True, "arguments": {"alternate-exchange": "unrouted"}},
    {"durable": True, "auto_delete": True},
    {"durable": False},
])
def test_an_exchange_with_arguments_of_its_own(env, how):
    with env.connect() as connection:
        connection.channel().exchange_declare(env.exchange, "topic", **how)
    works(env, env.bridge())


def test_a_user_that_may_not_declare_the_exchange(env, user):
    with env.connect() as connection:
        connection.channel().exchange_declare(env.exchange, "topic", durable=True)
    name = re.escape(env.name)
    url = user(f"^{name}(\\.dead)?$", f"^({name}|amq\\.default)$", f"^({name}|{re.escape(env.exchange)})$")
    works(env, env.bridge(SIPPO_BROKER__URL=url))


def test_a_user_that_may_declare_nothing_uses_what_is_there(env, user):
    first = env.bridge()
    first.wait_for("standby")
    first.end()
    name = re.escape(env.name)
    url = user("^$", f"^({name}|amq\\.default)$", f"^({name}|{re.escape(env.exchange)})$")
    works(env, env.bridge(SIPPO_BROKER__URL=url))


@pytest.mark.parametrize(("rights", "right", "resource"), [
    (("^$", ".*", ".*"), "configure", "exchange"),
    (("events$", ".*", ".*"), "configure", "queue"),
    ((".*", "^amq\\.default$", ".*"), "write", "queue"),
    ((".*", "^t", ".*"), "write", "amq.default"),
    ((".*", ".*", "^t[^.]*$"), "read", "exchange"),
])
def test_the_error_names_the_right_that_is_missing_and_how_to_grant_it(env, user, rights, right, resource):
    url = user(*rights)
    bridge = env.bridge(SIPPO_BROKER__URL=url)
    [line] = until(lambda: bridge.beginning("The message broker denies the bridge a right"), "the line about it", 30)
    assert line["level"] == "warn"
    cause = line["cause"]
    named = re.search(r"no right to (\w+)[^']* (exchange|queue) '([^']+)'", cause)
    assert named and named[1] == right and resource in (named[2], named[3]), cause
    # The operator does what it says.
    words = re.search(r"rabbitmqctl set_permissions -p '(.*?)' '(.*?)' '(.*?)' '(.*?)' '(.*?)'", cause)
    assert words, cause
    env.ctl("set_permissions", "-p", *words.groups())
    works(env, bridge)
