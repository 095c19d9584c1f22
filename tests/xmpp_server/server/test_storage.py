"""What is answered is stored: SQLite's write-ahead log (mod_sippo_sqlite), transactions of many (mod_sippo_message_batch)."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import threading
import time
import uuid
from contextlib import closing

import pytest

from stack.paths import ROOT
from support import storage
from support.postgresql import programs
from support.stanzas import (
    CLIENT,
    MESSAGES,
    answer,
    archived_bodies,
    ask,
    assert_absent,
    bounced,
    condition,
    deliver,
    error_shape,
    go_online,
    has_body,
    messages_to,
    new_id,
    ok,
    request,
    send_message,
    settle,
)

QUOTA = 3


@pytest.fixture
def tenant(small):
    return small.create_host(f"s{uuid.uuid4().hex[:10]}.example")


def database(server):
    return closing(sqlite3.connect(server.data / "prosody.sqlite", timeout=10))


def journal_mode(server) -> str:
    with database(server) as db:
        return db.execute("PRAGMA journal_mode").fetchone()[0]


def stored(server, domain: str) -> list[tuple[str, str]]:
    """Who has a message waiting or archived, and which of the two."""
    with server.database() as db:
        return sorted(db.execute('SELECT "user", store FROM prosodyarchive WHERE host=?', (domain,)).fetchall())


# SQLite -----------------------------------------------------------------------------


@pytest.mark.sqlite
@pytest.mark.parametrize("setting, level", [(None, 2), ("full", 2), ("normal", 1)])
def test_the_log_and_what_it_waits_for(new_server, setting, level):
    server = new_server(extra={"SQLITE_SYNCHRONOUS": setting} if setting else {}).start()
    server.create_host("a.example")
    assert journal_mode(server) == "wal"
    assert f"SQLite has journal_mode=wal, synchronous={level}\n" in server.log_text()


@pytest.mark.sqlite
def test_a_file_with_the_rollback_journal_is_converted_and_keeps_its_content(new_server):
    server = new_server().start()
    domain = server.create_host("kept.example")
    with server.user(f"alice@{domain}") as alice:
        send_message(alice, f"bob@{domain}", "from before")
        settle(alice)
    server.stop()
    with database(server) as db:
        assert db.execute("PRAGMA journal_mode=DELETE").fetchone()[0] == "delete"
    server.start()
    assert server.hosts() == [domain]
    assert journal_mode(server) == "wal"
    with server.user(f"bob@{domain}") as bob:
        go_online(bob)
        bob.wait(has_body("from before"), 10)


def test_files_have_no_journal_mode(new_server):
    server = new_server(storage="internal").start()
    domain = server.create_host("files.example")
    with server.admin() as admin:
        assert bounced(deliver(admin, domain, f"bob@{domain}")) == {}
    assert not list(server.data.glob("prosody.sqlite*"))
    with server.user(f"bob@{domain}") as bob:
        go_online(bob)
        bob.wait(has_body("for bob"), 10)


@pytest.mark.parametrize("setting", ["full", "normal"])
def test_a_kill_loses_nothing_that_was_answered_and_leaves_no_halves(new_server, setting):
    server = new_server(extra={"SQLITE_SYNCHRONOUS": setting}, log_level="info").start()
    domain = server.create_host("killed.example")
    batches = [[f"u{batch}-{n}" for n in range(25)] for batch in range(400)]
    admin = server.admin()
    idents = [new_id() for _ in batches]

    def send_all() -> None:
        try:
            for ident, names in zip(idents, batches, strict=True):
                payload = f"<messages xmlns='{MESSAGES}'>{messages_to(*(f'{name}@{domain}' for name in names))}</messages>"
                admin.send(request("set", payload, f"conference.{domain}", ident))
        except Exception:  # noqa: BLE001: the connection breaks under it, that is the point
            pass

    sender = threading.Thread(target=send_all)
    sender.start()
    awaited = answer(admin, idents[8], 60)
    server.kill()
    sender.join(30)
    admin.wait_closed(10)
    results = {e.get("id") for e in [awaited, *admin.received()] if e.get("type") == "result"}
    answered = [names for ident, names in zip(idents, batches, strict=True) if ident in results]
    server.start()
    rows = stored(server, domain)
    assert len(rows) == len(set(rows))
    there = set(rows)
    assert 9 <= len(answered) < len(batches)
    for names in answered:
        assert {(name, store) for name in names for store in ("archive", "offline")} <= there
    for names in batches:
        assert sum((name, store) in there for name in names for store in ("archive", "offline")) in (0, 50)
    if not storage.is_postgresql(server.settings):
        with database(server) as db:
            assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    with server.user(f"{answered[-1][-1]}@{domain}") as user:
        go_online(user)
        user.wait(has_body(f"for {answered[-1][-1]}"), 10)


def documented(program: str) -> str:
    """The command of README.md that begins with a program's name."""
    [command] = re.findall(rf"^ {{4}}({program} .*)$", (ROOT / "xmpp-server" / "README.md").read_text(), re.MULTILINE)
    return command


