"""A tenant that comes back keeps what is of its new life, however late the deletion of the former one is handled
(mod_quobis_virtualhosts, sippo_purge, sippo_guests)."""

from __future__ import annotations

import threading
import uuid

import pytest

from support.prosody import Server
from support.stanzas import CLIENT, MESSAGES, affiliate, ask, bounced, create_room, go_online, has_body, ok, send_message, settle
from support.wait import until

CONFERENCE = "jabber:x:conference"
INVITATION = "urn:quobis:sippo:invitation:0"
ROSTER = "jabber:iq:roster"
OLDER, DELETION, NEWER, NEXT_DELETION = "1.1/65", "1.2/65", "1.3/65", "1.4/65"


def create(server: Server, domain: str, life: str) -> int:
    return server.hosts_api("POST", json={"domain": domain, "life": life}).status_code


def delete(server: Server, domain: str, ended: str) -> int:
    return server.hosts_api("DELETE", f"/{domain}", params={"ended": ended}).status_code


def invite(admin, room: str, *users: str, since: str) -> None:
    messages = "".join(
        f"<message xmlns='{CLIENT}' id='{user}{since}' to='{user}'><x xmlns='{CONFERENCE}' jid='{room}' reason='usersGroup'/>"
        f"<store xmlns='urn:xmpp:hints'/><membership xmlns='{INVITATION}' since='{since}'/></message>" for user in users)
    assert bounced(ask(admin, "set", f"<messages xmlns='{MESSAGES}'>{messages}</messages>", room, 30)) == {}


def invitations(client) -> list[str]:
    """The ids of those that wait for someone who comes online now."""
    go_online(client)
    return [e.get("id", "") for e in client.received(lambda e: e.find(f"{{{CONFERENCE}}}x") is not None)]


def rows(server: Server, *hosts: str, tables: tuple[str, ...] = ("prosody", "prosodyarchive")) -> int:
    marks = ",".join("?" * len(hosts))
    with server.database() as database:
        return sum(database.execute(f"SELECT count(*) FROM {table} WHERE host IN ({marks})", hosts).fetchone()[0]
                   for table in tables)


@pytest.fixture
def name(unique_domain) -> str:
    """The name of a tenant that does not exist yet."""
    return unique_domain()


def use(server: Server, domain: str) -> None:
    """Stores something of each kind that nothing could bring back."""
    with server.user(f"alice@{domain}") as alice:
        ok(ask(alice, "set", f"<query xmlns='{ROSTER}'><item jid='bob@{domain}'/></query>"))
        send_message(alice, f"bob@{domain}", "hello")
        settle(alice)


def is_used(server: Server, domain: str) -> bool:
    with server.user(f"alice@{domain}") as alice, server.user(f"bob@{domain}") as bob:
        roster = ok(ask(alice, "get", f"<query xmlns='{ROSTER}'/>"))
        go_online(bob)
        bob.sync()
        found = {roster.find(f".//{{{ROSTER}}}item") is not None, bool(bob.received(has_body("hello")))}
        assert len(found) == 1
        return found.pop()


def test_a_deletion_takes_no_newer_life(server, name):
    assert create(server, name, NEWER) == 201
    use(server, name)
    assert delete(server, name, DELETION) == 204
    assert delete(server, name, OLDER) == 204
    assert name in server.hosts()
    assert is_used(server, name)
    assert delete(server, name, NEXT_DELETION) == 204
    assert rows(server, name, f"conference.{name}") == 0
    assert delete(server, name, NEXT_DELETION) == 404


def test_a_host_keeps_the_life_that_it_was_made_with(server, name):
    assert create(server, name, OLDER) == 201
    assert create(server, name, NEWER) == 200
    use(server, name)
    assert delete(server, name, DELETION) == 204
    assert create(server, name, NEWER) == 201
    assert not is_used(server, name)
    assert delete(server, name, DELETION) == 204
    assert name in server.hosts()
    server.delete_host(name)


def test_a_host_without_a_life_is_older_than_any_deletion(server, name):
    server.create_host(name)
    assert create(server, name, NEWER) == 200
    assert delete(server, name, OLDER) == 204
    assert name not in server.hosts()


def test_a_life_survives_a_restart(new_server, name):
    own = new_server().start()
    create(own, name, NEWER)
    own.restart()
    assert delete(own, name, DELETION) == 204
    assert name in own.hosts()


@pytest.mark.parametrize("bad", ["", "yesterday", "1.2", "1.2/"])
def test_what_is_no_life_is_refused(server, name, bad):
    for life in (bad, 5, {}):
        answer = server.hosts_api("POST", json={"domain": name, "life": life})
        assert answer.status_code == 400 and "life" in answer.json()["error"]
    server.create_host(name)
    answer = server.hosts_api("DELETE", f"/{name}", params={"ended": bad})
    assert answer.status_code == 400 and "ended" in answer.json()["error"]
    server.delete_host(name)


@pytest.fixture
def mixed(server, name, other_domain):
    """A host of two lives: Bob is invited, in either of them, to a room of his own tenant and to one of another."""
    create(server, name, OLDER)
    use(server, name)
    bob = f"bob@{name}"
    rooms = [f"own@conference.{name}", f"other-{uuid.uuid4().hex[:8]}@conference.{other_domain}"]
    with server.admin() as admin:
        for room in rooms:
            create_room(admin, room, life=OLDER)
            for since in (OLDER, NEWER):
                invite(admin, room, bob, since=since)
    return bob


