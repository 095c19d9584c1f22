"""sippo_dormant_hosts: a tenant is loaded by the first thing that addresses it, whatever that is, and by nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import httpx
import pytest

from support.prosody import Server
from support.stanzas import (
    CLIENT,
    MESSAGES,
    affiliate,
    ask,
    bounced,
    condition,
    create_room,
    go_online,
    has_body,
    join,
    ok,
    send_message,
    settle,
)
from support.tenants import serves
from support.wait import until
from support.xmpp import E

HOME, AWAY = "home.example", "away.example"
ROOM, GUEST = f"team@conference.{HOME}", f"guest@{AWAY}"
CONFERENCE = "jabber:x:conference"
UPLOAD = "urn:xmpp:http:upload:0"
DAY = 24 * 60 * 60


@pytest.fixture
def asleep(new_server) -> Server:
    """A server that was restarted: two tenants that nobody has addressed since, a room of one with a guest of the other."""
    server = new_server().start()
    for domain in (HOME, AWAY):
        server.create_host(domain)
    with server.admin() as admin, server.user(f"alice@{HOME}") as alice:
        create_room(admin, ROOM, life="1.1/65")
        ok(affiliate(admin, ROOM, (f"alice@{HOME}", "member"), (GUEST, "member")))
        send_message(alice, f"bob@{HOME}", "before the restart")
        settle(alice)
    server.restart()
    return server


def is_loaded(server: Server, domain: str) -> bool:
    """Since the last start."""
    log = server.log_text()
    return f"Host {domain} is loaded" in log[log.rindex("Hello and welcome to Prosody"):]


def log_in(server: Server) -> None:
    with server.user(f"bob@{HOME}") as bob:
        go_online(bob)
        bob.wait(has_body("before the restart"), 10)


def ask_a_room(server: Server) -> None:
    with server.admin() as admin:
        ok(affiliate(admin, ROOM, (f"carol@{HOME}", "member")))


def write_to_a_user(server: Server) -> None:
    with server.admin() as admin:
        send_message(admin, f"carol@{HOME}", "to nobody online")
        settle(admin)
    with server.user(f"carol@{HOME}") as carol:
        go_online(carol)
        carol.wait(has_body("to nobody online"), 10)


def invite_in_a_batch(server: Server) -> None:
    message = f"<message xmlns='{CLIENT}' id='1' to='carol@{HOME}'><x xmlns='{CONFERENCE}' jid='{ROOM}'/></message>"
    other = f"conference.{server.create_host('other.example')}"
    with server.admin() as admin:
        assert bounced(ask(admin, "set", f"<messages xmlns='{MESSAGES}'>{message}</messages>", other, 30)) == {}


@pytest.mark.parametrize("address", [log_in, ask_a_room, write_to_a_user, invite_in_a_batch])
def test_whatever_addresses_a_tenant_finds_it(asleep, address):
    assert asleep.hosts() == [AWAY, HOME]
    assert not is_loaded(asleep, HOME)
    address(asleep)
    assert is_loaded(asleep, HOME) and not is_loaded(asleep, AWAY)
    assert serves(asleep, HOME)


def test_a_guest_finds_the_room_of_a_tenant_that_sleeps_and_hears_of_its_end(asleep):
    with asleep.user(GUEST) as guest:
        assert not is_loaded(asleep, HOME)
        assert join(guest, ROOM, "guest").get("type") is None
        assert is_loaded(asleep, HOME)
        asleep.delete_host(HOME)
        guest.wait(lambda e: e.get("type") == "unavailable" and e.get("from", "").startswith(ROOM), 10)


def test_another_tenants_users_are_refused_without_waking_it(asleep):
    with asleep.user(f"mallory@{AWAY}") as mallory:
        for to in (f"alice@{HOME}", f"alice@{HOME}/phone"):
            assert condition(ask(mallory, "get", "<ping xmlns='urn:xmpp:ping'/>", to)) == "forbidden"
        mallory.send(E("presence", CLIENT, to=f"alice@{HOME}", type="subscribe"))
        mallory.sync()
    assert not is_loaded(asleep, HOME)


def test_uploads_of_a_tenant_that_sleeps_are_served(asleep):
    def slot(user) -> tuple[str, str, str]:
        reply = ok(ask(user, "get", f"<request xmlns='{UPLOAD}' filename='a.txt' size='5' content-type='text/plain'/>", HOME))
        put, get = reply.find(f".//{{{UPLOAD}}}put"), reply.find(f".//{{{UPLOAD}}}get")
        return put.get("url"), put[0].text, get.get("url")

    with asleep.user(f"alice@{HOME}") as alice:
        url, token, address = slot(alice)
        late_url, late_token, late_address = slot(alice)
    assert httpx.put(url, content=b"early", headers={"Authorization": token}, trust_env=False).status_code == 201
    asleep.restart()
    assert not is_loaded(asleep, HOME)
    answer = httpx.get(address, trust_env=False)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"early", "text/plain")
    assert is_loaded(asleep, HOME)
    asleep.restart()
    # No slot outlives a restart; that is for the tenant's own handler to say.
    put = httpx.put(late_url, content=b"later", headers={"Authorization": late_token}, trust_env=False)
    assert put.status_code == (403 if asleep.series == "13.0" else 401) and is_loaded(asleep, HOME)
    assert httpx.get(late_address, trust_env=False).status_code == 410
    assert httpx.get(address.replace(HOME, "nobody.example"), trust_env=False).status_code == 404


def test_a_tenant_that_sleeps_is_deleted_with_its_data_and_its_guests_invitations(asleep):
    asleep.delete_host(HOME)
    assert asleep.hosts() == [AWAY]
    with closing(sqlite3.connect(f"file:{asleep.data}/prosody.sqlite?mode=ro", uri=True)) as database:
        for table in ("prosody", "prosodyarchive"):
            assert database.execute(f"SELECT count(*) FROM {table} WHERE host LIKE '%{HOME}'").fetchone() == (0,)
    assert not serves(asleep, HOME)
    assert not is_loaded(asleep, HOME)


def test_what_is_too_old_is_removed_from_a_tenant_that_nobody_uses(new_server):
    server = new_server(extra={"ARCHIVE_RETENTION": "30d"}).start()
    for domain in (HOME, AWAY):
        server.create_host(domain)
        with server.user(f"alice@{domain}") as alice:
            send_message(alice, f"bob@{domain}", "kept for a month")
            settle(alice)
    admin_host = server.admin_jid.partition("@")[2]
    server.stop()
    with closing(sqlite3.connect(server.data / "prosody.sqlite")) as database, database:
        old = database.execute('UPDATE prosodyarchive SET "when" = "when" - ? WHERE host = ?', (40 * DAY, HOME))
        assert old.rowcount > 0
        # When the daily tasks were done last
        for host, key in ((admin_host, "quobis_virtualhosts/load_tenants_with_something_that_is_too_old"),
                          (HOME, "mam/remove_expired_messages")):
            database.execute("DELETE FROM prosody WHERE host = ? AND store = 'cron' AND key = ?", (host, key))
            database.execute("INSERT INTO prosody (host, user, store, key, type, value) VALUES (?, '', 'cron', ?, 'number', '0')",
                             (host, key))
    server.start()
    until(lambda: is_loaded(server, HOME), "the tenant with old messages being loaded", 20)
    assert not is_loaded(server, AWAY)
