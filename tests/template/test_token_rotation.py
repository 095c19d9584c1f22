"""The admin token is changed by Secrets Manager's four steps, each of which may be broken off and come again: the function of
template-rotation.yaml with the emulator's Secrets Manager, and a double of the XMPP server that reads its secrets when it begins."""

from __future__ import annotations

import json
import os
import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import aws
from support.issuer_double import HttpDouble
from template.conftest import SAM
from template.test_template import of_type

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
SERVICE = "arn:aws:ecs:eu-west-1:000000000000:service/chat/xmpp"
STARTING = 2
"""Requests that the XMPP server does not answer after it was made to begin anew."""
CHANGES = 4
"""Calls of a rotation that change something: the pending value, the other secret, the task, the stage."""


class World:
    """The two secrets, the XMPP server, and the function."""

    def __init__(self, endpoint: str, folder: Path, template: dict, *, with_service: bool = True) -> None:
        self.port = int(endpoint.rpartition(":")[2])
        self.arn, self.other = (self._call("CreateSecret", Name=f"{name}-{uuid.uuid4().hex}", SecretString=f"first-{name}")["ARN"]
                                for name in ("token", "other"))
        self.accepted = {self.value(self.arn), self.value(self.other)}
        self.starting, self.begun = 0, 0
        self.double = HttpDouble(self._answer)
        [function] = of_type(template, "AWS::Lambda::Function").values()
        code = folder / "index.py"
        code.write_text(function["Code"]["ZipFile"])
        environment = os.environ | {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint, "AWS_ENDPOINT_URL_ECS": self.double.url, "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_MAX_ATTEMPTS": "1", "NO_PROXY": "127.0.0.1"}
        variables = {"OTHER_SECRET_ARN": self.other, "HOSTS_ADMIN_URL": f"{self.double.url}/hosts",
                     "SERVICE_ARN": SERVICE if with_service else ""}
        assert function["Environment"]["Variables"].keys() == variables.keys()
        self._function = subprocess.Popen(
            [SAM / "python", Path(__file__).with_name("rotate.py"), code], env=environment | variables, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self) -> None:
        self._function.kill()
        self._function.wait()
        self.double.close()

    def _answer(self, method, path, headers, body):
        if path == "/hosts":
            self.starting -= 1
            if self.starting >= 0:
                return 503, {}
            token = headers["authorization"].removeprefix("Bearer ")
            return (200, []) if token in self.accepted else (401, {})
        assert headers["x-amz-target"].endswith(".UpdateService")
        said = json.loads(body)
        assert (said["cluster"], said["service"], said["forceNewDeployment"]) == ("chat", SERVICE, True)
        self.begin_anew()
        return 200, {"service": {}}

    def begin_anew(self) -> None:
        """The XMPP server reads its secrets."""
        self.accepted, self.starting = {self.value(self.arn), self.value(self.other)}, STARTING
        self.begun += 1

    def _call(self, action: str, **parameters):
        return aws.call(self.port, "secretsmanager", action, **parameters)

    def value(self, arn: str, **which: str) -> str:
        return self._call("GetSecretValue", SecretId=arn, **which)["SecretString"]

    def step(self, step: str, version: str, **how) -> str:
        """What came of a step. Whatever it was, the functions' token is accepted."""
        event = {"SecretId": self.arn, "ClientRequestToken": version, "Step": step}
        self._function.stdin.write(json.dumps({"event": event, **how}) + "\n")
        self._function.stdin.flush()
        outcome = json.loads(self._function.stdout.readline())
        assert self.value(self.arn) in self.accepted, step
        return outcome

    def rotate(self, version: str) -> list[str]:
        return [self.step(step, version) for step in STEPS]


@pytest.fixture
def world(endpoint: str, tmp_path: Path, parts) -> Iterator[World]:
    one = World(endpoint, tmp_path, parts["template-rotation"][1])
    yield one
    one.close()


def new_version() -> str:
    return str(uuid.uuid4())


