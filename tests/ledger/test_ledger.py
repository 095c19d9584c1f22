"""The ledger and the epoch register on DynamoDB (core/src/rooms/dynamo, core/src/events/epoch.rs)."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from stack.layout import ROOT
from support.aws import Aws

TABLE = "tests-ledger"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """The stand-in with an empty table."""
    with Aws(tmp_path_factory.mktemp("aws")) as aws:
        aws.create_ledger_table(TABLE)
        yield aws


def test_the_stand_in_listens_on_loopback_only(aws: Aws) -> None:
    listening = subprocess.run(["ss", "-Hltnup"], capture_output=True, text=True, check=True, timeout=20).stdout
    own = [line.split()[4] for line in listening.splitlines() if f"pid={aws.pid}," in line]
    assert own == [f"127.0.0.1:{aws.port}"]


def test_the_ledger_and_the_epoch_register(aws: Aws) -> None:
    command = ["cargo", "test", "--locked", "-p", "sippo-xmpp-core", "--test", "ledger", "--", "--ignored", "--nocapture"]
    environment = os.environ | aws.environment | {"SIPPO_LEDGER__TABLE": TABLE}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"test result: ok\. (\d+) passed", done.stdout)
    assert passed and int(passed[1]) >= 7, done.stdout
    print("\n".join(line for line in done.stdout.splitlines() if line.startswith("measured")))