@pytest.mark.sqlite
def test_the_documented_backup_and_restore_day_after_day(new_server, tmp_path):
    """README.md's own command, twice in one folder; then the restore as it says, in the place of what came since."""
    command = documented("sqlite3")
    server = new_server().start()
    tenant = server.create_host("a.example")
    server.user(f"alice@{tenant}").close()
    day = {"SIPPO_XMPP_DATA": str(server.data), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    (tmp_path / "date").write_text('#!/bin/sh\nexec /bin/date -d "$DAY" "$@"\n')
    (tmp_path / "date").chmod(0o755)
    for number in (1, 2):
        subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True, env=os.environ | day | {"DAY": f"2026-01-0{number} 03:00"})
        server.create_host(f"since{number}.example")
    first, second = sorted(tmp_path.glob("backup-*.sqlite"))
    server.stop()
    for name in ("prosody.sqlite", "prosody.sqlite-wal", "prosody.sqlite-shm"):
        (server.data / name).unlink(missing_ok=True)
    shutil.copy(second, server.data / "prosody.sqlite")
    server.start()
    assert server.hosts() == [tenant, "since1.example"]
    server.user(f"alice@{tenant}").close()
    assert first.stat().st_size > 0


def test_the_documented_backup_and_restore_of_postgresql(postgresql, new_server, tmp_path):
    server = new_server(storage=postgresql.url, extra={"STORAGE_PASSWORD": postgresql.password}).start()
    tenant = server.create_host("a.example")
    with server.user(f"alice@{tenant}") as alice:
        send_message(alice, f"bob@{tenant}", "kept")
        settle(alice)
    tools = {"DATABASE": postgresql.url, "PGPASSWORD": postgresql.password,
             "PATH": f"{programs()}:{os.environ['PATH']}"}

    def run(command: str) -> None:
        subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True, env=os.environ | tools)

    run(documented("pg_dump"))
    server.create_host("since.example")
    [backup] = tmp_path.glob("backup-*.dump")
    server.stop()
    run(re.sub(r"backup-\w+\.dump", backup.name, documented("pg_restore")))
    server.start()
    assert server.hosts() == [tenant]
    with server.user(f"bob@{tenant}") as bob:
        go_online(bob)
        bob.wait(has_body("kept"), 10)


@pytest.mark.sqlite
def test_a_backup_of_a_running_server_is_whole(small, tenant, new_server):
    """As README.md of xmpp-server says to make one."""
    with small.admin() as admin:
        bounced(deliver(admin, tenant, f"bob@{tenant}"))
    copy = new_server(admin_token=small.admin_token)
    copy.data.mkdir(parents=True)
    with database(small) as db, closing(sqlite3.connect(copy.data / "prosody.sqlite")) as target:
        db.backup(target)
    copy.start()
    assert tenant in copy.hosts()
    with copy.user(f"bob@{tenant}") as bob:
        go_online(bob)
        bob.wait(has_body("for bob"), 10)


# Many messages in one request ---------------------------------------------------------------


def test_each_goes_the_way_that_it_would_go_by_itself(small, tenant):
    alice, bob, carol, full = (f"{name}@{tenant}" for name in ("alice", "bob", "carol", "full"))
    users = [alice, bob, carol, full, "lost@nowhere.example"]
    with small.user(alice) as online, small.user(carol) as blocker, small.admin() as admin:
        go_online(online)
        ok(ask(blocker, "set", f"<block xmlns='urn:xmpp:blocking'><item jid='{small.admin_jid}'/></block>"))
        for n in range(QUOTA):
            send_message(online, full, f"fill {n}")
        settle(online)
        assert bounced(deliver(admin, tenant, *users)) == {
            carol: "service-unavailable", full: "resource-constraint", "lost@nowhere.example": "remote-server-not-found"}
        online.wait(has_body("for alice"), 10)
        assert bounced(deliver(admin, tenant, carol)) == {carol: "service-unavailable"}, "nothing to store"
        # What bounces later is no business of the request any more.
        send_message(admin, full, "one more")
        assert condition(admin.wait(lambda e: e.get("type") == "error", 10)) == "resource-constraint"
    with small.user(bob) as user:
        archive = archived_bodies(user, bob)
    assert archive == ["for bob"]
    with small.user(bob) as user:
        go_online(user)
        message = user.wait(has_body("for bob"), 10)
        assert message.get("from").split("/")[0] == small.admin_jid and message.get("id") == bob
        assert message.find("{urn:xmpp:delay}delay") is not None


