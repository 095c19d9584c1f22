"""The template as AWS sees it: expanded, once as its defaults have it and once with everything that is optional."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAM = ROOT / "target" / "venv-sam" / "bin"
CHECKOV = ROOT / "target" / "venv-checkov" / "bin" / "checkov"
QUIET = os.environ | {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true"}
EVERYTHING = {
    "AdminTokenSecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:admin-token-AbCdEf",
    "IntrospectionSecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:introspection-AbCdEf",
    "BrokerUrlSecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:broker-url-AbCdEf",
    "BrokerSecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:broker-user-AbCdEf",
    "SecretKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000",
    "BrokerKind": "AmazonMQ",
    "BrokerArn": "arn:aws:mq:eu-west-1:123456789012:broker:platform:b-00000000",
    "SubnetIds": "subnet-00000000,subnet-11111111",
    "SecurityGroupIds": "sg-00000000",
    "AllowedOrigins": "https://chat.example.com,https://other.example.com",
    "RestConcurrency": "50",
    "ApiDomainName": "api.example.com",
    "ApiCertificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
    "AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms",
}


def run(*command: object) -> str:
    """The output of a command that has to succeed."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, env=QUIET, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def expand(folder: Path, name: str, parameters: dict[str, str]) -> dict:
    """Writes `folder`/`name`.json and returns what is in it."""
    target = folder / f"{name}.json"
    run(SAM / "python", Path(__file__).with_name("expand.py"), ROOT / f"{name}.yaml", target,
        *(f"{key}={value}" for key, value in parameters.items()))
    return json.loads(target.read_text())


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the expanded templates are."""
    return tmp_path_factory.mktemp("expanded")


@pytest.fixture(scope="session")
def template(folder: Path) -> dict:
    """template.yaml with its defaults."""
    return expand(folder / "plain", "template", {})


@pytest.fixture(scope="session")
def full(folder: Path) -> dict:
    """template.yaml with everything that is optional, and the function as the bridge."""
    return expand(folder / "full", "template", EVERYTHING)


@pytest.fixture(scope="session")
def observe(folder: Path) -> dict:
    """template-observe.yaml, with a broker of Amazon MQ."""
    return expand(folder / "plain", "template-observe", {
        "BrokerName": "platform", "NamePrefix": "sippo-xmpp-", "AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms",
        "OldestMessageSeconds": "900", "ServiceName": "sippo-xmpp", "ApiId": "api", "LedgerTable": "sippo-xmpp-ledger",
        "BrokerVirtualHost": "/", "BrokerQueue": "sippo-xmpp", "BridgeFunction": "bridge"})
