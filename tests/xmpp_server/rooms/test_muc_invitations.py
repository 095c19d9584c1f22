"""mod_sippo_muc_invitations, mod_sippo_invitations: nobody finds an invitation to a room that is not theirs any more."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest

from support.stanzas import (
    CLIENT,
    MESSAGES,
    MUC_OWNER,
    affiliate,
    archived_bodies,
    ask,
    assert_absent,
    bounced,
    condition,
    create_room,
    go_online,
    has_body,
    join,
    ok,
    request,
    send_message,
    settle,
)
from support.wait import until
from support.xmpp import E

BATCH = "urn:quobis:sippo:muc-admin-batch:0"
LIVES = "urn:quobis:sippo:room:0"
INVITATION = "urn:quobis:sippo:invitation:0"
SMACKS = "urn:xmpp:sm:3"
CONFERENCE = "jabber:x:conference"
QUOTA = 3


@pytest.fixture
def group(server, two_tenants):
    """Two service rooms that Bob and Carol belong to, and a guest of another tenant; nobody is online."""
    home, away = two_tenants
    tail = uuid.uuid4().hex[:8]
    muc = f"conference.{home}"
    people = {name: f"{name}-{tail}@{home}" for name in ("bob", "carol")} | {"guest": f"guest-{tail}@{away}"}
    admin = server.admin()
    rooms = [f"{name}-{tail}@{muc}" for name in ("this", "other")]
    for room in rooms:
        create_room(admin, room, life="1.1/65")
        ok(affiliate(admin, room, *((jid, "member") for jid in people.values())))
    yield SimpleNamespace(home=home, muc=muc, admin=admin, room=rooms[0], other=rooms[1], **people)
    admin.close()


def invitation(room: str):
    def is_it(e) -> bool:
        x = e.find(f"{{{CONFERENCE}}}x")
        return e.tag == f"{{{CLIENT}}}message" and x is not None and x.get("jid") == room
    return is_it


def invite(admin, room: str, *users: str, since: str = "") -> None:
    """As core does it."""
    membership = since and f"<membership xmlns='{INVITATION}' since='{since}'/>"
    messages = "".join(
        f"<message xmlns='{CLIENT}' id='{user}{since}' to='{user}'><x xmlns='{CONFERENCE}' jid='{room}' reason='usersGroup'/>"
        f"<store xmlns='urn:xmpp:hints'/>{membership}</message>" for user in users)
    assert bounced(ask(admin, "set", f"<messages xmlns='{MESSAGES}'>{messages}</messages>", room, 30)) == {}


def archived_invitations(client) -> list[str]:
    """Rooms of the invitations in the user's archive."""
    found: list[str] = []
    client.send(request("set", "<query xmlns='urn:xmpp:mam:2' queryid='all'/>", None, "all"))
    while True:
        e = client.wait(lambda e: e.get("id") == "all" or e.find("{urn:xmpp:mam:2}result") is not None, 10)
        if e.get("id") == "all":
            ok(e)
            return found
        found += [x.get("jid") for x in e.iter(f"{{{CONFERENCE}}}x")]


def revoke_by_batch(admin, room: str, *users: str) -> None:
    items = "".join(f"<none jid='{user}'/>" for user in users)
    ok(ask(admin, "set", f"<affiliations xmlns='{BATCH}'>{items}</affiliations>", room, 30))


def revoke_what_ended(admin, room: str, *users: str) -> None:
    items = "".join(f"<none jid='{user}' ended='1.2/66'/>" for user in users)
    ok(ask(admin, "set", f"<affiliations xmlns='{BATCH}'>{items}</affiliations>", room, 30))


def revoke_by_list(admin, room: str, *users: str) -> None:
    ok(affiliate(admin, room, *((user, "none") for user in users)))


def revoke_one_by_one(admin, room: str, *users: str) -> None:
    for user in users:
        item = f"<item affiliation='none' jid='{user}'><reason>over</reason></item>"
        ok(ask(admin, "set", f"<query xmlns='http://jabber.org/protocol/muc#admin'>{item}</query>", room))


def end_its_life(admin, room: str, *_: str) -> None:
    ok(ask(admin, "set", f"<destroy xmlns='{LIVES}' ended='1.2/66'/>", room))


