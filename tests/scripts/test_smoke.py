"""scripts/smoke, on the local stack and as on a deployed one."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime

import pytest

from stack.fake_aws import QUEUE_PREFIX
from stack.paths import ROOT
from stack.signed_aws import Credentials, NoCredentials, SignedQueues, signed
from stack.stack import DOMAIN
from support.platform import Platform
from support.scripts import script
from support.xmpp import E

FUNCTION = "users-group-deleted"


def run(platform: Platform, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """As against a deployed stack: nothing of the local one's folder is read."""
    url, queues = platform.stack.functions.url, platform.stack.fake_aws.queue_url_prefix
    command = [str(ROOT / "scripts" / "smoke"), "--api", url, "--queues", queues, "--state", "/nowhere", *arguments]
    return subprocess.run(command, cwd=ROOT, env={"PATH": os.environ["PATH"]} | env, capture_output=True, text=True, timeout=300)


def given(platform: Platform) -> dict[str, str]:
    """What the operator sets."""
    return {"ACCESS_TOKEN": platform.stack.issuer.token("carol", DOMAIN, ["chat"]), "AMQP_URL": platform.stack.rabbitmq.url,
            **platform.stack.fake_aws.environment()}


def steps(output: str) -> list[str]:
    return [line.split()[0] for line in output.splitlines()]


def assert_clean(platform: Platform, output: str) -> None:
    """Nothing that it made is left."""
    assert sum(platform.queues.depths(FUNCTION + "-dead")) == 0, output
    with platform.online(f"carol@{DOMAIN}") as carol:
        roster = carol.iq("get", E("query", "jabber:iq:roster"))
        assert not [one for one in roster.iter() if one.get("jid", "").startswith("smoke-")]


def test_the_local_stack_is_well(platform: Platform):
    output = script(platform, "smoke")
    assert steps(output) == ["ok"] * 5, output


def test_a_deployed_stack_is_well_and_nothing_is_left(platform: Platform):
    done = run(platform, **given(platform))
    assert done.returncode == 0, done.stdout + done.stderr
    assert steps(done.stdout) == ["ok"] * 5
    assert_clean(platform, done.stdout)


def test_what_was_not_given_is_left_out(platform: Platform):
    env = given(platform)
    del env["AMQP_URL"]
    done = run(platform, **env)
    assert done.returncode == 0 and steps(done.stdout) == ["ok"] * 3 + ["left"], done.stdout + done.stderr


def test_what_is_wrong_is_told(platform: Platform):
    done = run(platform, **given(platform) | {"ACCESS_TOKEN": platform.stack.issuer.token("carol", DOMAIN, ["audio"])})
    assert done.returncode == 1 and steps(done.stdout) == ["ok"]
    assert re.fullmatch(r"smoke: login: GET /sapi/xmpp/login answers 403 instead of 200: .*capability-required.*\n", done.stderr), done.stderr


def test_an_event_that_goes_nowhere_is_told_and_the_room_is_taken_back(platform: Platform):
    """The exchange is another one: no queue takes the event."""
    done = run(platform, "--exchange", "amq.topic", **given(platform))
    assert done.returncode == 1 and steps(done.stdout)[:3] == ["ok"] * 3
    assert "no queue takes usersGroup.created" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert_clean(platform, done.stdout)


@pytest.mark.parametrize(("method", "signature"), [
    ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
])
def test_requests_are_signed_as_aws_publishes_it(method: str, signature: str):
    """The cases get-vanilla and post-vanilla of AWS's test suite for Signature Version 4."""
    who = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1")
    at = datetime(2015, 8, 30, 12, 36, 0, tzinfo=UTC)
    assert signed(who, "service", method, "example.amazonaws.com", {}, b"", at)["authorization"].endswith(f"Signature={signature}")


def test_missing_credentials_are_told_and_secrets_are_not():
    with pytest.raises(NoCredentials, match="AWS_SECRET_ACCESS_KEY and AWS_REGION not set; try: "):
        Credentials.from_environment({"AWS_ACCESS_KEY_ID": "id"})
    assert "wJalr" not in repr(Credentials("id", "wJalr", "us-east-1", "wJalr"))


def test_the_signed_queues_are_those_of_the_url(platform: Platform):
    queues = SignedQueues(platform.stack.fake_aws.queue_url_prefix, Credentials("local", "local"))
    assert queues.depths(FUNCTION) == (0, 0) and platform.stack.fake_aws.queue_url_prefix.endswith(QUEUE_PREFIX)
    assert queues.depths(FUNCTION + "-dead") == (0, 0)
