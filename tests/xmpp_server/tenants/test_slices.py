"""What was stored for years is deleted in slices, and others have their turn in between (mod_quobis_virtualhosts,
mod_sippo_muc_archive_purge)."""

from __future__ import annotations

import re
import threading

import pytest

from support.stanzas import LIFE, archived_bodies, ask, condition, configure, join, ok, send_message, settle
from support.wait import until

ROOM = "urn:quobis:sippo:room:0"
SLICE = 2000
ROWS = 5 * SLICE
MANY_ROWS = 50 * SLICE
SLICES = r"Deleted (\d+) rows of prosodyarchive"


@pytest.fixture
def own(new_server, unique_domain):
    """A server with two tenants."""
    server = new_server().start()
    return server, server.create_host(unique_domain()), server.create_host(unique_domain())


def fill(server, host: str, store: str, user: str, rows: int) -> None:
    """Archived messages, put there while the server is down: it does not wait for a database that somebody has locked."""
    server.stop()
    value = "<message xmlns='jabber:client' type='groupchat'><body>old</body></message>"
    with server.database() as connection:
        connection.executemany(
            'INSERT INTO prosodyarchive (host, "user", store, "key", "when", "with", type, value) VALUES (?,?,?,?,?,?,?,?)',
            ((host, user, store, f"{user}{n}", 1_700_000_000 + n, "message<groupchat", "xml", value) for n in range(rows)))
    server.start()


def rows_of(server, host: str) -> int:
    with server.database() as connection:
        return connection.execute("SELECT COUNT(*) FROM prosodyarchive WHERE host = ?", (host,)).fetchone()[0]


def slices(server) -> list[int]:
    return [int(rows) for rows in re.findall(SLICES, server.log_text())]


def stanzas_between_slices(server) -> int:
    """How many stanzas were handled after the first and before the last slice."""
    text = server.log_text()
    places = [found.start() for found in re.finditer(SLICES, text)]
    return text[places[0]:places[-1]].count("Received[c2s]: <iq")


def test_a_tenants_archive(own):
    server, home, other = own
    fill(server, home, "archive", "alice", MANY_ROWS)
    answers = []
    with server.user(f"bob@{other}") as bob:
        deletions = [threading.Thread(target=lambda: answers.append(server.hosts_api("DELETE", f"/{home}").status_code))
                     for _ in range(2)]  # whoever asks meanwhile gets the same answer
        for thread in deletions:
            thread.start()
            until(lambda: slices(server), "the first slice", 10)
        while any(thread.is_alive() for thread in deletions):
            settle(bob)
    assert answers == [204, 204]
    assert rows_of(server, home) == 0
    assert max(slices(server)) <= SLICE and sum(slices(server)) >= MANY_ROWS
    assert stanzas_between_slices(server) > 0


def test_a_tenant_that_comes_back_begins_anew(own):
    server, home, _ = own
    fill(server, home, "archive", "alice", ROWS)
    deletion = threading.Thread(target=lambda: server.hosts_api("DELETE", f"/{home}"))
    deletion.start()
    until(lambda: slices(server), "the first slice", 10)
    server.create_host(home)  # waits for the end of its predecessor
    deletion.join()
    assert rows_of(server, home) == 0
    with server.user(f"alice@{home}") as alice:
        assert archived_bodies(alice, f"alice@{home}") == []


def test_a_crash_in_between(own):
    server, home, _ = own
    fill(server, home, "archive", "alice", MANY_ROWS)

    def delete() -> None:
        try:
            server.hosts_api("DELETE", f"/{home}")
        except OSError:
            pass
        except Exception as error:  # noqa: BLE001 (httpx has its own)
            assert "disconnected" in str(error) or "reset" in str(error), error

    deletion = threading.Thread(target=delete)
    deletion.start()
    until(lambda: slices(server), "the first slice", 10)
    server.kill()
    deletion.join()
    assert 0 < rows_of(server, home) < MANY_ROWS
    server.start()
    assert home not in server.hosts()
    until(lambda: rows_of(server, home) == 0, "the rest", 60)
    until(lambda: f"Host {home} deleted" in server.log_text(), "its end", 10)


