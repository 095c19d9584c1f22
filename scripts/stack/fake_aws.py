"""The fake AWS: ministack, which serves SQS and DynamoDB; the process `queue` of the stack, and what is in it.

It keeps everything in memory and saves it when it is stopped in order. Killed it has lost all, unlike what
it stands for: so it is not started again, with empty queues and an empty ledger beside full rooms.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from stack import aws, http_probe
from stack.event_types import EVENT_FUNCTIONS
from stack.process import Process

HEALTH_PATH = "/_ministack/health"
QUEUE_PREFIX = "sippo-xmpp-"
DEAD = "-dead"
TABLE = "sippo-xmpp-ledger"
VISIBILITY = 15
"""Seconds; longer than a function's timeout and the life of its last request together."""
MAX_RECEIVES = 1000
"""Here a message waits seconds, not minutes, between its tries: this many last an hour."""
MAX_MESSAGE = 1 << 20
RETENTION = 14 * 24 * 3600
"""Seconds; the most that SQS keeps a message."""
LOSS_HINT = "it has lost all queues and the ledger; stop the stack and start it again with --fresh"


@dataclass(frozen=True)
class Settings:
    """One fake AWS."""

    data: Path
    port: int

    @property
    def url(self) -> str:
        """AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def queue_url_prefix(self) -> str:
        """What the queues' URLs begin with; the function's name follows."""
        return f"{self.url}/{aws.ACCOUNT}/{QUEUE_PREFIX}"

    def environment(self) -> dict[str, str]:
        """What an AWS client needs to know."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": aws.REGION,
            "AWS_ACCESS_KEY_ID": aws.KEY_ID,
            "AWS_SECRET_ACCESS_KEY": aws.SECRET,
        }


def ministack(_: Settings) -> list[str]:
    """How it is started."""
    return [sys.executable, "-m", "ministack"]


program = ministack
"""Tests put another implementation in its place (`pytest --aws second`)."""


def process(settings: Settings) -> Process:
    """The fake AWS, with these two services and no port but its own."""
    data = settings.data.resolve()
    (data / "tmp").mkdir(parents=True, exist_ok=True)
    return Process(
        name="queue",
        argv=program(settings),
        ready=lambda: http_probe.status(settings.port, HEALTH_PATH) == 200,
        ports=(settings.port,),
        env={
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(settings.port),
            "SERVICES": "sqs,dynamodb",
            "MINISTACK_REGION": aws.REGION,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(data / "state"),
            "TMPDIR": str(data / "tmp"),
            "LOG_LEVEL": "WARNING",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": f"unix://{data}/no-docker",
        },
        cwd=data,
        critical=False,
        loss_hint=LOSS_HINT,
    )


def create_queues(port: int) -> None:
    """The queues of all functions, each with one for its dead letters; nothing changes where they are there."""
    kept = {"MessageRetentionPeriod": str(RETENTION), "MaximumMessageSize": str(MAX_MESSAGE)}
    for function in EVENT_FUNCTIONS:
        name = f"{QUEUE_PREFIX}{function}"
        aws.call(port, "sqs", "CreateQueue", QueueName=name + DEAD, Attributes=kept)
        redrive = json.dumps({
            "deadLetterTargetArn": f"arn:aws:sqs:{aws.REGION}:{aws.ACCOUNT}:{name}{DEAD}",
            "maxReceiveCount": MAX_RECEIVES,
        })
        aws.call(port, "sqs", "CreateQueue", QueueName=name, Attributes=kept | {
            "VisibilityTimeout": str(VISIBILITY), "RedrivePolicy": redrive})


def create_ledger(port: int) -> None:
    """The ledger's table, with an epoch to begin from, unless it is there."""
    if not create_table(port, TABLE):
        return
    aws.call(port, "dynamodb", "UpdateTimeToLive", TableName=TABLE,
             TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
    # The XMPP server may have rooms with versions of a table that was lost; those to come must be newer.
    aws.call(port, "dynamodb", "PutItem", TableName=TABLE, Item={
        "pk": {"S": "bridge"}, "sk": {"S": "epoch"}, "epoch": {"N": str(int(time.time()))}})


def create_table(port: int, name: str) -> bool:
    """An empty table with a ledger's keys; False when it is there already."""
    keys = {"pk": "HASH", "sk": "RANGE"}
    try:
        aws.call(
            port, "dynamodb", "CreateTable", TableName=name, BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()])
    except aws.AwsError as error:
        if error.code == "ResourceInUseException":
            return False
        raise
    return True