def test_the_token_is_changed_and_none_that_is_in_use_is_refused(world):
    old, version = world.value(world.arn), new_version()
    assert world.rotate(version) == ["done"] * 4
    new = world.value(world.arn)
    assert new != old and len(new) == 64 and world.value(world.other) == new
    assert {old, new} <= world.accepted and world.begun == 1
    assert world.value(world.arn, VersionStage="AWSPREVIOUS") == old
    assert world.value(world.arn, VersionId=version) == new
    # And again; the token before the last is not accepted any more.
    assert world.rotate(new_version()) == ["done"] * 4
    assert world.value(world.arn) not in (old, new) and world.accepted == {new, world.value(world.arn)}


@pytest.mark.parametrize("before", [True, False], ids=["before", "behind"])
@pytest.mark.parametrize("number", range(1, CHANGES + 1))
def test_a_rotation_that_is_broken_off_is_made_good_by_the_next_try(world, number, before):
    """Whichever call it dies at, before that has taken effect or behind."""
    old, version, left = world.value(world.arn), new_version(), number
    broken = []
    for step, changes in zip(STEPS, (1, 2, 0, 1), strict=True):
        dies = 0 < left <= changes
        broken.append(world.step(step, version, **({"break_off": left, "before": before} if dies else {})))
        if dies:
            break
        left -= changes
    assert broken[-1] == "broken off" and set(broken[:-1]) <= {"done"}
    assert world.rotate(version) == ["done"] * 4
    new = world.value(world.arn)
    assert new != old and {old, new} <= world.accepted
    assert world.value(world.arn, VersionStage="AWSPREVIOUS") == old


def test_each_step_may_come_twice_and_late(world):
    version = new_version()
    create, offer, wait, finish = STEPS
    for step in (create, create, offer, wait, create, offer, wait, finish, finish):
        assert world.step(step, version) == "done"
    new = world.value(world.arn)
    assert world.begun == 1, "it accepts the token already"
    asked = len(world.double.requests)
    assert world.rotate(version) == ["done"] * 4
    assert (world.value(world.arn), world.begun, len(world.double.requests)) == (new, 1, asked), "nothing is left to do"


def test_a_server_that_does_not_take_the_token_keeps_the_old_one_in_force(endpoint, tmp_path, parts):
    """Where no ECS service is named, somebody else has the server read its secrets; until then no login is at stake."""
    world = World(endpoint, tmp_path, parts["template-rotation"][0], with_service=False)
    try:
        old, version = world.value(world.arn), new_version()
        assert [world.step(step, version) for step in STEPS[:2]] == ["done"] * 2
        for step in STEPS[2:]:
            outcome = world.step(step, version, milliseconds=23_000)
            assert outcome.startswith("RuntimeError: the XMPP server does not accept the pending token")
            assert world.value(world.arn, VersionStage="AWSPENDING") not in outcome
        assert world.value(world.arn) == old
        world.begin_anew()
        assert world.rotate(version) == ["done"] * 4
        assert world.value(world.arn) != old
    finally:
        world.close()


def test_the_function_may_do_what_it_does_and_nothing_else(parts):
    for with_service in (False, True):
        template = parts["template-rotation"][with_service]
        [role] = of_type(template, "AWS::IAM::Role").values()
        [policy] = role["Policies"]
        [function] = of_type(template, "AWS::Lambda::Function").values()
        allowed = {(action, one["Resource"]) for one in policy["PolicyDocument"]["Statement"]
                   for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])}
        token, other = (template["Resources"]["Rotation"]["Properties"]["SecretId"], function["Environment"]["Variables"]["OTHER_SECRET_ARN"])
        code = function["Code"]["ZipFile"]
        called = set(re.findall(r"\b(?:store|ecs)\.(\w+)\(", code))
        assert called == {"describe_secret", "get_secret_value", "put_secret_value", "update_secret_version_stage", "update_service"}
        expected = {(f"secretsmanager:{one}", token) for one in ("DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage")}
        expected |= {(f"secretsmanager:{one}", other) for one in ("GetSecretValue", "PutSecretValue")}
        if with_service:
            expected.add(("ecs:UpdateService", function["Environment"]["Variables"]["SERVICE_ARN"]))
        assert allowed == expected
    [permission] = of_type(template, "AWS::Lambda::Permission").values()
    assert permission["Principal"] == "secretsmanager.amazonaws.com" and permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