@pytest.fixture
def room(own):
    """A room of the service with alice in it and many messages; the service's session."""
    server, home, _ = own
    address = f"team@conference.{home}"
    with server.admin() as admin:
        ok(ensure(admin, address, "1.1/a"))
        ok(ask(admin, "set", f"<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='member' "
                             f"jid='alice@{home}'/></query>", address))
    fill(server, f"conference.{home}", "muc_log", "team", ROWS)
    with server.admin() as admin:
        yield admin, address


def ensure(admin, address: str, life: str, ended: str = ""):
    return ask(admin, "set", f"<ensure xmlns='{ROOM}' life='{life}'{ended and f' ended={ended!r}'}/>", address)


def test_a_rooms_archive(own, room):
    server, home, other = own
    admin, address = room
    with server.user(f"alice@{home}") as alice, server.user(f"bob@{other}") as bob:
        ok(ask(admin, "set", f"<destroy xmlns='{ROOM}' ended='1.2/b'/>", address))
        query = ask(alice, "set", "<query xmlns='urn:xmpp:mam:2'/>", address)
        assert condition(query) in ("item-not-found", "forbidden")
        host = f"conference.{home}"
        while rows_of(server, host) > 0:
            settle(bob)
        assert max(slices(server)) <= SLICE and sum(slices(server)) == ROWS
        assert stanzas_between_slices(server) > 0
        until(lambda: ensure(admin, address, "1.3/c", "1.2/b").get("type") == "result", "its next life", 10)
        ok(ask(admin, "set", f"<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='member' "
                             f"jid='alice@{home}'/></query>", address))
        assert join(alice, address, "alice").get("type") is None
        send_message(alice, address, "new", "groupchat")
        settle(alice)
        assert archived_bodies(alice, address) == ["new"]


def test_the_next_life_waits_for_the_end_of_the_former_ones_archive_also_after_a_crash(own, room):
    server, home, _ = own
    admin, address = room
    reply = ensure(admin, address, "1.3/c", "1.2/b")
    assert condition(reply) == "resource-constraint" and reply.find(".//{*}error").get("type") == "wait"
    server.kill()
    assert rows_of(server, f"conference.{home}") > 0
    server.start()
    until(lambda: rows_of(server, f"conference.{home}") == 0, "the rest", 30)
    with server.admin() as again:
        until(lambda: ensure(again, address, "1.3/c", "1.2/b").get("type") == "result", "its next life", 10)


def test_a_user_cannot_make_a_room_of_that_name_meanwhile(own):
    server, home, _ = own
    address = f"adhoc-big@conference.{home}"
    with server.user(f"alice@{home}") as alice:
        join(alice, address, "alice")
        ok(configure(alice, address, {"muc#roomconfig_persistentroom": "1"}))
    fill(server, f"conference.{home}", "muc_log", "adhoc-big", ROWS)
    with server.user(f"alice@{home}") as alice:
        ok(ask(alice, "set", "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>", address))
        assert condition(join(alice, address, "alice")) == "resource-constraint"
        until(lambda: join(alice, address, "alice").get("type") is None, "it can be made", 30)
        assert rows_of(server, f"conference.{home}") == 0


def test_a_life_that_the_configuration_form_sets(own, room):
    """The archive of the earlier life goes in slices here, too."""
    server, _, other = own
    admin, address = room
    host = address.partition("@")[2]
    with server.user(f"bob@{other}") as bob:
        refused = configure(admin, address, {LIFE: "2.1/b"})
        assert condition(refused) == "resource-constraint"
        while rows_of(server, host) > 0:
            settle(bob)
    assert max(slices(server)) <= SLICE and sum(slices(server)) == ROWS
    assert stanzas_between_slices(server) > 0
    until(lambda: configure(admin, address, {LIFE: "2.1/b"}).get("type") == "result", "its next life", 10)
    ok(ensure(admin, address, "2.1/b", "2.0/a"))  # it has that life
