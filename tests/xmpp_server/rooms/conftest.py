"""Core's side of rooms (core/src/rooms/muc), as a program that does what a test says."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest

from support import muc_rooms


@pytest.fixture(scope="session")
def program():
    return muc_rooms.build()


@pytest.fixture(scope="module")
def core(program, server, server_folder):
    """Core's side, logged in as the server admin."""
    side = muc_rooms.MucRooms(program, server, server_folder())
    yield side
    side.close()


@pytest.fixture(scope="module")
def tenant(server):
    return server.create_host(f"m{uuid.uuid4().hex[:10]}.example")


@pytest.fixture
def group(server, tenant, core):
    """A room that core made, with the admin's session to look at it."""
    ident = f"group-{uuid.uuid4().hex[:8]}"
    at = {"id": ident, "domain": tenant}
    core.do("ensure", **at, life="1.5/e5", name="Team <&> 1")
    with server.admin() as admin:
        yield SimpleNamespace(at=at, domain=tenant, room=f"{ident}@conference.{tenant}", admin=admin)
