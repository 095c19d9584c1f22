"""The broker's URL in Secrets Manager, and a password that changes while the bridge runs."""

from __future__ import annotations

import secrets
import urllib.parse

from bridge_env import assert_broker_order, events
from support.wait import until

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:broker-AbCdEf"


def test_a_rotated_password_is_taken_at_the_first_refusal(env):
    name, old, new = f"u{secrets.token_hex(4)}", secrets.token_hex(16), secrets.token_hex(16)
    place = urllib.parse.urlsplit(env.amqp_url)
    env.ctl("add_user", name, old)
    try:
        env.ctl("set_permissions", "-p", "/", name, ".*", ".*", ".*")
        env.proxy.secret = f"amqp://{name}:{old}@{place.hostname}:{place.port}"
        environment = {"SIPPO_BROKER__URL_SECRET_ARN": ARN}
        bridge = env.bridge(without=("SIPPO_BROKER__URL",), **environment)
        bridge.wait_for("standby")
        env.publish(events(10))
        messages = env.collect(10)
        reads = env.proxy.secret_reads

        env.ctl("change_password", name, new)
        env.proxy.secret = f"amqp://{name}:{new}@{place.hostname}:{place.port}\n"
        env.ctl("close_all_user_connections", name, "rotated")
        env.publish(events(10, 10))
        until(lambda: bridge.health().get("acknowledged") == 20, "all events acknowledged", 60)
        assert_broker_order(env.collect(20, into=messages), 20)
        assert env.proxy.secret_reads > reads
        log = bridge.log.read_text()
        assert old not in log and new not in log
    finally:
        env.ctl("delete_user", name)