def test_a_late_deletion_spares_the_invitations_of_the_next_life(server, name, mixed):
    assert delete(server, name, DELETION) == 204
    assert name not in server.hosts()
    assert rows(server, name, f"conference.{name}") == 4, "offline store and archive"
    assert delete(server, name, DELETION) == 404
    assert create(server, name, NEWER) == 201
    with server.user(mixed) as bob:
        assert invitations(bob) == [mixed + NEWER] * 2
    assert delete(server, name, DELETION) == 204
    assert rows(server, name) > 0
    server.delete_host(name)
    assert rows(server, name, f"conference.{name}") == 0


def test_what_it_spared_goes_with_the_next_deletion_though_the_tenant_never_came_back(server, name, mixed):
    assert delete(server, name, DELETION) == 204
    assert rows(server, name) == 4
    assert delete(server, name, NEXT_DELETION) == 404
    assert rows(server, name, f"conference.{name}") == 0


def fill(server: Server, host: str, count: int) -> None:
    """Archived messages, put there while the server is down."""
    server.stop()
    with server.database() as database:
        database.executemany(
            'INSERT INTO prosodyarchive (host, "user", store, "key", "when", "with", type, value) VALUES (?,?,?,?,?,?,?,?)',
            ((host, "old", "archive", f"k{n}", 1_700_000_000 + n, "x@y.example", "xml", "<message/>") for n in range(count)))
    server.start()


@pytest.mark.parametrize("crash", [False, True])
def test_a_deletion_in_slices_knows_which_it_is(new_server, name, crash):
    own = new_server().start()
    create(own, name, OLDER)
    bob = f"bob@{name}"
    with own.admin() as admin:
        create_room(admin, f"own@conference.{name}", life=OLDER)
        for since in (OLDER, NEWER):
            invite(admin, f"own@conference.{name}", bob, since=since)
    fill(own, name, 60_000)
    answers = []

    def call(ended: str) -> None:
        try:
            answers.append(delete(own, name, ended))
        except Exception as error:  # noqa: BLE001 (the server is killed)
            assert crash, error

    first = threading.Thread(target=call, args=[DELETION])
    first.start()
    until(lambda: "rows of prosodyarchive" in own.log_text(), "the first slice", 10)
    if crash:
        own.kill()
        first.join()
        own.start()
        assert name not in own.hosts()
        until(lambda: f"Host {name} deleted" in own.log_text(), "the rest", 60)
        assert rows(own, name) == 2
        own.restart()
        assert name not in own.hosts()
        create(own, name, NEWER)
        with own.user(bob) as client:
            assert invitations(client) == [bob + NEWER]
        return
    # A newer one meanwhile takes what the first one would spare.
    call(NEXT_DELETION)
    first.join()
    assert answers == [204, 204]
    assert rows(own, name, f"conference.{name}") == 0


@pytest.mark.parametrize("ended, left", [("", []), (DELETION, [NEWER]), (NEXT_DELETION, [])])
def test_guests_keep_no_invitation_to_a_tenant_that_is_gone(server, name, other_domain, ended, left):
    create(server, name, OLDER)
    guest, friend, stranger = (f"{who}@{other_domain}" for who in ("guest", "friend", "stranger"))
    room, other = f"group@conference.{name}", f"home-{uuid.uuid4().hex[:8]}@conference.{other_domain}"
    with server.admin() as admin:
        for one in (room, other):
            create_room(admin, one, life=OLDER)
        ok(affiliate(admin, room, (guest, "member"), (friend, "owner"), (f"bob@{name}", "member")))
        for since in (OLDER, NEWER):
            invite(admin, room, guest, friend, f"bob@{name}", since=since)
            invite(admin, other, guest, since=since)
    assert delete(server, name, ended) == 204 if ended else server.delete_host(name) is None
    for user, expected in ((guest, [*(guest + since for since in left), guest + OLDER, guest + NEWER]),
                           (friend, [friend + since for since in left]), (stranger, [])):
        with server.user(user) as client:
            assert sorted(invitations(client)) == sorted(expected)
            ok(ask(client, "set", "<query xmlns='urn:xmpp:mam:2'/>"))
            assert len(client.received(lambda e: e.find("{urn:xmpp:mam:2}result") is not None)) == len(expected)


def test_guests_of_a_room_that_ended_just_before_its_tenant_keep_none_either(new_server, name, unique_domain):
    own = new_server().start()
    create(own, name, OLDER)
    away = own.create_host(unique_domain())
    guests, room = [f"g{n}@{away}" for n in range(1000)], f"group@conference.{name}"
    with own.admin() as admin:
        create_room(admin, room, life=OLDER)
        ok(affiliate(admin, room, *((guest, "member") for guest in guests)))
        for start in range(0, len(guests), 25):
            invite(admin, room, *guests[start:start + 25], since=OLDER)
        assert rows(own, away, tables=("prosodyarchive",)) == 3 * len(guests), "an invitation twice, and a bookmark"
        ok(ask(admin, "set", f"<destroy xmlns='urn:quobis:sippo:room:0' ended='{DELETION}'/>", room))
        assert delete(own, name, DELETION) == 204
    assert rows(own, away, tables=("prosodyarchive",)) == 0


def test_postgresql_spares_the_same(new_server, name, unique_domain, postgresql):
    own = new_server(storage=postgresql.url, extra={"STORAGE_PASSWORD": postgresql.password}).start()
    create(own, name, OLDER)
    bob, guest = f"bob@{name}", f"guest@{own.create_host(unique_domain())}"
    room = f"own@conference.{name}"
    with own.admin() as admin:
        create_room(admin, room, life=OLDER)
        ok(affiliate(admin, room, (guest, "member")))
        for since in (OLDER, NEWER):
            invite(admin, room, bob, guest, since=since)
    assert delete(own, name, DELETION) == 204
    create(own, name, NEWER)
    for user in (bob, guest):
        with own.user(user) as client:
            assert invitations(client) == [user + NEWER]
    own.stop()  # before its database does