def make_it_anew(admin, room: str, *_: str) -> None:
    ok(ask(admin, "set", f"<ensure xmlns='{LIVES}' life='1.3/67' ended='1.2/66'/>", room))


def destroy(admin, room: str, *_: str) -> None:
    ok(ask(admin, "set", f"<query xmlns='{MUC_OWNER}'><destroy/></query>", room))


ENDS = [revoke_by_batch, revoke_what_ended, revoke_by_list, revoke_one_by_one, end_its_life, make_it_anew, destroy]


@pytest.mark.parametrize("end", ENDS)
def test_an_invitation_is_taken_back_when_membership_or_room_ends(server, group, end):
    g = group
    with server.user(g.carol) as carol:
        send_message(carol, g.bob, "canary")
        settle(carol)
    for room in (g.room, g.other):
        invite(g.admin, room, g.bob, g.carol, g.guest)
    end(g.admin, g.room, g.bob, g.guest)
    for user in (g.bob, g.guest):
        with server.user(user) as client:
            go_online(client)
            client.wait(invitation(g.other), 10)
            assert_absent(client, invitation(g.room))
            assert archived_invitations(client) == [g.other]
            assert condition(join(client, g.room, "me")) in ("item-not-found", "forbidden")
            if user == g.bob:
                client.wait(has_body("canary"), 10)
                assert archived_bodies(client, None) == ["canary", ""]
    left = [g.room, g.other] if end.__name__.startswith("revoke") else [g.other]
    with server.user(g.carol) as carol:
        go_online(carol)
        assert archived_invitations(carol) == left
        for room in left:
            carol.wait(invitation(room), 10)
        assert_absent(carol, invitation(g.room))


def test_who_is_invited_again_has_the_new_invitation(server, group):
    g = group
    for _ in range(2):
        invite(g.admin, g.room, g.bob)
        revoke_by_batch(g.admin, g.room, g.bob)
    ok(affiliate(g.admin, g.room, (g.bob, "member")))
    invite(g.admin, g.room, g.bob)
    with server.user(g.bob) as bob:
        go_online(bob)
        bob.wait(invitation(g.room), 10)
        assert_absent(bob, invitation(g.room))
        assert archived_invitations(bob) == [g.room]


@pytest.mark.parametrize("resumes", [True, False])
def test_what_is_under_way_to_a_lost_session_neither_arrives_nor_is_stored_after_the_end(new_server, resumes):
    own = new_server(extra={"RESUME_TIMEOUT": "60" if resumes else "1"}).start()
    home = own.create_host("lost.example")
    bob, room = f"bob@{home}", f"group@conference.{home}"
    with own.admin() as admin:
        create_room(admin, room)
        ok(affiliate(admin, room, (bob, "member")))
        lost = own.user(bob)
        go_online(lost)
        lost.send(E("enable", SMACKS, resume="true"))
        previous = lost.wait(lambda e: e.tag == f"{{{SMACKS}}}enabled").get("id")
        lost.abort()
        until(lambda: "Session going into hibernation" in own.log_text(), "hibernation", 10)
        invite(admin, room, bob)
        send_message(admin, bob, "after it")
        settle(admin)
        revoke_by_batch(admin, room, bob)
        if resumes:
            again = own.client(bob, own.login_token(bob)).open()
            again.authenticate()
            again.send(E("resume", SMACKS, previd=previous, h="0"))
            again.wait(has_body("after it"), 10)
            assert_absent(again, invitation(room))
            return
        until(lambda: "Destroying session for hibernating too long" in own.log_text(), "the session's end", 10)
        with own.user(bob) as back:
            go_online(back)
            back.wait(has_body("after it"), 10)
            assert_absent(back, invitation(room))


def test_what_is_taken_back_counts_no_more_against_the_quota(small):
    home = small.create_host(f"q{uuid.uuid4().hex[:8]}.example")
    bob, room = f"bob@{home}", f"group@conference.{home}"
    with small.admin() as admin, small.user(f"alice@{home}") as alice:
        create_room(admin, room)
        ok(affiliate(admin, room, (bob, "member")))
        for _ in range(QUOTA):
            invite(admin, room, bob)
        revoke_by_batch(admin, room, bob)
        for n in range(QUOTA):
            send_message(alice, bob, f"message {n}")
        assert_absent(alice, lambda e: e.get("type") == "error")


