"""A tenant goes from cell to cell while events for it keep coming and whoever takes part is killed: nothing is lost, nothing is twice."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import uuid
from typing import Any

import httpx
import pytest

from cells.conftest import Tenant, create_tenant, hosts_of
from stack import cells
from stack.event_types import CELLS
from stack.paths import ROOT
from stack.stack_env import settings
from support.bookmarks import bookmarks
from support.platform import Platform
from support.stanzas import archived_bodies, go_online, join, send_message, settle
from support.uploads import Slot, new_slot
from support.wait import until
from support.xmpp import Client

TEXTS = [f"message {number}" for number in range(30)]
FILE = os.urandom(200_000)


def run(platform: Platform, *arguments: str) -> tuple[int, str]:
    """Exit status of scripts/cells and what it said."""
    command = [str(ROOT / "scripts" / "cells"), "--state", str(platform.paths.state), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    return done.returncode, done.stdout + done.stderr


def env_of(platform: Platform) -> dict[str, str]:
    return settings(platform.paths.state, "test")


def step(platform: Platform, tenant: Tenant) -> str | None:
    """What the ledger says of the move."""
    place = cells.place_of(env_of(platform), tenant.domain)
    return place.step if place else None


class Filled:
    """A tenant with something of everything: alice is online, bob is away."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.alice: Client = tenant.online("alice")
        self.room = tenant.create_group(["alice", "bob"])
        until(lambda: tenant.members(self.room) >= {f"alice@{tenant.domain}", f"bob@{tenant.domain}"}, "the members")
        join(self.alice, self.room, "alice")
        for text in TEXTS:
            send_message(self.alice, f"bob@{tenant.domain}", text)
            send_message(self.alice, self.room, f"room: {text}", "groupchat")
        settle(self.alice)
        self.slot: Slot = new_slot(self.alice, len(FILE))
        assert self.slot.upload(FILE).status_code == 201
        assert tenant.call("PUT", "individualChatList/carol%40" + tenant.domain, "alice").status_code == 204

    def assert_complete(self) -> None:
        """As its users see it, where they are told to connect."""
        tenant = self.tenant
        bob = tenant.log_in("bob")
        go_online(bob)
        settle(bob)
        waited = [text for m in bob.messages() if (text := m.findtext("{*}body") or "").startswith("message")]
        assert waited == TEXTS
        assert [text for text in archived_bodies(bob, f"bob@{tenant.domain}") if text] == TEXTS  # beside the invitation
        assert self.room in bookmarks(bob)
        join(bob, self.room, "bob")
        assert [text for text in archived_bodies(bob, self.room) if text.startswith("room: ")] == [f"room: {text}" for text in TEXTS]
        alice = tenant.log_in("alice")
        assert [text for text in archived_bodies(alice, f"alice@{tenant.domain}") if text] == TEXTS
        assert tenant.call("GET", "individualChatList", "alice").json() == [{"jid": f"carol@{tenant.domain}"}]
        assert httpx.get(self.slot.get, follow_redirects=True, trust_env=False, timeout=20).content == FILE


class Events:
    """Groups and memberships that are published as long as it lasts."""

    def __init__(self, tenant: Tenant, room: str) -> None:
        self.tenant, self.group = tenant, room.partition("@")[0]
        self.joined: list[str] = []
        self.rooms: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._publish)

    def _publish(self) -> None:
        while not self._over.wait(1):
            user = f"user{len(self.joined)}"
            self.tenant.platform.publish("usersGroup.participants.joined", {
                "id": uuid.uuid4().hex, "chatId": self.group, "domain": self.tenant.domain, "participants": [user]})
            self.joined.append(f"{user}@{self.tenant.domain}")
            self.rooms.append(self.tenant.create_group([user]))

    def __enter__(self) -> Events:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def assert_all_done(self, room: str) -> None:
        """Each membership and each room is there."""
        until(lambda: set(self.joined) <= self.tenant.members(room), f"{len(self.joined)} members of {room}", 120)
        for (made, user) in zip(self.rooms, self.joined, strict=True):
            until(lambda made=made, user=user: user in self.tenant.members(made), f"{user} in {made}", 120)


def other_than(platform: Platform, cell: str) -> str:
    return next(name for name in platform.stack.prosodies if name != cell)


def kill_mover(platform: Platform) -> bool:
    """Kills the function that moves; whether there was one."""
    binary = str(ROOT / "target" / "stack" / CELLS)
    found = subprocess.run(["pgrep", "-f", "-x", binary], capture_output=True, text=True, check=False).stdout.split()
    ours = [int(pid) for pid in found if _is_ours(platform, int(pid))]
    for pid in ours:
        os.kill(pid, signal.SIGKILL)
    return bool(ours)


