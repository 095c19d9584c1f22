"""One whole local stack for all tests of events; each test uses rooms, users or domains of its own."""

from __future__ import annotations

import uuid

import pytest

from support.fixtures import admin, platform, room  # noqa: F401
from support.platform import Platform
from support.rooms import DOMAIN, Room


@pytest.fixture(params=["usersGroup", "conference"])
def any_room(platform: Platform, request: pytest.FixtureRequest) -> Room:  # noqa: F811
    """A room that does not exist yet, of a group and of a conference."""
    return Room(platform, f"room-{uuid.uuid4().hex[:8]}", request.param)


@pytest.fixture
def names() -> list[str]:
    """Three users of the test's own."""
    return [f"{name}-{uuid.uuid4().hex[:8]}" for name in ("alice", "bob", "carol")]


@pytest.fixture
def tenant(platform: Platform):  # noqa: F811
    """A domain of the test's own."""
    domain = f"d{uuid.uuid4().hex[:8]}.test"
    platform.stack.create_domain(domain)
    assert domain != DOMAIN
    return domain
