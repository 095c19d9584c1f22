"""A tenant goes from server to server: hosts API's resources below `move/` (xmpp-server/README.md)."""

from __future__ import annotations

import os
from dataclasses import dataclass

import httpx
import pytest

from support.bookmarks import bookmarks
from support.moves import END, Move, Refused
from support.postgresql import PostgreSQL
from support.prosody import Server
from support.stanzas import affiliate, affiliated, archived_bodies, ask, create_room, go_online, has_body, join, send_message, settle, statuses
from support.uploads import Slot, new_slot
from support.xmpp import Client

TEXTS = [f"message {number}" for number in range(20)]
FILE = os.urandom(300_000)


@pytest.fixture(scope="module")
def source(server_folder):
    one = Server(server_folder())
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def target(server_folder):
    one = Server(server_folder())
    one.start()
    yield one
    one.stop()


@dataclass
class Tenant:
    """One with something of everything: alice is online, bob is away, guests' domain is beside it."""

    domain: str
    guests: str
    alice: Client
    slot: Slot
    room: str


def fill(server, domain: str, guests: str) -> Tenant:
    """Makes it."""
    server.create_host(domain)
    server.create_host(guests)
    room = f"team@conference.{domain}"
    with server.admin() as admin:
        create_room(admin, room, **{"muc#roomconfig_persistentroom": "1", "muc#roomconfig_membersonly": "1"})
        affiliate(admin, room, (f"alice@{domain}", "member"), (f"bob@{domain}", "member"), (f"eve@{guests}", "member"))
    alice = server.user(f"alice@{domain}")
    go_online(alice)
    join(alice, room, "alice")
    for text in TEXTS:
        send_message(alice, f"bob@{domain}", text)
        send_message(alice, room, f"room: {text}", "groupchat")
    alice.wait(has_body(f"room: {TEXTS[-1]}"))
    slot = new_slot(alice, len(FILE))
    assert slot.upload(FILE).status_code == 201
    empty = new_slot(alice, 0, "empty.bin")
    empty.upload(b"")
    settle(alice)
    return Tenant(domain, guests, alice, slot, room)


def assert_complete(server, tenant: Tenant) -> None:
    """Nothing lost, nothing twice, in order."""
    assert tenant.domain in server.hosts()
    with server.user(f"bob@{tenant.domain}") as bob:
        go_online(bob)
        settle(bob)
        assert [m.findtext("{*}body") for m in bob.messages() if (m.findtext("{*}body") or "").startswith("message")] == TEXTS
        assert archived_bodies(bob, f"bob@{tenant.domain}") == TEXTS
        join(bob, tenant.room, "bob")
        assert archived_bodies(bob, tenant.room) == [f"room: {text}" for text in TEXTS]
    with server.user(f"alice@{tenant.domain}") as alice:
        assert archived_bodies(alice, f"alice@{tenant.domain}") == TEXTS
        assert tenant.room in bookmarks(alice)
    with server.admin() as admin:
        assert affiliated(admin, tenant.room, "member") == {f"alice@{tenant.domain}", f"bob@{tenant.domain}", f"eve@{tenant.guests}"}


