"""The template as AWS sees it: expanded, once as its defaults have it and once with everything that is optional."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import http_probe
from stack.fake_aws import HEALTH_PATH
from stack.ports import free_port
from support.wait import until

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
    "Release": "1",
    "DeploymentType": "Canary10Percent10Minutes",
    "ApiDomainName": "api.example.com",
    "ApiCertificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
    "AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms",
}

CELLS = {name: value for name, value in EVERYTHING.items() if name != "AdminTokenSecretArn"} | {
    "CellNames": "eu-1,eu-2",
    "CellTokenSecretArns": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:eu-1-token-AbCdEf,"
                           "arn:aws:secretsmanager:eu-west-1:123456789012:secret:eu-2-token-AbCdEf"}
"""The same with several XMPP servers."""

SERVICES = "cloudformation,s3,sqs,dynamodb,lambda,iam,logs,cloudwatch,apigateway,events,sts,secretsmanager,kms,acm,ec2,mq,ecs,ecr,elbv2,elasticloadbalancing,elasticfilesystem,rds,servicediscovery"

OBSERVED = {
    "BrokerName": "platform", "NamePrefix": "sippo-xmpp-", "AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms",
    "OldestMessageSeconds": "900", "ServiceName": "sippo-xmpp", "ApiId": "api", "LedgerTable": "sippo-xmpp-ledger",
    "BrokerVirtualHost": "/", "BrokerQueue": "sippo-xmpp", "BridgeFunction": "bridge"}
"""Parameters of template-observe.yaml."""

PARTS = ["template-all", "template-network", "template-balancer", "template-database", "template-xmpp", "template-bridge",
         "template-rotation", "template-cell"]
"""What is deployed beside template.yaml in an empty account, and around it."""
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:{}-AbCdEf"
CERTIFICATE = "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
ALL = {
    "XmppImage": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/sippo-xmpp-xmpp-server:1",
    "BridgeImage": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/sippo-xmpp-bridge:1",
    "BrokerUrlSecretArn": ARN.format("broker-url"), "ChatDomainName": "chat.example.com", "ChatCertificateArn": CERTIFICATE,
    "Issuer": "https://issuer.example.com/", "Audience": "sippo", "JwksUrl": "https://issuer.example.com/jwks",
}
_NETWORK = {"VpcId": "vpc-00000000", "VpcCidr": "10.80.0.0/20", "SubnetIds": "subnet-00000000,subnet-11111111"}
_COMMON = {"NamePrefix": "sippo-xmpp-"}
_ALARMS = {"AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms"}
_XMPP = _COMMON | _NETWORK | {
    "Image": ALL["XmppImage"], "SecurityGroupId": "sg-00000000", "Namespace": "chat.internal",
    "AdminTokenSecretArn": ARN.format("admin-token"), "PasswordSecretArn": ARN.format("password"),
    "Storage": "postgresql://sippo@database.example:5432/prosody", "PublicUrl": "https://chat.example.com/"}
_BRIDGE = _COMMON | {
    "ServiceName": "sippo-xmpp", "Image": ALL["BridgeImage"], "SubnetIds": _NETWORK["SubnetIds"], "SecurityGroupId": "sg-00000000",
    "TaskRoleArn": "arn:aws:iam::123456789012:role/bridge", "LogGroup": "bridge", "AdminTokenSecretArn": ARN.format("admin-token"),
    "BrokerUrlSecretArn": ARN.format("broker-url"), "LedgerTable": "sippo-xmpp-ledger",
    "QueueUrlPrefix": "https://sqs.eu-west-1.amazonaws.com/123456789012/sippo-xmpp-"}
_OF_A_CELL = {
    "Cell": "eu-2", "Cells": "eu-1=xmpp.sippo-xmpp-chat.internal:5270,eu-2=xmpp.sippo-xmpp-eu-2-chat.internal:5270",
    "CellSecretArn": ARN.format("eu-2-cell")}
_CELL_GROUP = {"CellSecurityGroupId": "sg-22222222"}
_BALANCER = _NETWORK | {"CertificateArn": CERTIFICATE, "ClientSecurityGroupId": "sg-00000000"}
_DATABASE = _COMMON | {key: _NETWORK[key] for key in ("VpcId", "SubnetIds")} | {"ClientSecurityGroupId": "sg-00000000"}
_ROTATION = {
    "AdminTokenSecretArn": ARN.format("admin-token"), "OtherTokenSecretArn": ARN.format("other"), "SubnetIds": _NETWORK["SubnetIds"],
    "HostsAdminUrl": "http://xmpp.chat.internal:5280/quobis_virtualhosts/virtualhost", "SecurityGroupId": "sg-00000000"}
_CELL = {
    "NamePrefix": "sippo-xmpp-eu-2-", "XmppImage": ALL["XmppImage"], "ChatDomainName": "chat-2.example.com",
    "ChatCertificateArn": CERTIFICATE, "VpcId": _NETWORK["VpcId"], "VpcCidr": _NETWORK["VpcCidr"],
    "PublicSubnetIds": _NETWORK["SubnetIds"], "PrivateSubnetIds": _NETWORK["SubnetIds"], "ClientSecurityGroupId": "sg-00000000"}
OF_PARTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "template-all": (ALL, ALL | _ALARMS | _OF_A_CELL | {"HasRotation": "true", "ApiDomainName": "api.example.com", "ApiCertificateArn": CERTIFICATE}),
    "template-network": (_COMMON, _COMMON | {"HasNatGateway": "true", "HasCells": "true"}),
    "template-balancer": (_BALANCER, _BALANCER | _ALARMS | _CELL_GROUP | {"AccessLogBucket": "logs"}),
    "template-database": (_DATABASE, _DATABASE | _ALARMS),
    "template-xmpp": (_XMPP, _XMPP | _ALARMS | _OF_A_CELL | _CELL_GROUP | {
        "PreviousTokenSecretArn": ARN.format("other"),
        "TargetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/x/0000000000000000"}),
    "template-bridge": (_BRIDGE, _BRIDGE | _ALARMS),
    "template-cell": (_CELL, _CELL | _ALARMS | _OF_A_CELL | _CELL_GROUP | {"HasRotation": "true"}),
    "template-rotation": (_ROTATION, _ROTATION | _ALARMS | {
        "ServiceArn": "arn:aws:ecs:eu-west-1:123456789012:service/chat/xmpp"}),
}
"""Parameters of each, with what it has to have and with everything."""


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
def cells(folder: Path) -> dict:
    """template.yaml with everything that is optional, for several XMPP servers."""
    return expand(folder / "cells", "template", CELLS)


@pytest.fixture(scope="session")
def observe(folder: Path) -> dict:
    """template-observe.yaml, with a broker of Amazon MQ."""
    return expand(folder / "plain", "template-observe", OBSERVED)


@pytest.fixture(scope="session")
def observe_cells(folder: Path) -> dict:
    """The same for several XMPP servers."""
    return expand(folder / "cells", "template-observe", OBSERVED | {"CellNames": CELLS["CellNames"], "HasCells": "true"})


@pytest.fixture(scope="session")
def parts(folder: Path) -> dict[str, tuple[dict, dict]]:
    """The other templates, each with what it has to have and with everything."""
    return {name: (expand(folder / "plain", name, plain), expand(folder / "full", name, full))
            for name, (plain, full) in OF_PARTS.items()}


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A ministack of its own: the stack's has two services only."""
    port, folder = free_port(), tmp_path_factory.mktemp("emulator")
    (folder / "tmp").mkdir()
    environment = os.environ | {
        "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "MINISTACK_REGION": "eu-west-1", "SERVICES": SERVICES,
        "PERSIST_STATE": "0", "STATE_DIR": str(folder), "TMPDIR": str(folder / "tmp"), "LOG_LEVEL": "WARNING",
        "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "DOCKER_HOST": f"unix://{folder}/no-docker"}
    with (folder / "log").open("wb") as log:
        emulator = subprocess.Popen([sys.executable, "-m", "ministack"], cwd=folder, env=environment, stdout=log, stderr=log,
                                    start_new_session=True)
        try:
            until(lambda: http_probe.status(port, HEALTH_PATH) == 200, "the emulator", 60)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(emulator.pid, signal.SIGKILL)
            emulator.wait()