@pytest.mark.provokes("disk trouble|checking quota", "Could not store")
def test_what_cannot_be_stored_is_not_stored_in_part(small, tenant):
    users = [f"{name}@{tenant}" for name in ("first", "bad", "last")]
    with small.admin() as admin:
        with small.disk_trouble("prosodyarchive", "NEW.\"user\"='bad'"):
            assert condition(deliver(admin, tenant, *users)) == "internal-server-error"
            assert stored(small, tenant) == []
        assert bounced(deliver(admin, tenant, *users)) == {}
        assert stored(small, tenant) == [(name, store) for name in ("bad", "first", "last")
                                         for store in ("archive", "offline")]
    with small.user(users[0]) as user:
        go_online(user)
        user.wait(has_body("for first"), 10)
        assert_absent(user, has_body("for first"))


@pytest.mark.provokes("mod_cloud_notify")
def test_a_message_that_makes_a_module_fail_keeps_no_other_away(small, tenant):
    users = [f"{name}@{tenant}" for name in ("first", "bad", "last")]
    with small.database() as db:  # no table: mod_cloud_notify throws
        db.execute('INSERT INTO prosody (host, "user", store, key, type, value) '
                   "VALUES (?, 'bad', 'cloud_notify', 'damaged', 'number', '1')", (tenant,))
    with small.admin() as admin:
        assert bounced(deliver(admin, tenant, *users)) == {users[1]: "internal-server-error"}
    assert stored(small, tenant) == [(name, store) for name in ("first", "last") for store in ("archive", "offline")]
    for user in (users[0], users[2]):
        with small.user(user) as client:
            go_online(client)
            client.wait(has_body(f"for {user.split('@')[0]}"), 10)


@pytest.mark.provokes("disk trouble", "Could not store")
def test_what_was_not_stored_does_not_count(small, tenant):
    first, bad = f"first@{tenant}", f"bad@{tenant}"
    with small.admin() as admin:
        with small.disk_trouble("prosodyarchive", "NEW.\"user\"='bad'"):
            for _ in range(QUOTA + 1):
                assert condition(deliver(admin, tenant, first, bad)) == "internal-server-error"
        assert bounced(deliver(admin, tenant, first, bad)) == {}


def test_only_the_service_does_this(small, tenant):
    with small.user(f"alice@{tenant}") as alice:
        assert condition(deliver(alice, tenant, f"bob@{tenant}")) == "forbidden"
    assert stored(small, tenant) == []


@pytest.mark.parametrize("children", [
    "<message xmlns='{c}' to='bob@{d}'/>", "<message xmlns='{c}' id='1'/>", "<iq xmlns='{c}' id='1' to='bob@{d}'/>",
    "<message xmlns='urn:other' id='1' to='bob@{d}'/>",
    "<message xmlns='{c}' id='1' to='bob@{d}'/><message xmlns='{c}' id='1' to='carol@{d}'/>",
])
def test_a_bad_list_is_refused_as_a_whole(small, tenant, children):
    good = f"<message xmlns='{CLIENT}' id='0' to='bob@{tenant}'><body>x</body></message>"
    payload = f"<messages xmlns='{MESSAGES}'>{good}{children.format(c=CLIENT, d=tenant)}</messages>"
    with small.admin() as admin:
        assert condition(ask(admin, "set", payload, f"conference.{tenant}")) == "bad-request"
    assert stored(small, tenant) == []


def test_a_request_counts_until_it_expires(small, tenant):
    bob, now = f"bob@{tenant}", int(time.time())
    with small.admin() as admin:
        refusal = deliver(admin, tenant, bob, attributes=f"expires='{now - 1}'")
        assert condition(refusal) == "remote-server-timeout" and "is overloaded or was stopped" in error_shape(refusal)
        assert "see whether this server is overloaded or was stopped" in small.log_text()
        assert stored(small, tenant) == []
        assert bounced(deliver(admin, tenant, bob, attributes=f"expires='{now + 60}'")) == {}
