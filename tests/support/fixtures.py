"""Fixtures of tests that look at one whole local stack: for the conftest.py of their folders."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.platform import Platform
from support.rooms import Room
from support.xmpp import Client


@pytest.fixture(scope="session")
def platform(folder: Path) -> Iterator[Platform]:
    """The stack, logging at level silly."""
    platform = Platform(folder).start()
    yield platform
    platform.stop()


@pytest.fixture
def admin(platform: Platform) -> Iterator[Client]:
    """A session of the server admin's, to look into rooms with. Not longer: tests restart the server."""
    with platform.admin() as session:
        yield session


@pytest.fixture
def room(platform: Platform) -> Room:
    """A group's room that does not exist yet."""
    return Room(platform, f"group-{uuid.uuid4().hex[:8]}", "usersGroup")
