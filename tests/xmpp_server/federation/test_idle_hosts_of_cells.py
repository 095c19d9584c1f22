"""sippo_idle_hosts on cells: a tenant that sleeps is there for another cell's users, and what moves stays as it is."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from federation.conftest import Federation
from stack import cells
from stack.authority import Authority
from support.moves import Move
from support.prosody import Server
from support.stanzas import archived_bodies, ask, go_online, has_body, join, settle
from support.wait import until


@pytest.fixture
def federation(server_folder):
    """Both cells with a tenant each, which sleeps after a second."""
    folder = server_folder()
    servers = {name: Server(folder / name) for name in ("one", "two")}
    authority = Authority(folder / "authority")
    settings = cells.linked({name: server.settings for name, server in servers.items()}, authority)
    for name, server in servers.items():
        server.settings = replace(settings[name], extra=settings[name].extra | {"TENANT_IDLE_TIME": "1"})
        server.start()
    tail = uuid.uuid4().hex[:8]
    federation = Federation(servers["one"], servers["two"], authority, servers["one"].create_host(f"home{tail}.example"),
                            servers["two"].create_host(f"away{tail}.example"))
    federation.introduce()
    yield federation
    for server in servers.values():
        server.stop()


def sleeps(server: Server, domain: str) -> int:
    return server.log_text().count(f"Host {domain} sleeps: ")


def await_sleep(server: Server, domain: str, before: int = 0) -> None:
    until(lambda: sleeps(server, domain) > before, f"the sleep of {domain}", 30)


def test_a_guest_of_another_cell_wakes_the_rooms_tenant(federation: Federation):
    server = federation.one
    room = federation.create_room(federation.alice, federation.guest)
    with federation.online(federation.alice) as alice:
        join(alice, room, "alice")
        alice.message(room, "before it sleeps", type="groupchat")
        settle(alice)
    server.restart()  # no stream between the servers keeps it awake
    federation.two.restart()
    with server.user(federation.alice):
        pass
    await_sleep(server, federation.home, sleeps(server, federation.home))
    with federation.online(federation.guest) as guest:
        assert join(guest, room, "guest").get("type") is None
        guest.wait(has_body("before it sleeps"))
        guest.message(room, "from afar", type="groupchat")
        guest.wait(has_body("from afar"))
        before = sleeps(server, federation.home)
        with federation.online(federation.alice) as alice:
            assert archived_bodies(alice, room) == ["before it sleeps", "from afar"]
        # A tenant without a guest sleeps meanwhile, this one stays.
        server.create_host("idle.example")
        server.user("alice@idle.example").close()
        await_sleep(server, "idle.example")
        assert sleeps(server, federation.home) == before


def test_a_tenant_that_sleeps_moves_and_nothing_wakes_it_meanwhile(federation: Federation):
    source, target = federation.one, federation.two
    room = federation.create_room(federation.alice)
    with federation.online(federation.alice) as alice:
        join(alice, room, "alice")
        alice.message(room, "before the move", type="groupchat")
        settle(alice)
    await_sleep(source, federation.home)
    loads = source.log_text().count(f"Host {federation.home} is loaded")
    move = Move(federation.home, source, target)
    move.freeze()
    assert move.state(source)["state"] == "frozen"
    with source.admin() as admin:
        for address in (federation.home, room, federation.alice):
            assert ask(admin, "get", "<ping xmlns='urn:xmpp:ping'/>", address).get("type") == "error"
    assert source.log_text().count(f"Host {federation.home} is loaded") == loads
    move.bring(source, "served")
    with source.user(federation.alice) as alice:
        go_online(alice)
        assert archived_bodies(alice, room) == ["before the move"]
