"""The admin token from AWS Secrets Manager, asked once at cold start (an HTTP double at AWS's edge)."""

import json

import pytest

from support.functions import run_alone
from support.issuer_double import HttpDouble

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:sippo-xmpp-AbCdEf"


class SecretsManager:
    """GetSecretValue of the AWS JSON 1.1 protocol."""

    def __init__(self, value: str) -> None:
        self.value, self.status = value, 200

    def __call__(self, method, path, headers, body):
        assert headers["x-amz-target"] == "secretsmanager.GetSecretValue"
        assert headers["authorization"].startswith("AWS4-HMAC-SHA256 ")
        if self.status != 200:
            return self.status, {"__type": "AccessDeniedException", "Message": "not authorized"}
        return 200, {"ARN": json.loads(body)["SecretId"], "Name": "sippo-xmpp", "SecretString": self.value}


@pytest.fixture
def environment_of(environment):
    """A configuration that names the secret instead of the token."""
    def make(double: HttpDouble) -> dict[str, str]:
        changes = {"SIPPO_XMPP__ADMIN_TOKEN_SECRET_ARN": ARN, "AWS_ENDPOINT_URL": double.url,
                   "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        return {name: value for name, value in {**environment, **changes}.items() if name != "SIPPO_XMPP__ADMIN_TOKEN"}
    return make


def test_the_token_is_read_once_and_works(functions, server, token, environment_of):
    with HttpDouble(SecretsManager(server.admin_token + "\n")) as double:
        changes = environment_of(double) | {"SIPPO_XMPP__ADMIN_TOKEN": None}
        with functions(only=["login", "individual-chat-list-get"], **changes) as api:
            api.secrets.add(server.admin_token)
            assert api.list(token) == []
            body = api.login(token)
            server.client(body["jid"], body["token"]).connect().close()
        assert len(double.requests) == 2, "once a copy"
        assert all(json.loads(body)["SecretId"] == ARN for *_, body in double.requests)


@pytest.mark.parametrize(("value", "status"), [("please_change_me", 200), ("short", 200), ("", 200), ("x", 400)])
def test_an_unusable_secret_ends_the_function_with_one_line(environment_of, value, status):
    manager = SecretsManager(value)
    manager.status = status
    with HttpDouble(manager) as double:
        environment = environment_of(double)
        code, output = run_alone("login", environment.pop("CONFIG_DIR"), environment)
    lines = [line for line in output.strip().splitlines() if not line.startswith("{")]
    assert code > 0 and len(lines) == 1, output
    assert "adminTokenSecretArn" in lines[0] and ARN in lines[0]
    assert len(value) < 3 or value not in lines[0] or value == "short"


def test_something_that_is_no_arn(environment_of):
    with HttpDouble(SecretsManager("x" * 40)) as double:
        environment = environment_of(double) | {"SIPPO_XMPP__ADMIN_TOKEN_SECRET_ARN": "sippo-xmpp"}
        code, output = run_alone("login", environment.pop("CONFIG_DIR"), environment)
        assert code > 0
        assert "ADMIN_TOKEN_SECRET_ARN" in output and len(output.strip().splitlines()) == 1
        assert double.requests == []
