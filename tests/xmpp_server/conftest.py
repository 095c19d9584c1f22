"""Fixtures of the XMPP server's tests: one Prosody for all, a domain of its own for each test."""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack.paths import ROOT
from support import storage
from support.postgresql import PostgreSQL, programs
from support.prosody import Server

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Marks of these tests."""
    config.addinivalue_line("markers", "sqlite: of SQLite alone; not run with --storage postgresql")
    config.addinivalue_line("markers", "provokes(*patterns): has Prosody log errors, each of which one of these is found in")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is SQLite's alone is not run on PostgreSQL."""
    for item in items:
        if storage.name() != "sqlite" and item.get_closest_marker("sqlite"):
            item.add_marker(pytest.mark.skip("of SQLite alone"))


@pytest.fixture(autouse=True)
def complaints(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test: no server has logged an error, or that something is deprecated, but for what the test provokes."""
    yield
    patterns = [pattern for mark in request.node.iter_markers("provokes") for pattern in mark.args]
    found = [line for server in Server.made for line in server.new_complaints()]
    unexpected = [line for line in found if not any(re.search(pattern, line) for pattern in patterns)]
    assert not unexpected, "Prosody complains of what the test does not provoke:\n" + "\n".join(unexpected)
    idle = [pattern for pattern in patterns if not any(re.search(pattern, line) for line in found)]
    assert not idle, f"the test says that it provokes {idle}, and Prosody has logged no such error"


@pytest.fixture(scope="session")
def server_folder(request: pytest.FixtureRequest) -> Iterator[Callable[[], Path]]:
    """Makes folders below target/tests/; they go at the run's end, or stay when a test has failed."""
    base = ROOT / "target" / "tests"
    base.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="prosody-", dir=base)))
        return made[-1]

    yield make
    # Those that outlive a test have ended by now.
    assert not [line for server in Server.made for line in server.new_complaints()]
    if not request.session.testsfailed:
        for folder in made:
            shutil.rmtree(folder)


@pytest.fixture(scope="session")
def server(server_folder: Callable[[], Path]) -> Iterator[Server]:
    """The Prosody that most tests share. Tests that restart it leave it running."""
    shared = Server(server_folder(), extra={"STATIC_HOSTS": "static.example"})
    shared.start()
    yield shared
    shared.stop()


@pytest.fixture(scope="module")
def small(server_folder: Callable[[], Path], request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of a module's own, with an offline quota that a test can fill: the module's QUOTA."""
    one = Server(server_folder(), extra={"OFFLINE_QUOTA": str(request.module.QUOTA)})
    one.start()
    yield one
    one.stop()


@pytest.fixture
def new_server(server_folder: Callable[[], Path]) -> Iterator[Callable[..., Server]]:
    """Makes servers with settings of their own; start them yourself."""
    made: list[Server] = []

    def make(**settings: object) -> Server:
        made.append(Server(server_folder(), **settings))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL of the test's own, running."""
    if programs() is None:
        pytest.skip("no PostgreSQL server here: install postgresql to run this")
    one = PostgreSQL()
    try:
        yield one.start()
    finally:
        one.remove()


@pytest.fixture
def unique_domain() -> Callable[[], str]:
    """Names that no other test uses."""
    return lambda: f"t{next(_numbers)}.example"


@pytest.fixture
def domain(server: Server, unique_domain: Callable[[], str]) -> Iterator[str]:
    """A tenant of this test's own, deleted after it."""
    name = server.create_host(unique_domain())
    yield name
    if name in server.hosts():
        server.delete_host(name)


@pytest.fixture
def other_domain(server: Server, unique_domain: Callable[[], str]) -> Iterator[str]:
    """A second tenant."""
    name = server.create_host(unique_domain())
    yield name
    if name in server.hosts():
        server.delete_host(name)


@pytest.fixture(scope="module")
def two_tenants(server: Server) -> tuple[str, str]:
    """Two tenants for the tests of one file."""
    return server.create_host(f"t{next(_numbers)}.example"), server.create_host(f"t{next(_numbers)}.example")
