"""Puts tests/ and scripts/ on the import path: `support` is shared by all tests, `stack` with the scripts.

Which servers the tests run against is an option.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
for path in (TESTS.parent / "scripts", TESTS):
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))


@pytest.fixture(scope="session")
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A new folder under target/tests/ for this run; it stays when a test has failed."""
    from support.folders import new_folder
    with new_folder("run", request.session) as path:
        yield path


def pytest_addoption(parser: pytest.Parser) -> None:
    """The servers' versions."""
    parser.addoption("--prosody", metavar="SERIES", help="run against this Prosody (0.12, 13.0) instead of the installed one")
    parser.addoption("--storage", choices=["sqlite", "postgresql"], default="sqlite",
                     help="have the XMPP servers store there, but for tests that say where theirs does")
    parser.addoption("--aws", choices=["second"], help="run against another implementation of SQS and DynamoDB")
    parser.addoption("--rabbitmq", metavar="SERIES", help="run against this RabbitMQ (3.10, 4.0) instead of the installed one")


def pytest_configure(config: pytest.Config) -> None:
    """All that tests start gets to know it by the environment."""
    from stack import debian, prosody_program, rabbitmq_program
    from support import storage
    try:
        storage.use(config.getoption("--storage"))
    except RuntimeError as error:
        raise pytest.UsageError(str(error)) from error
    if config.getoption("--aws"):
        from support import second_aws
        second_aws.use()
    for program in (prosody_program, rabbitmq_program):
        if series := config.getoption(program.OPTION):
            os.environ[program.VARIABLE] = series
    try:
        prosody_program.program()
        rabbitmq_program.program()
    except debian.DebianError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_unconfigure() -> None:
    """What the run has started ends with it."""
    from support import storage
    storage.end()


def pytest_report_header() -> str:
    """At the head of the run."""
    from stack import prosody_program, rabbitmq_program
    from support import storage
    found = {"storage": storage.name(), "Prosody": prosody_program.program().version, "RabbitMQ": rabbitmq_program.program().version}
    return ", ".join(f"{name} {version or 'is not installed'}" for name, version in found.items())
