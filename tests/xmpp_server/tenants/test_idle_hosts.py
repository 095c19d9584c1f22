"""sippo_idle_hosts: a tenant that nobody has used for a while sleeps again, and nobody notices."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.prosody import Server
from support.stanzas import (
    affiliate,
    affiliated,
    archived_bodies,
    bounced,
    configuration,
    configure,
    create_room,
    deliver,
    go_online,
    has_body,
    join,
    ok,
    send_message,
    settle,
)
from support.uploads import new_slot
from support.wait import until
from support.xmpp import CLIENT, MUC, E

HOME, AWAY, IDLE = "home.example", "away.example", "idle.example"
ROOM = f"team@conference.{HOME}"
SM = "urn:xmpp:sm:3"


@pytest.fixture
def server(new_server) -> Server:
    """One on which tenants sleep after a second."""
    one = new_server(extra={"TENANT_IDLE_TIME": "1"}).start()
    for domain in (HOME, AWAY):
        one.create_host(domain)
    return one


def sleeps(server: Server, domain: str) -> int:
    """How often it has gone to sleep."""
    return server.log_text().count(f"Host {domain} sleeps: ")


def await_sleep(server: Server, domain: str, before: int = 0) -> None:
    until(lambda: sleeps(server, domain) > before, f"the sleep of {domain}", 30)


def let_another_sleep(server: Server) -> None:
    """Until a tenant has gone to sleep that is used now for the last time."""
    if IDLE not in server.hosts():
        server.create_host(IDLE)
    before = sleeps(server, IDLE)
    server.user(f"alice@{IDLE}").close()
    await_sleep(server, IDLE, before)


def resident_memory(server: Server) -> int:
    """KiB."""
    [line] = [line for line in Path(f"/proc/{server.pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])


def test_what_a_tenant_has_is_there_when_it_wakes(server):
    with server.admin() as admin, server.user(f"alice@{HOME}") as alice:
        create_room(admin, ROOM, life="1.1/65")
        ok(affiliate(admin, ROOM, (f"alice@{HOME}", "member"), (f"guest@{AWAY}", "member"), (f"bob@{HOME}", "member")))
        join(alice, ROOM, "alice")
        alice.message(ROOM, "said in the room", type="groupchat")
        send_message(alice, f"bob@{HOME}", "before it sleeps")
        settle(alice)
    await_sleep(server, HOME)
    assert server.hosts() == [AWAY, HOME]
    with server.user(f"bob@{HOME}") as bob:
        go_online(bob)
        bob.wait(has_body("before it sleeps"), 10)
        join(bob, ROOM, "bob")
        assert "said in the room" in archived_bodies(bob, ROOM)
    await_sleep(server, HOME, 1)
    with server.admin() as admin:
        assert affiliated(admin, ROOM, "member") == {f"alice@{HOME}", f"guest@{AWAY}", f"bob@{HOME}"}


def test_what_was_changed_in_a_room_is_there_when_it_wakes(server):
    with server.admin() as admin, server.user(f"alice@{HOME}") as alice:
        create_room(admin, ROOM, life="1.1/65", **{"muc#roomconfig_roomname": "Before"})
        ok(affiliate(admin, ROOM, (f"alice@{HOME}", "owner"), (f"bob@{HOME}", "member")))
        join(alice, ROOM, "alice")
        alice.send(E("message", CLIENT, E("subject", CLIENT, "What it is about"), to=ROOM, type="groupchat"))
        alice.wait(lambda e: e.findtext(f"{{{CLIENT}}}subject") == "What it is about", 10)
        ok(configure(admin, ROOM, {"muc#roomconfig_roomname": "After"}))
        alice.message(ROOM, "said last", type="groupchat")
        alice.wait(has_body("said last"))
        before = configuration(admin, ROOM)
        alice.leave_room(ROOM, "alice")
    await_sleep(server, HOME)
    with server.admin() as admin, server.user(f"bob@{HOME}") as bob:
        assert configuration(admin, ROOM) == before and before["muc#roomconfig_roomname"] == "After"
        join(bob, ROOM, "bob")
        bob.wait(lambda e: e.findtext(f"{{{CLIENT}}}subject") == "What it is about", 10)
        assert archived_bodies(bob, ROOM)[-1:] == ["said last"]
        assert affiliated(admin, ROOM, "owner") >= {f"alice@{HOME}"}


def test_whoever_comes_first_wakes_it_and_nobody_is_refused(server):
    for round_ in range(3):
        server.user(f"alice@{HOME}").close()
        await_sleep(server, HOME, round_)
        with ThreadPoolExecutor(5) as pool:
            for done in [pool.submit(server.user(f"u{n}@{HOME}").close) for n in range(5)]:
                done.result()


def test_the_services_messages_wake_it(server):
    server.user(f"alice@{HOME}").close()
    await_sleep(server, HOME)
    with server.admin() as admin:
        assert bounced(deliver(admin, HOME, f"bob@{HOME}")) == {}
    await_sleep(server, HOME, 1)
    with server.user(f"bob@{HOME}") as bob:
        go_online(bob)
        bob.wait(has_body("for bob"), 10)


def test_it_is_deleted_while_it_sleeps(server):
    with server.user(f"alice@{HOME}") as alice:
        send_message(alice, f"bob@{HOME}", "gone with it")
        settle(alice)
    await_sleep(server, HOME)
    server.delete_host(HOME)
    assert server.hosts() == [AWAY]
    server.create_host(HOME)
    with server.user(f"bob@{HOME}") as bob:
        assert archived_bodies(bob, bob.bare_jid) == []


def test_it_stays_while_a_session_is_there_or_waits_to_be_resumed(server):
    with server.user(f"alice@{HOME}") as alice:
        go_online(alice)
        alice.send(E("enable", SM, resume="true"))
        alice.wait(lambda e: e.tag == f"{{{SM}}}enabled")
        let_another_sleep(server)
        assert sleeps(server, HOME) == 0
        alice.abort()
        let_another_sleep(server)
        assert sleeps(server, HOME) == 0


def test_it_stays_while_somebody_of_another_tenant_is_in_a_room(server):
    with server.admin() as admin, server.user(f"guest@{AWAY}") as guest:
        create_room(admin, ROOM, life="1.1/65")
        ok(affiliate(admin, ROOM, (f"guest@{AWAY}", "member")))
        join(guest, ROOM, "guest")
        let_another_sleep(server)
        assert sleeps(server, HOME) == 0
        guest.message(ROOM, "still there", type="groupchat")
        guest.wait(lambda e: e.get("from") == f"{ROOM}/guest" and has_body("still there")(e))
        guest.leave_room(ROOM, "guest")
        await_sleep(server, HOME)


def test_it_stays_while_a_temporary_room_is_there(server):
    room = f"adhoc-x@conference.{HOME}"
    with server.user(f"alice@{HOME}") as alice:
        alice.presence(E("x", MUC), to=f"{room}/alice")
        alice.wait(lambda e: e.get("from") == f"{room}/alice", 10)
        let_another_sleep(server)
        assert sleeps(server, HOME) == 0
    await_sleep(server, HOME)


def test_it_stays_as_long_as_it_has_something_to_finish(server):
    server.user(f"alice@{HOME}").close()
    with server.database() as db:
        db.execute('INSERT INTO prosody (host, "user", store, "key", type, value) '
                   "VALUES (?, 'nobody', 'sippo_archive_purge', 'x', 'string', 'x')", (f"conference.{HOME}",))
    let_another_sleep(server)
    assert sleeps(server, HOME) == 0
    with server.database() as db:
        db.execute("DELETE FROM prosody WHERE store='sippo_archive_purge'")
    await_sleep(server, HOME)


def test_it_stays_while_one_of_its_modules_waits_for_a_timer(server):
    """Here for a resource, for a minute (mod_sippo_c2s_limits), though the connection is lost."""
    server.user(f"alice@{HOME}").close()
    client = server.client(f"alice@{HOME}", server.login_token(f"alice@{HOME}"))
    client.open().authenticate()
    client.abort()
    let_another_sleep(server)
    let_another_sleep(server)
    assert sleeps(server, HOME) == 0


def test_uploads_wake_it_and_keep_it_awake(server):
    large = b"x" * 20_000  # what is shorter than 8 KiB is handled when all of it is there
    with server.user(f"alice@{HOME}") as alice:
        first, second = new_slot(alice, 3), new_slot(alice, len(large))
    await_sleep(server, HOME)
    assert first.upload(b"abc").status_code == 201
    await_sleep(server, HOME, 1)
    assert first.fetch().content == b"abc"
    url, log = urlsplit(second.put), len(server.log_text())
    with socket.create_connection((url.hostname, url.port), 10) as connection:
        headers = "".join(f"{name}: {value}\r\n" for name, value in second.headers.items())
        connection.sendall(f"PUT {url.path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(large)}\r\n\r\n".encode() + large[:-2])
        until(lambda: "Preparing to receive upload" in server.log_text()[log:], "the upload's begin", 10)
        before = sleeps(server, HOME)
        let_another_sleep(server)
        let_another_sleep(server)
        assert sleeps(server, HOME) == before
        connection.sendall(large[-2:])
        assert b" 201 " in connection.recv(4096)
    await_sleep(server, HOME, before)
    assert second.fetch().content == large


def test_its_memory_is_free_again(server):
    domains = [f"t{n}.example" for n in range(20)]
    for domain in domains:
        server.create_host(domain)
    used = []
    for round_ in range(4):
        for domain in domains:
            server.user(f"alice@{domain}").close()
        for domain in domains:
            await_sleep(server, domain, round_)
        used.append(resident_memory(server))
    assert used[-1] - used[0] < len(domains) * 512, used  # one that is loaded takes more, and they were three times


@pytest.mark.provokes("no connection to the server")
def test_it_sleeps_after_the_database_was_away(postgresql, new_server):
    server = new_server(storage=postgresql.url, extra={"STORAGE_PASSWORD": postgresql.password, "TENANT_IDLE_TIME": "1"}).start()
    server.create_host(HOME)
    with server.user(f"alice@{HOME}") as alice:
        settle(alice)
        postgresql.stop()
    until(lambda: f"Host {HOME} could not be put to sleep" in server.log_text(), "a try to have it sleep", 20)
    assert sleeps(server, HOME) == 0
    postgresql.start()
    await_sleep(server, HOME)
