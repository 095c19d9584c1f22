"""The ledger and the epoch register on DynamoDB (core/src/ledger/dynamo, core/src/ledger/epoch.rs)."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import fake_aws
from stack.paths import ROOT, StackPaths
from stack.ports import free_port
from stack.supervisor import Supervisor
from support import cargo

TABLE = "tests-ledger"


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """Keeps the fake AWS running."""
    supervisor = Supervisor(StackPaths(tmp_path_factory.mktemp("aws")))
    yield supervisor
    supervisor.stop()


@pytest.fixture(scope="module")
def aws(supervisor: Supervisor) -> fake_aws.Settings:
    """The fake AWS with an empty table."""
    settings = fake_aws.Settings(supervisor.paths.fake_aws_data, free_port())
    supervisor.start(fake_aws.process(settings))
    assert fake_aws.create_table(settings.port, TABLE)
    return settings


def test_the_fake_aws_listens_on_loopback_only(aws: fake_aws.Settings, supervisor: Supervisor) -> None:
    listening = subprocess.run(["ss", "-Hltnup"], capture_output=True, text=True, check=True, timeout=20).stdout
    own = [line.split()[4] for line in listening.splitlines() if f"pid={supervisor.pid('queue')}," in line]
    assert own == [f"127.0.0.1:{aws.port}"]


def _run(environment: dict[str, str], *arguments: str) -> str:
    command = [*cargo.TEST, "--test", "ledger", "--", "--ignored", *arguments]
    environment = os.environ | environment | {"SIPPO_LEDGER__TABLE": TABLE}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _passed(output: str) -> int:
    found = re.search(r"test result: ok\. (\d+) passed", output)
    assert found, output
    return int(found[1])


@pytest.mark.timeout(900)
def test_the_ledger_and_the_epoch_register(aws: fake_aws.Settings) -> None:
    output = _run(aws.environment(), "--nocapture", "--skip", "unreachable")
    assert _passed(output) >= 7, output
    print("\n".join(line for line in output.splitlines() if line.startswith("measured")))


@pytest.mark.timeout(900)
def test_a_table_that_is_not_there_is_an_error_that_says_so() -> None:
    nowhere = fake_aws.Settings(Path(), free_port())
    assert _passed(_run(nowhere.environment(), "unreachable")) == 1
