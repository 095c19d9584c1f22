"""One whole local stack for all tests of events; each test uses rooms, users or domains of its own."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from rooms import DOMAIN, Room
from support.folders import new_folder
from support.platform import Platform


@pytest.fixture(scope="session")
def folder(request: pytest.FixtureRequest):
    """A new folder under target/ for this run; it stays when a test has failed."""
    with new_folder("events", request.session) as path:
        yield path


@pytest.fixture(scope="session")
def platform(folder: Path):
    """The stack, logging at level silly."""
    platform = Platform(folder).start()
    yield platform
    platform.stop()


@pytest.fixture
def admin(platform: Platform):
    """A session of the server admin's, to look into rooms with. Not longer: tests restart the server."""
    with platform.admin() as session:
        yield session


@pytest.fixture
def room(platform: Platform) -> Room:
    """A group's room that does not exist yet."""
    return Room(platform, f"group-{uuid.uuid4().hex[:8]}", "usersGroup")


@pytest.fixture(params=["usersGroup", "conference"])
def any_room(platform: Platform, request: pytest.FixtureRequest) -> Room:
    """The same, of a group and of a conference."""
    return Room(platform, f"room-{uuid.uuid4().hex[:8]}", request.param)


@pytest.fixture
def names() -> list[str]:
    """Three users of the test's own."""
    return [f"{name}-{uuid.uuid4().hex[:8]}" for name in ("alice", "bob", "carol")]


@pytest.fixture
def tenant(platform: Platform):
    """A domain of the test's own."""
    domain = f"d{uuid.uuid4().hex[:8]}.test"
    platform.stack.create_domain(domain)
    assert domain != DOMAIN
    return domain