def _is_ours(platform: Platform, pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return str(platform.paths.state).encode() in file.read()
    except OSError:
        return False


@pytest.mark.timeout(400)
def test_a_tenant_moves_while_everybody_is_killed_at_each_step(platform: Platform, tenants: dict[str, Tenant]):
    tenant = create_tenant(platform)
    source, target = tenant.cell, other_than(platform, tenant.cell)
    filled = Filled(tenant)
    with Events(tenant, filled.room) as events:
        moving = subprocess.Popen([str(ROOT / "scripts" / "cells"), "--state", str(platform.paths.state), "move", tenant.domain, target],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        killed: set[Any] = set()
        seen: set[str] = set()

        def go_on() -> bool:
            now = step(platform, tenant)
            if now is not None and now not in seen:
                seen.add(now)
                # A step each: one server, the other, the mover; what is killed comes back by itself.
                victim = {"waiting": source, "copying": target, "opening": source, "purging": target}.get(now)
                if victim is not None:
                    os.kill(platform.supervisor.pid(victim), signal.SIGKILL)
                    killed.add((now, victim))
                if kill_mover(platform):
                    killed.add((now, "mover"))
            return moving.poll() is not None
        until(go_on, "the end of scripts/cells move", 150)
        said = moving.communicate()[0]
    for _ in range(3):
        if moving.returncode == 0 or step(platform, tenant) is None:
            break
        run(platform, "continue")
    assert step(platform, tenant) is None, said
    assert {"waiting", "copying"} <= seen and len(killed) >= 2, (seen, killed)
    tenant.cell = target
    assert cells.place_of(env_of(platform), tenant.domain) == cells.Place(target)
    until(lambda: tenant.domain in hosts_of(platform, target), "the tenant on its new cell")
    assert tenant.domain not in hosts_of(platform, source)
    assert filled.alice.wait_closed(30) is not None
    filled.assert_complete()
    events.assert_all_done(filled.room)


@pytest.mark.timeout(400)
def test_while_a_tenant_moves_its_calls_get_503_and_others_notice_nothing(platform: Platform, tenants: dict[str, Tenant]):
    tenant = create_tenant(platform)
    other = tenants[tenant.cell]
    source, target = tenant.cell, other_than(platform, tenant.cell)
    filled = Filled(tenant)
    pid = platform.supervisor.pid(target)
    mover = threading.Thread(target=run, args=(platform, "move", tenant.domain, target))
    cancelling = threading.Thread(target=run, args=(platform, "move", tenant.domain, "--cancel"))
    mover.start()
    try:
        until(lambda: step(platform, tenant), "the move's beginning", 60)
        os.kill(pid, signal.SIGSTOP)  # nothing can be copied to it, so the step lasts until it goes on
        until(lambda: step(platform, tenant) == "copying", "the copying", 60)

        def refused() -> httpx.Response | None:
            answer = tenant.call("GET", "login", "alice")
            return answer if answer.status_code == 503 else None
        answer = until(refused, "503", 20)
        assert answer.json()["type"] == "urn:sippo-xmpp:problem:tenant-moves" and answer.headers["retry-after"]
        assert filled.alice.wait_closed(30).condition == "reset"
        assert other.call("GET", "individualChatList", "alice").status_code == 200
        cancelling.start()
        until(lambda: step(platform, tenant) in ("thawing", "discarding"), "that it is taken back", 60)
        until(lambda: tenant.call("GET", "login", "alice").status_code == 200, "the tenant, served again", 60)
    finally:
        os.kill(pid, signal.SIGCONT)
        for thread in (mover, cancelling):
            if thread.ident is not None:
                thread.join()
    for _ in range(5):
        if step(platform, tenant) is None:
            break
        run(platform, "continue")
    assert cells.place_of(env_of(platform), tenant.domain) == cells.Place(source)
    filled.assert_complete()


@pytest.mark.timeout(400)
def test_a_cell_is_drained_and_takes_tenants_again_when_it_is_opened(platform: Platform, tenants: dict[str, Tenant]):
    made = [create_tenant(platform) for _ in range(2)]
    cell = made[0].cell
    other = other_than(platform, cell)
    code, said = run(platform, "drain", "nowhere")
    assert code == 1 and "there is no cell nowhere" in said
    code, said = run(platform, "drain", cell)
    try:
        assert code == 0, said
        assert hosts_of(platform, cell) == []
        assert "draining" in run(platform)[1]
        domain = f"t{uuid.uuid4().hex[:8]}.test"
        platform.publish("domain.created", {"domain": domain})
        until(lambda: domain in hosts_of(platform, other), "a new tenant on the other cell")
    finally:
        assert run(platform, "open", cell)[0] == 0
    domain = f"t{uuid.uuid4().hex[:8]}.test"
    platform.publish("domain.created", {"domain": domain})
    until(lambda: domain in hosts_of(platform, cell), "a new tenant on the empty cell")
    for tenant in tenants.values():  # others use them by the cell that they were on
        if tenant.domain not in hosts_of(platform, tenant.cell):
            code, said = run(platform, "move", tenant.domain, tenant.cell)
            assert code == 0, said


@pytest.mark.parametrize("arguments, said", [
    (("move", "nobody.test", "prosody"), "is on no cell"),
    (("move", "nobody.test", "nowhere"), "there is no cell nowhere"),
    (("move", "nobody.test"), "move takes a cell, or --cancel"),
    (("close", "nowhere"), "there is no cell nowhere"),
])
def test_what_cannot_be_moved_is_told(platform: Platform, tenants: dict[str, Tenant], arguments: tuple[str, ...], said: str):
    code, told = run(platform, *arguments)
    assert code != 0 and said in told, told
