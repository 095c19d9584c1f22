"""What docs/OPERATIONS.md, "Upgrading", says of a queue that is to have other arguments."""

from __future__ import annotations

import re

from bridge_env import assert_broker_order, events
from support.wait import until

OLDER = {"x-queue-type": "quorum", "x-single-active-consumer": True}
"""A queue as an earlier version declared it."""


def arguments(queue: str) -> dict[str, object]:
    """As the document lists them."""
    return {"x-queue-type": "quorum", "x-single-active-consumer": True, "x-delivery-limit": 2147483647,
            "x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{queue}.dead",
            "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}


def declare(env, queue: str, arguments: dict[str, object]) -> None:
    """By hand: declared and bound, as in the management interface."""
    with env.connect() as connection:
        channel = connection.channel()
        channel.exchange_declare(env.exchange, "topic", durable=True)
        channel.queue_declare(queue, durable=True, arguments=arguments)
        channel.queue_bind(queue, env.exchange, "#")


def test_a_queue_is_replaced_by_one_with_other_arguments_and_nothing_is_lost(env, user):
    declare(env, env.name, OLDER)
    with env.connect() as connection:
        connection.channel().queue_declare(env.dead_letters, durable=True, arguments={"x-queue-type": "quorum"})
    name, exchange = re.escape(env.name), re.escape(env.exchange)
    # One that may declare nothing takes the queue as it is, as the earlier version does.
    old = env.bridge(SIPPO_BROKER__URL=user("^$", f"^({name}|amq\\.default)$", f"^({name}|{exchange})$"))
    old.wait_for("standby")
    env.publish(events(100))
    messages = env.collect(100)

    replaced = f"{env.name}-2"
    declare(env, replaced, arguments(replaced))
    env.publish(events(50, 100))
    until(lambda: env.depth() == 0 and old.health().get("acknowledged", 0) >= 100, "an old queue that was empty once", 60)
    env.publish(events(50, 150))
    old.end()
    env.publish(events(50, 200))  # nobody consumes

    new = env.bridge(SIPPO_BROKER__QUEUE=replaced)
    new.wait_for("standby", "active")
    env.publish(events(50, 250))
    env.collect(300, into=messages)
    until(lambda: env.depth(replaced) == 0, "an empty new queue", 60)
    with env.connect() as connection:
        connection.channel().queue_delete(env.name)
    messages += env.drain()
    assert_broker_order(messages, 300)
    assert env.depth(f"{replaced}.dead") == 0


def test_a_queue_that_was_declared_with_other_arguments_by_mistake_is_told(env):
    """The older queue is still there then, and so is all that came since."""
    declare(env, env.name, OLDER | {"x-overflow": "reject-publish"})
    bridge = env.bridge()
    [line] = until(lambda: bridge.beginning("The session with the message broker broke"), "the line about it", 30)
    assert "PRECONDITION_FAILED" in line["cause"] and env.name in line["cause"]
    assert re.search("x-[a-z-]+", line["cause"]), "which argument differs"