def test_all_of_a_tenant_goes_and_its_sessions_end_by_reset(source, target, unique_domain):
    tenant = fill(source, unique_domain(), unique_domain())
    with source.user(f"eve@{tenant.guests}") as eve:
        go_online(eve)
        join(eve, tenant.room, "eve")
        move = Move(tenant.domain, source, target)
        move.freeze()
        assert tenant.alice.wait_closed().condition == "reset"
        gone = eve.wait(lambda e: e.get("type") == "unavailable" and e.get("from") == f"{tenant.room}/eve")
        assert "332" in statuses(gone) and gone.find(".//{*}destroy") is None
        reply = ask(eve, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", tenant.room)
        assert reply.get("type") == "error"
    counts = move.run()
    assert counts["messages"] >= 4 * len(TEXTS) and counts["files"] == 2 and counts["bytes"] > len(FILE)
    assert_complete(target, tenant)
    assert tenant.domain not in source.hosts()
    assert move.state(source)["state"] == "moved"
    with source.database() as database:
        for table in ("prosody", "prosodyarchive"):
            rows = database.execute(f'SELECT count(*) FROM "{table}" WHERE "host" IN (?,?)',
                                    (tenant.domain, f"conference.{tenant.domain}")).fetchone()
            assert rows[0] == 0
    fetched = tenant.slot.fetch()
    assert (fetched.status_code, fetched.headers["access-control-allow-origin"]) == (307, "*")
    found = httpx.get(fetched.headers["location"], trust_env=False)
    assert found.content == FILE
    # and back, with what was said since
    back = Move(tenant.domain, target, source)
    back.run()
    assert_complete_after_delivery(source, tenant)
    assert tenant.slot.fetch().content == FILE


def assert_complete_after_delivery(server, tenant: Tenant) -> None:
    """The same, when bob has had his messages."""
    with server.user(f"bob@{tenant.domain}") as bob:
        go_online(bob)
        settle(bob)
        assert not [m for m in bob.messages() if (m.findtext("{*}body") or "").startswith("message")]
        assert archived_bodies(bob, f"bob@{tenant.domain}") == TEXTS
        send_message(bob, f"alice@{tenant.domain}", "afterwards")
        settle(bob)
        assert archived_bodies(bob, f"bob@{tenant.domain}") == [*TEXTS, "afterwards"]


@pytest.mark.sqlite
def test_it_goes_from_sqlite_to_postgresql_and_back(source, postgresql, new_server, unique_domain):
    tenant = fill(source, unique_domain(), unique_domain())
    other = new_server(extra={"STORAGE": postgresql.new_database(), "STORAGE_PASSWORD": PostgreSQL.password}).start()
    there = Move(tenant.domain, source, other).run()
    back = Move(tenant.domain, other, source).run()
    assert there == back
    assert_complete(source, tenant)
    assert tenant.slot.fetch().content == FILE


def test_either_server_may_die_at_each_step(source, target, unique_domain):
    tenant = fill(source, unique_domain(), unique_domain())
    move = Move(tenant.domain, source, target)

    def crash() -> None:
        for server in (source, target):
            server.kill()
            server.start()

    move.freeze()
    crash()
    assert move.state(source)["state"] == "frozen" and tenant.domain not in source.hosts()
    move.freeze()
    move.expect()
    crash()
    move.expect()
    pages = 0
    while (cursor := move.state(target)["cursor"]) != END:
        page = move.page(cursor, rows=15)
        move.put(page)
        if pages % 3 == 0:
            target.kill()
            target.start()
        with pytest.raises(Refused) as twice:
            move.put(page)
        assert twice.value.status == 409
        pages += 1
    assert pages > 6
    counts = move.count(source)
    assert counts == move.count(target)
    crash()
    assert counts == move.count(source, 50) == move.count(target, 9)
    move.open()
    crash()
    move.open()
    assert_complete(target, tenant)
    move.leave()
    crash()
    move.leave()
    assert move.state(source)["state"] == "moved" and tenant.domain not in source.hosts()
    with target.user(f"bob@{tenant.domain}") as bob:
        assert archived_bodies(bob, f"bob@{tenant.domain}") == TEXTS


def test_a_move_is_taken_back_and_what_is_late_of_it_does_nothing(source, target, unique_domain):
    tenant = fill(source, unique_domain(), unique_domain())
    move = Move(tenant.domain, source, target)
    move.freeze()
    entry = move.state(source)["entry"]
    move.expect()
    page = move.page("", rows=15)
    move.put(page)
    move.bring(target, "discarded")
    move.bring(source, "served")
    assert_complete(source, tenant)
    for attempt in (move.freeze, lambda: move.put(page), lambda: move.bring(target, "incoming", entry=entry), move.open, move.leave):
        with pytest.raises(Refused) as refused:
            attempt()
        assert refused.value.status == 409
    assert tenant.domain in source.hosts() and tenant.domain not in target.hosts()
    again = Move(tenant.domain, source, target)
    again.freeze()
    again.expect()
    for server in (source, target):  # nor when another one is under way
        for state in ("frozen", "served", "incoming", "opened", "moved", "discarded"):
            with pytest.raises(Refused) as refused:
                move.bring(server, state, entry=entry)
            assert refused.value.status == 409
    again.copy()
    assert again.count(source) == again.count(target)


STATES = ("frozen", "served", "incoming", "opened", "moved", "discarded")


def assert_over(move: Move, *servers, but: tuple[str, ...] = ()) -> None:
    """Nothing that comes late of a move is done."""
    for server in servers:
        for state in STATES:
            if state not in but:
                with pytest.raises(Refused) as refused:
                    move.bring(server, state, entry=None, uploads="")
                assert refused.value.status == 409, (server, state)


def test_what_comes_late_of_an_older_move_does_nothing(source, target, unique_domain):
    domain = source.create_host(unique_domain())
    there = Move(domain, source, target)
    there.run()
    Move(domain, target, source).run()
    assert_over(there, source, target)
    assert domain in source.hosts() and domain not in target.hosts()
    source.delete_host(domain)
    assert_over(there, source)
    source.create_host(domain)
    assert_over(there, source)
    assert domain in source.hosts()


def test_a_tenant_that_was_not_made_yet_moves_too_and_late_calls_do_not_close_it(source, target, unique_domain):
    domain = unique_domain()
    back = Move(domain, source, target)
    back.freeze()
    back.bring(source, "served")
    for restart in (False, True):
        if restart:
            source.kill()
            source.start()
        with pytest.raises(Refused):
            back.freeze()
        assert back.state(source)["state"] == "absent"
    source.create_host(domain)
    with pytest.raises(Refused):
        back.freeze()
    source.delete_host(domain)
    never = Move(domain, source, target)
    never.bring(source, "served")  # taken back before it was closed
    with pytest.raises(Refused):
        never.freeze()
    there = Move(domain, source, target)
    assert there.run()["rows"] == 0
    there.expect()  # is done, and makes nothing ready anew
    assert there.state(target)["state"] == "absent"
    target.create_host(domain)
    assert domain in target.hosts()
    there.open()
    assert domain in target.hosts() and domain not in source.hosts()


def test_while_it_moves_the_host_is_neither_made_nor_deleted(source, target, unique_domain):
    domain = source.create_host(unique_domain())
    move = Move(domain, source, target)
    move.freeze()
    move.expect()
    for server in (source, target):
        assert server.hosts_api("POST", json={"domain": domain}).status_code == 409
        assert server.hosts_api("DELETE", f"/{domain}").status_code == 409
    with pytest.raises(Refused):
        Move(domain, source, target).freeze()
    with pytest.raises(Refused):
        Move(domain, target, source).freeze()
    move.copy()
    move.open()
    move.leave()
    assert source.hosts_api("POST", json={"domain": domain}).status_code == 409
    target.delete_host(domain)
    assert move.state(target)["state"] == "absent"


def test_a_copy_that_is_not_whole_is_not_opened_and_a_difference_is_counted(source, target, unique_domain):
    tenant = fill(source, unique_domain(), unique_domain())
    move = Move(tenant.domain, source, target)
    move.freeze()
    move.expect()
    move.put(move.page("", rows=15))
    with pytest.raises(Refused) as early:
        move.open()
    assert early.value.status == 409
    move.copy()
    counts = move.count(target)
    assert counts == move.count(source)
    with target.database() as database:
        database.execute('UPDATE "prosodyarchive" SET "value"=? WHERE "host"=? AND "store"=? AND "user"=?',
                         ("<message/>", tenant.domain, "archive", "bob"))
    changed = move.count(target)
    assert changed["messages"] == counts["messages"] and changed["digest"] != counts["digest"]


def test_what_is_no_move_is_refused(source, unique_domain):
    domain = source.create_host(unique_domain())
    move = Move(domain, source, source)
    for method, what, request, status in [
        ("PUT", "", {"json": {"move": "m", "state": "frozen"}}, 400), ("PUT", "", {"json": {"move": 9, "state": "flying"}}, 400),
        ("PUT", "", {"content": b"no JSON"}, 400), ("DELETE", "", {}, 405), ("GET", "/elsewhere", {}, 404), ("GET", "/page", {}, 409),
        ("POST", "/page?move=9", {"content": b"x"}, 409), ("PUT", "", {"json": {"move": 9, "state": "moved"}}, 409),
        ("PUT", "", {"json": {"move": 9, "state": "incoming"}}, 409),
    ]:
        with pytest.raises(Refused) as refused:
            move.call(source, method, what, **request)
        assert refused.value.status == status, (method, what, request)
    move.freeze()
    with pytest.raises(Refused) as refused:
        move.page("bm90IG9uZQ==")
    assert refused.value.status == 400
    url = source.hosts_url.rpartition("/")[0] + f"/move/{domain}"
    assert httpx.get(url, trust_env=False).status_code == 401
    move.bring(source, "served")
    assert domain in source.hosts()
