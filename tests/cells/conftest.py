"""A local stack with two XMPP servers, each with some of the tenants."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.platform import Platform
from support.wait import until
from support.xmpp import Client


@dataclass
class Tenant:
    """A domain on one of the cells."""

    platform: Platform
    domain: str
    cell: str
    """The cell's name, which is its process's."""

    @property
    def server(self) -> Any:
        """The settings of its XMPP server."""
        return self.platform.stack.prosodies[self.cell]

    def call(self, method: str, path: str, user: str) -> httpx.Response:
        """A REST call of a user's."""
        token = self.platform.stack.issuer.token(user, self.domain, ["chat"])
        return httpx.request(method, f"{self.platform.stack.functions.url}/sapi/xmpp/{path}", trust_env=False, timeout=20,
                             headers={"Authorization": f"Bearer {token}"})

    def log_in(self, user: str) -> Client:
        """A session by what the REST API tells."""
        told = self.call("GET", "login", user).raise_for_status().json()
        return self.platform.keep(Client(told["xmppUrl"], told["jid"], told["token"], timeout=30)).connect()

    def online(self, user: str) -> Client:
        """The same, available."""
        client = self.log_in(user)
        client.presence()
        client.sync()
        return client

    def create_group(self, participants: list[Any]) -> str:
        """Publishes a group of this tenant's; its room."""
        id = f"group-{uuid.uuid4().hex[:8]}"
        self.platform.publish("usersGroup.created", {"id": id, "domain": self.domain, "participants": participants})
        return f"{id}@conference.{self.domain}"

    def members(self, room: str) -> set[str]:
        """As the cell's admin sees them; nobody where there is no room."""
        from support.rooms import Room
        admin = Client(self.server.ws_url, self.server.admin_jid, self.server.admin_token, f"test-{uuid.uuid4().hex[:8]}", timeout=30)
        with contextlib.closing(admin.connect()) as session:
            return Room(self.platform, room.partition("@")[0], "usersGroup", self.domain).affiliated(session, "member")


def hosts_of(platform: Platform, cell: str) -> list[str]:
    """The tenants that a cell serves."""
    server = platform.stack.prosodies[cell]
    answer = httpx.get(server.hosts_url, trust_env=False, timeout=10, headers={"Authorization": f"Bearer {server.admin_token}"})
    return [entry["domain"] for entry in answer.raise_for_status().json()]


def create_tenant(platform: Platform) -> Tenant:
    """A new tenant, by its event."""
    domain = f"t{uuid.uuid4().hex[:8]}.test"
    platform.publish("domain.created", {"domain": domain})

    def place() -> str | None:
        return next((cell for cell in platform.stack.prosodies if domain in hosts_of(platform, cell)), None)
    return Tenant(platform, domain, until(place, f"{domain} on a cell"))


@pytest.fixture(scope="session")
def platform(folder: Path) -> Iterator[Platform]:
    """The stack."""
    platform = Platform(folder / "cells", cells=2).start()
    yield platform
    platform.stop()


@pytest.fixture(scope="session")
def tenants(platform: Platform) -> dict[str, Tenant]:
    """A tenant on each cell, by the cell's name."""
    found: dict[str, Tenant] = {}
    deadline = time.monotonic() + 60
    while len(found) < len(platform.stack.prosodies) and time.monotonic() < deadline:
        tenant = create_tenant(platform)
        found.setdefault(tenant.cell, tenant)
    return found