def stored_invitations(server) -> int:
    with server.database() as database:
        count = "SELECT count(*) FROM prosodyarchive WHERE value LIKE '%jabber:x:conference%'"
        return database.execute(count).fetchone()[0]


@pytest.mark.parametrize("crash", [False, True])
def test_many_are_taken_back_in_slices_and_after_a_crash(new_server, crash):
    own = new_server().start()
    home = own.create_host("many.example")
    users, room = [f"m{n}@{home}" for n in range(450)], f"group@conference.{home}"
    with own.admin() as admin:
        create_room(admin, room, life="1.1/65")
        members = "".join(f"<member jid='{user}'/>" for user in users)
        ok(ask(admin, "set", f"<affiliations xmlns='{BATCH}'>{members}</affiliations>", room, 30))
        for start in range(0, len(users), 25):
            invite(admin, room, *users[start:start + 25])
        assert stored_invitations(own) == 2 * len(users)
        end_its_life(admin, room)
        if crash:
            own.kill()
            assert stored_invitations(own) > 0
        else:
            # Invited again while the list is worked off
            create_room(admin, room, life="1.3/67")
            ok(affiliate(admin, room, (users[-1], "member")))
            invite(admin, room, users[-1])
    if crash:
        own.start()
    left = 0 if crash else 2
    until(lambda: stored_invitations(own) == left, "all but the new one taken back", 20)
    with own.user(users[-1]) as user:
        go_online(user)
        assert len([*user.received(invitation(room))]) == left // 2
        assert archived_invitations(user) == [room] * (left // 2)


OLDER, NEWER = "1.1/65", "1.3/67"


def waiting_ids(client, room: str) -> list[str]:
    """Of the invitations to a room that wait for someone who comes online now."""
    go_online(client)
    return [e.get("id", "") for e in client.received(invitation(room))]


@pytest.mark.parametrize("end", [revoke_what_ended, end_its_life, make_it_anew])
def test_an_end_that_is_handled_late_leaves_the_next_spells_invitation_alone(server, group, end):
    g = group
    for since in (OLDER, NEWER):
        invite(g.admin, g.room, g.bob, g.guest, since=since)
    end(g.admin, g.room, g.bob, g.guest)
    for user in (g.bob, g.guest):
        with server.user(user) as client:
            assert waiting_ids(client, g.room) == [user + NEWER]
            assert archived_invitations(client) == [g.room]


@pytest.mark.parametrize("end", [revoke_what_ended, end_its_life])
def test_an_invitation_that_comes_only_after_its_spells_end_is_dropped(server, group, end):
    g = group
    with server.user(g.carol) as carol:
        go_online(carol)
        end(g.admin, g.room, g.bob, g.carol)
        for since in (OLDER, NEWER, OLDER):
            invite(g.admin, g.room, g.bob, g.carol, since=since)
        settle(g.admin)
        carol.sync()
        assert [e.get("id") for e in carol.received(invitation(g.room))] == [g.carol + NEWER]
    with server.user(g.bob) as bob:
        assert waiting_ids(bob, g.room) == [g.bob + NEWER]
        assert archived_invitations(bob) == [g.room]


def test_nobody_sees_since_when_they_are_a_member(server, group):
    g = group
    with server.user(g.carol) as carol:
        go_online(carol)
        invite(g.admin, g.room, g.bob, g.carol, since=OLDER)
        seen = [carol.wait(invitation(g.room), 10)]
    with server.user(g.bob) as bob:
        go_online(bob)
        seen.append(bob.wait(invitation(g.room), 10))
        bob.send(request("set", "<query xmlns='urn:xmpp:mam:2'/>", None, "all"))
        seen.append(bob.wait(lambda e: e.find("{urn:xmpp:mam:2}result") is not None, 10))
    assert [e for one in seen for e in one.iter(f"{{{INVITATION}}}membership")] == []


def test_an_end_that_cannot_be_read_is_refused(group):
    g = group
    items = f"<none jid='{g.bob}' ended='yesterday'/><none jid='{g.carol}'/>"
    reply = ok(ask(g.admin, "set", f"<affiliations xmlns='{BATCH}'>{items}</affiliations>", g.room))
    assert [(e.get("jid"), e[0].tag.partition("}")[2]) for e in reply.iter(f"{{{BATCH}}}refused")] == [(g.bob, "bad-request")]


@pytest.mark.parametrize("newer", [False, True])
def test_of_what_is_under_way_to_a_lost_session_a_late_end_takes_only_what_is_older(new_server, newer):
    own = new_server(extra={"RESUME_TIMEOUT": "1"}).start()
    home = own.create_host("lost.example")
    bob, room = f"bob@{home}", f"group@conference.{home}"
    with own.admin() as admin:
        create_room(admin, room, life="1.1/65")
        ok(affiliate(admin, room, (bob, "member")))
        lost = own.user(bob)
        go_online(lost)
        lost.send(E("enable", SMACKS, resume="true"))
        lost.wait(lambda e: e.tag == f"{{{SMACKS}}}enabled")
        lost.abort()
        until(lambda: "Session going into hibernation" in own.log_text(), "hibernation", 10)
        invite(admin, room, bob, since=NEWER if newer else OLDER)
        revoke_what_ended(admin, room, bob)
        until(lambda: "Destroying session for hibernating too long" in own.log_text(), "the session's end", 10)
        with own.user(bob) as back:
            left = [bob + NEWER] if newer else []
            assert waiting_ids(back, room) == left
        # What was stored only then is as old as it was when it was sent.
        lost = own.user(bob)
        ok(affiliate(admin, room, (bob, "member")))
        revoke_what_ended(admin, room, bob)
        assert len(archived_invitations(lost)) == len(left)


@pytest.mark.parametrize("crash", [False, True])
def test_a_late_end_of_many_leaves_newer_invitations_alone_also_after_a_crash(new_server, crash):
    own = new_server().start()
    home = own.create_host("many.example")
    users, room = [f"m{n}@{home}" for n in range(225)], f"group@conference.{home}"
    with own.admin() as admin:
        create_room(admin, room, life="1.1/65")
        members = "".join(f"<member jid='{user}'/>" for user in users)
        ok(ask(admin, "set", f"<affiliations xmlns='{BATCH}'>{members}</affiliations>", room, 30))
        for since in (OLDER, NEWER):
            for start in range(0, len(users), 25):
                invite(admin, room, *users[start:start + 25], since=since)
        assert stored_invitations(own) == 4 * len(users)
        end_its_life(admin, room)
        if crash:
            own.kill()
            assert stored_invitations(own) > 2 * len(users)
    if crash:
        own.start()
    until(lambda: stored_invitations(own) <= 2 * len(users), "all older ones taken back", 20)
    with own.user(users[-1]) as user:
        assert waiting_ids(user, room) == [users[-1] + NEWER]
        assert archived_invitations(user) == [room]
    assert stored_invitations(own) == 2 * len(users) - 1


@pytest.mark.parametrize("storage", ["internal", "postgresql"])
def test_other_stores_tell_spells_apart_too(new_server, request, storage):
    database = None if storage == "internal" else request.getfixturevalue(storage)
    own = new_server(storage=database.url if database else storage,
                     extra={"STORAGE_PASSWORD": database.password} if database else {}).start()
    home = own.create_host("stores.example")
    bob, rooms = f"bob@{home}", [f"{name}@conference.{home}" for name in ("group", "group0")]
    with own.admin() as admin:
        for room in rooms:
            create_room(admin, room, life="1.1/65")
            for since in ("", OLDER, NEWER):
                invite(admin, room, bob, since=since)
        revoke_what_ended(admin, rooms[0], bob)
    with own.user(bob) as client:
        assert waiting_ids(client, rooms[0]) == [bob + NEWER]
        assert waiting_ids(client, rooms[1]) == [bob, bob + OLDER, bob + NEWER]
        assert archived_invitations(client) == [rooms[0], *[rooms[1]] * 3]
    own.stop()  # before its database does
