"""Core's rooms (core/src/rooms/muc) on the real server, seen by the users whom it concerns."""

from __future__ import annotations

import shutil
import signal
import time
import uuid
from types import SimpleNamespace

import pytest

from support.stanzas import (
    CLIENT, LIFE, affiliate, affiliated, archived_bodies, ask, assert_absent, condition, configuration,
    configure, create_room, go_online, has_body, join, ok, room_features, send_message, statuses,
)
from stack import prosody
from support import muc_rooms
from support.bookmarks import rooms_of
from support.wait import until

pytestmark = pytest.mark.timeout(900)  # the first of them may have to wait for the compiler

GRACE = 5.0
"""Seconds, as in core/src/rooms/expiry.rs."""
CONFERENCE = "jabber:x:conference"


def members(g, *names: str, how: str = "member") -> dict[str, str]:
    return {f"{name}@{g.domain}": how for name in names}


def say(client, room: str, text: str) -> None:
    send_message(client, room, text, "groupchat")
    client.wait(has_body(text), 10)


def departure(room: str, nick: str):
    return lambda e: e.get("type") == "unavailable" and e.get("from") == f"{room}/{nick}"


def invitation(room: str):
    def is_it(e) -> bool:
        x = e.find(f"{{{CONFERENCE}}}x")
        return e.tag == f"{{{CLIENT}}}message" and x is not None and x.get("jid") == room
    return is_it


# Made and unmade -----------------------------------------------------------------------------------


def test_a_room_is_as_documented(server, core, group):
    g = group
    assert {"muc_persistent", "muc_membersonly", "muc_hidden", "urn:xmpp:mam:2"} <= room_features(g.admin, g.room)
    form = configuration(g.admin, g.room)
    assert form["muc#roomconfig_roomname"] == "Team <&> 1"
    assert form[LIFE] == "1.5/" + b"e5".hex()
    core.do("grant", **g.at, users=members(g, "alice") | members(g, "olivia", how="owner"))
    assert affiliated(g.admin, g.room, "member") == {f"alice@{g.domain}"}
    assert affiliated(g.admin, g.room, "owner") == {f"olivia@{g.domain}"}
    with server.user(f"alice@{g.domain}") as alice, server.user(f"bob@{g.domain}") as bob:
        assert join(alice, g.room, "alice").get("type") is None
        assert condition(join(bob, g.room, "bob")) == "item-not-found"


def test_repeating_changes_nothing(server, core, group):
    g = group
    core.do("grant", **g.at, users=members(g, "alice"))
    with server.user(f"alice@{g.domain}") as alice:
        join(alice, g.room, "alice")
        say(alice, g.room, "kept")
        core.do("ensure", **g.at, life="1.5/e5", name="Team <&> 1")
        core.do("ensure", **g.at, life="1.7/e7", ended="1.4/e4")
        core.do("grant", **g.at, users=members(g, "alice"))
        assert_absent(alice, departure(g.room, "alice"))
        assert archived_bodies(alice, g.room) == ["kept"]
    assert configuration(g.admin, g.room)[LIFE] == "1.5/" + b"e5".hex(), "a newer life than the end is kept"


def test_occupants_are_told_of_a_new_name_once(server, core, group):
    g = group
    core.do("grant", **g.at, users=members(g, "bob"))

    def told(e) -> bool:
        return e.tag == f"{{{CLIENT}}}message" and e.get("from") == g.room and "104" in statuses(e)

    with server.user(f"bob@{g.domain}") as bob:
        join(bob, g.room, "bob")
        core.do("ensure", **g.at, life="1.5/e5", name="Team Eleven")
        assert bob.wait(told, 10).get("type") == "groupchat"
        reply = ok(ask(bob, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", g.room))
        assert reply.find(".//{*}identity").get("name") == "Team Eleven"
        core.do("ensure", **g.at, life="1.5/e5", name="Team Eleven")
        assert_absent(bob, told)
        assert archived_bodies(bob, g.room) == []


def test_an_owners_name_survives_a_repetition_and_not_a_new_name(server, core, group):
    g = group
    core.do("grant", **g.at, users=members(g, "olivia", how="owner"))
    name = "muc#roomconfig_roomname"
    with server.user(f"olivia@{g.domain}") as olivia:
        ok(configure(olivia, g.room, {name: "Olivia's"}))
    core.do("ensure", **g.at, life="1.5/e5", name="Team <&> 1")
    assert configuration(g.admin, g.room)[name] == "Olivia's"
    core.do("ensure", **g.at, life="1.5/e5", name="Team 2")
    assert configuration(g.admin, g.room)[name] == "Team 2"


def test_destruction_takes_archive_and_members(server, core, group):
    g = group
    core.do("grant", **g.at, users=members(g, "alice"))
    with server.user(f"alice@{g.domain}") as alice:
        join(alice, g.room, "alice")
        say(alice, g.room, "gone")
        core.do("destroy", **g.at, ended="1.4/e4")
        assert archived_bodies(alice, g.room) == ["gone"], "an end older than the life does nothing"
        core.do("destroy", **g.at, ended="1.5/e5")
        alice.wait(departure(g.room, "alice"), 10)
        core.do("destroy", **g.at, ended="1.5/e5")
        assert core.ask("grant", **g.at, users=members(g, "alice"))["error"] == "room-missing"
        assert core.ask("revoke", **g.at, users=[f"alice@{g.domain}"])["error"] == "room-missing"
        core.do("ensure", **g.at, life="2.1/e")
        core.do("grant", **g.at, users=members(g, "alice"))
        assert archived_bodies(alice, g.room) == []


def test_a_new_life_is_a_new_room(server, core, group):
    """Versions are numbers: 1.10 is newer than 1.9. Nobody of the earlier life is left, nor a word of it."""
    g = group
    core.do("grant", **g.at, users=members(g, "alice", "bob"))
    with server.user(f"alice@{g.domain}") as alice, server.user(f"bob@{g.domain}") as bob:
        join(alice, g.room, "alice")
        say(alice, g.room, "in the first life")
        core.do("ensure", **g.at, life="1.10/e10", ended="1.9/e9")
        alice.wait(departure(g.room, "alice"), 10)
        assert affiliated(g.admin, g.room, "member") == set()
        core.do("grant", **g.at, users=members(g, "alice"))
        assert archived_bodies(alice, g.room) == []
        assert condition(join(bob, g.room, "bob")) == "item-not-found"
        # A late handler that knows only of the first life: nothing of the second may go.
        say_after = "in the second life"
        join(alice, g.room, "alice")
        say(alice, g.room, say_after)
        core.do("ensure", **g.at, life="1.5/e5")
        core.do("destroy", **g.at, ended="1.9/e9")
        assert archived_bodies(alice, g.room) == [say_after]
    assert configuration(g.admin, g.room)[LIFE].startswith("1.10/")


def test_nobody_is_let_into_a_room_that_has_ended(server, core, group):
    """The joining of the next life is handled before the end of this one, whose archive is not theirs to read."""
    g = group
    refused = core.ask("grant", **g.at, users=members(g, "late"), ended="1.9/e9")
    assert refused["error"] == "room-missing"
    assert affiliated(g.admin, g.room, "member") == set()
    core.do("ensure", **g.at, life="1.10/e10", ended="1.9/e9")
    core.do("grant", **g.at, users=members(g, "late"), ended="1.9/e9")
    assert affiliated(g.admin, g.room, "member") == {f"late@{g.domain}"}


def test_ids_decide_between_equal_versions_by_bytes(core, group):
    g = group
    core.do("ensure", **g.at, life="3.1/b", ended="1.5/e5")
    core.do("destroy", **g.at, ended="3.1/a\u0001\u00e9")
    assert configuration(g.admin, g.room)[LIFE] == "3.1/62"
    core.do("destroy", **g.at, ended="3.1/b\u0001")
    assert core.ask("grant", **g.at, users=members(g, "alice"))["error"] == "room-missing"


def test_rooms_without_a_life_stay_and_are_given_one(server, core, group):
    g = group
    ident = f"hand-{uuid.uuid4().hex[:8]}"
    at, room = {"id": ident, "domain": g.domain}, f"{ident}@conference.{g.domain}"
    create_room(g.admin, room)
    core.do("destroy", **at, ended="9.9/e")
    assert configuration(g.admin, room)[LIFE] == ""
    ok(affiliate(g.admin, room, (f"alice@{g.domain}", "member")))
    with server.user(f"alice@{g.domain}") as alice:
        join(alice, room, "alice")
        say(alice, room, "by hand")
        core.do("ensure", **at, life="10.1/e", ended="9.9/e")
        assert archived_bodies(alice, room) == ["by hand"]
    assert configuration(g.admin, room)[LIFE].startswith("10.1/")
    core.do("destroy", **at, ended="10.1/e")
    assert core.ask("grant", **at, users=members(g, "alice"))["error"] == "room-missing"


def test_a_domain_that_is_not_there(core):
    at = {"id": "group", "domain": "nowhere.example"}
    core.do("destroy", **at, ended="1.1/e")
    for request in ({"do": "ensure", "life": "1.1/e"}, {"do": "grant", "users": {"a@nowhere.example": "member"}}):
        outcome = core.ask(**request, **at)
        assert not outcome["ok"] and outcome["retryable"] and "unavailable" in outcome["error"], outcome


@pytest.mark.parametrize("name", ["ensure", "destroy"])
def test_only_the_service_does_this(server, group, name):
    g = group
    payload = f"<{name} xmlns='urn:quobis:sippo:room:0' life='9.1/aa' ended='9.0/aa'/>"
    with server.user(f"alice@{g.domain}") as alice:
        assert condition(ask(alice, "set", payload, g.room)) == "forbidden"
        affiliations = (f"<affiliations xmlns='urn:quobis:sippo:muc-admin-batch:0'>"
                        f"<owner jid='alice@{g.domain}'/></affiliations>")
        assert condition(ask(alice, "set", affiliations, g.room)) == "forbidden"
    assert affiliated(g.admin, g.room, "owner") == set()


def test_rooms_survive_a_restart(program, new_server, server_folder):
    own = new_server().start()
    own.create_host("stays.example")
    at = {"id": "group", "domain": "stays.example"}
    side = muc_rooms.MucRooms(program, own, server_folder())
    try:
        side.do("ensure", **at, life="1.1/e", name="Kept")
        side.do("grant", **at, users={"alice@stays.example": "member"})
        side.do("ensure", **at | {"id": "ended"}, life="1.1/e")
        side.do("destroy", **at | {"id": "ended"}, ended="1.1/e")
        own.kill()
        outcome = side.ask("grant", **at, users={"bob@stays.example": "member"})
        assert outcome["retryable"] and outcome["seconds"] < 5, outcome
        own.start()
        with own.admin() as admin:
            assert configuration(admin, "group@conference.stays.example")["muc#roomconfig_roomname"] == "Kept"
            assert affiliated(admin, "group@conference.stays.example", "member") == {"alice@stays.example"}
        assert side.ask("grant", **at | {"id": "ended"}, users={"a@stays.example": "member"})["error"] == "room-missing"
        side.do("grant", **at, users={"bob@stays.example": "member"})
    finally:
        side.close()


def test_who_is_not_the_servers_admin_is_told_so_and_tries_again(program, server, server_folder, group, other_domain):
    g = group
    nobody = f"sippo@{other_domain}"
    mistaken = SimpleNamespace(ws_url=server.ws_url, admin_jid=nobody, admin_token=server.login_token(nobody))
    side = muc_rooms.MucRooms(program, mistaken, server_folder())
    try:
        for do, request in (
            ("ensure", {"id": "another", "life": "1.5/e5"}), ("destroy", {"ended": "1.9/e9"}), ("grant", {"users": members(g, "bob")}),
            ("revoke", {"users": [f"bob@{g.domain}"]}),
        ):
            outcome = side.ask(do, **g.at | request)
            assert (outcome["ok"], outcome["retryable"]) == (False, True), (do, outcome)
            assert outcome["error"].startswith("not-admin: "), (do, outcome)
    finally:
        side.close()
    assert affiliated(g.admin, g.room, "member") == set()


# Affiliations ---------------------------------------------------------------------------------------


def test_nobody_is_lowered_but_who_was_an_owner_by_a_creation(core, group):
    g = group
    ok(affiliate(g.admin, g.room, (f"owner@{g.domain}", "owner"), (f"admin@{g.domain}", "admin"),
                 (f"banned@{g.domain}", "outcast")))
    refused = core.do("grant", **g.at, users=members(g, "owner", "admin", "banned", "new"))
    assert refused == {}
    assert affiliated(g.admin, g.room, "owner") == {f"owner@{g.domain}"}
    assert affiliated(g.admin, g.room, "admin") == {f"admin@{g.domain}"}
    assert affiliated(g.admin, g.room, "member") == {f"banned@{g.domain}", f"new@{g.domain}"}
    core.do("grant", **g.at, users=members(g, "owner", how="exactly-member"))
    assert affiliated(g.admin, g.room, "owner") == set()
    assert f"owner@{g.domain}" in affiliated(g.admin, g.room, "member")


def test_who_is_revoked_is_out_and_stays_out(server, core, group):
    g = group
    core.do("grant", **g.at, users=members(g, "alice", "bob"))
    with server.user(f"alice@{g.domain}") as alice, server.user(f"bob@{g.domain}") as bob:
        join(alice, g.room, "alice")
        join(bob, g.room, "bob")
        core.do("revoke", **g.at, users=[f"alice@{g.domain}", f"never@{g.domain}"])
        for client in (alice, bob):
            assert "321" in statuses(client.wait(departure(g.room, "alice"), 10))
        assert condition(join(alice, g.room, "alice")) == "item-not-found"
        with pytest.raises(AssertionError, match="item-not-found"):
            archived_bodies(alice, g.room)
        core.do("revoke", **g.at, users=[f"alice@{g.domain}"])
        assert_absent(bob, departure(g.room, "bob"))


def test_one_refused_item_keeps_nobody_out(server, core, group):
    g = group
    wanted = members(g, *(f"m{n}" for n in range(50)))
    refused = core.do("grant", **g.at, users=wanted | {server.admin_jid: "member"})
    assert list(refused) == [server.admin_jid] and refused[server.admin_jid].startswith("refused")
    assert affiliated(g.admin, g.room, "member") == set(wanted)


@pytest.mark.parametrize("count", [1_000, 5_000])
def test_thousands_at_once(core, group, count):
    g = group
    wanted = members(g, *(f"participant-with-a-name-of-some-length-{n}" for n in range(count)))
    assert core.do("grant", **g.at, users=wanted) == {}
    assert affiliated(g.admin, g.room, "member") == set(wanted)
    assert core.do("revoke", **g.at, users=list(wanted)) == {}
    assert affiliated(g.admin, g.room, "member") == set()


def test_a_server_without_our_batches_loses_nothing(program, new_server, server_folder, monkeypatch):
    """Prosody alone would apply the first of several items and drop the others without a word."""
    folder = server_folder() / "xmpp-server"
    shutil.copytree(prosody.CONFIG.parent, folder)
    config = folder / prosody.CONFIG.name
    text = config.read_text()
    for module in (', "muc_admin_batch"', ', "sippo_message_batch"'):
        assert module in text
        text = text.replace(module, "")
    config.write_text(text)
    monkeypatch.setattr(prosody, "CONFIG", config)
    own = new_server().start()
    own.create_host("plain.example")
    at, room = {"id": "group", "domain": "plain.example"}, "group@conference.plain.example"
    side = muc_rooms.MucRooms(program, own, server_folder())
    try:
        with own.admin() as admin:
            create_room(admin, room, life="1.1/65")
            ok(affiliate(admin, room, ("owner@plain.example", "owner")))
            wanted = {f"m{n}@plain.example": "member" for n in range(100)}
            refused = side.do("grant", **at, users=wanted | {"owner@plain.example": "member", own.admin_jid: "member"})
            assert list(refused) == [own.admin_jid]
            assert affiliated(admin, room, "member") == set(wanted)
            assert affiliated(admin, room, "owner") == {"owner@plain.example"}
            side.do("revoke", **at, users=list(wanted)[:99])
            assert affiliated(admin, room, "member") == {"m99@plain.example"}
            assert side.ask("grant", **at | {"id": "none"}, users=wanted)["error"] == "room-missing"
            invited = [*wanted, "lost@nowhere.example"]
            refused = side.do("invite", **at, kind="group", since="1.1/e1", users=invited)
            assert list(refused) == ["lost@nowhere.example"]
        with own.user("m99@plain.example") as user:
            go_online(user)
            user.wait(invitation(room), 10)
    finally:
        side.close()


# Invitations -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind,reason", [("group", "usersGroup"), ("conference", "conference")])
def test_an_invitation_waits_for_its_user(server, core, group, kind, reason):
    g = group
    refused = core.do("invite", **g.at, kind=kind, since="1.5/e5", users=[f"alice@{g.domain}", f"bob@{g.domain}"])
    assert refused == {}
    idents = []
    for name in ("alice", "bob"):
        with server.user(f"{name}@{g.domain}") as user:
            go_online(user)
            message = user.wait(invitation(g.room), 10)
            assert message.find(f"{{{CONFERENCE}}}x").get("reason") == reason
            assert message.get("from").split("/")[0] == server.admin_jid
            idents.append(message.get("id"))
            query = "<query xmlns='urn:xmpp:mam:2' queryid='q'/>"
            ok(ask(user, "set", query))
            archived = user.received(lambda e: e.find("{urn:xmpp:mam:2}result") is not None)
            rooms = [x.get("jid") for e in archived for x in e.iter(f"{{{CONFERENCE}}}x")]
            assert g.room in rooms
            core.do("invite", **g.at, kind=kind, since="1.5/e5", users=[f"{name}@{g.domain}"])
            assert user.wait(invitation(g.room), 10).get("id") == idents[-1], "a repetition has the same id"
            core.do("invite", **g.at, kind=kind, since="1.6/e6", users=[f"{name}@{g.domain}"])
            assert user.wait(invitation(g.room), 10).get("id") != idents[-1]
    assert idents[0] != idents[1]


@pytest.mark.parametrize("name", [None, "Team <&> 7 \U0001f600"])
def test_an_invitation_says_the_rooms_name_offline_and_in_the_archive(server, core, group, name):
    g = group
    alice = f"alice-{uuid.uuid4().hex[:8]}@{g.domain}"
    core.do("invite", **g.at, kind="group", since="1.5/e5", name=name, users=[alice])
    with server.user(alice) as user:
        go_online(user)
        assert user.wait(invitation(g.room), 10).findtext(f"{{{CLIENT}}}subject") == name
        ok(ask(user, "set", "<query xmlns='urn:xmpp:mam:2' queryid='q'/>"))
        [archived] = user.received(lambda e: e.find("{urn:xmpp:mam:2}result") is not None)
        assert archived.findtext(f".//{{{CLIENT}}}subject") == name


@pytest.mark.parametrize("kind", ["usersGroup", "conference"])
def test_members_bookmarks_say_name_and_kind_and_go_with_the_membership(server, core, tenant, kind):
    at, name = {"id": f"room-{uuid.uuid4().hex[:8]}", "domain": tenant}, "Team <&> 7"
    bob, room = f"bob-{at['id']}@{tenant}", f"{at['id']}@conference.{tenant}"
    core.do("ensure", **at, life="1.5/e5", name=name, kind=kind)
    core.do("grant", **at, users={bob: "member"})
    with server.admin() as admin:
        assert rooms_of(admin, bob) == {room: {"kind": kind, "affiliation": "member", "name": name}}
        core.do("ensure", **at, life="1.5/e5", name="Team 8", kind=kind)
        core.do("grant", **at, users={bob: "member"})
        assert rooms_of(admin, bob)[room]["name"] == "Team 8"
        core.do("revoke", **at, users=[bob], ended="1.6/e6")
        assert rooms_of(admin, bob) == {}


def test_guests_get_theirs_and_bounces_name_their_user(server, core, group):
    g = group
    away = server.create_host(f"away{uuid.uuid4().hex[:8]}.example")
    users = [f"guest@{away}", "lost@nowhere.example", f"alice@{g.domain}"]
    refused = core.do("invite", **g.at, kind="group", since="1.5/e5", users=users)
    assert list(refused) == ["lost@nowhere.example"] and refused["lost@nowhere.example"].startswith("unavailable")
    for jid in (f"guest@{away}", f"alice@{g.domain}"):
        with server.user(jid) as user:
            go_online(user)
            user.wait(invitation(g.room), 10)


def test_who_blocks_the_service_is_not_tried_again(server, core, group):
    g = group
    with server.user(f"alice@{g.domain}") as alice:
        block = f"<block xmlns='urn:xmpp:blocking'><item jid='{server.admin_jid}'/></block>"
        ok(ask(alice, "set", block))
        refused = core.do("invite", **g.at, kind="group", since="1.5/e5", users=[f"alice@{g.domain}"])
        assert refused[f"alice@{g.domain}"].startswith("refused")


def test_a_thousand_invitations_in_one_go(server, core, group):
    g = group
    users = [f"u{n}@{g.domain}" for n in range(1_000)] + ["lost@nowhere.example"]
    assert list(core.do("invite", **g.at, kind="group", since="1.5/e5", users=users, within=60)) == ["lost@nowhere.example"]
    for n in (0, 999):
        with server.user(f"u{n}@{g.domain}") as user:
            go_online(user)
            user.wait(invitation(g.room), 10)


def test_what_there_was_no_time_for_is_named_and_the_rest_is_sent(core, group):
    g = group
    users = [f"u{n}@{g.domain}" for n in range(20_000)]
    refused = core.do("invite", **g.at, kind="group", since="1.5/e5", users=users, within=4.0)
    assert 0 < len(refused) < len(users)
    assert users[0] not in refused and users[-1] in refused
    assert all(why.startswith("unavailable") for why in refused.values())


# Trouble -----------------------------------------------------------------------------------------------


def test_a_crash_in_the_middle_is_an_error_at_once_and_the_next_call_reconnects(program, new_server, server_folder):
    own = new_server().start()
    own.create_host("crash.example")
    at = {"id": "group", "domain": "crash.example"}
    side = muc_rooms.MucRooms(program, own, server_folder())
    try:
        side.do("ensure", **at, life="1.1/e")
        users = [f"u{n}@crash.example" for n in range(20_000)]
        side.start("invite", **at, kind="group", since="1.1/e", users=users)
        until(lambda: "u5@crash.example" in own.log_text(), "the first invitations", 10)
        own.kill()
        outcome = side.answer()
        refused = outcome["refused"] if outcome["ok"] else {user: outcome["error"] for user in users}
        assert users[-1] in refused and all(why.startswith("unavailable") for why in refused.values()), outcome
        own.start()
        side.do("ensure", **at, life="1.1/e")
        side.do("grant", **at, users={"alice@crash.example": "member"})
    finally:
        side.close()


def test_what_lay_in_a_stopped_servers_queue_takes_no_effect(program, new_server, server_folder):
    """The service gave up long ago, and what it asked for may be wrong by now."""
    own = new_server().start()
    own.create_host("stopped.example")
    at, room = {"id": "group", "domain": "stopped.example"}, "group@conference.stopped.example"
    side = muc_rooms.MucRooms(program, own, server_folder())
    try:
        side.do("ensure", **at, life="1.1/e")
        own.signal(signal.SIGSTOP)
        outcome = side.ask("grant", **at, users={"alice@stopped.example": "member"}, within=0.3)
        assert not outcome["ok"] and outcome["retryable"], outcome
        given_up = time.time()
        until(lambda: time.time() > given_up + GRACE + 1, "the request's expiry", GRACE + 5)
        own.signal(signal.SIGCONT)
        until(lambda: "after it expired" in own.log_text(), "the stale request", 10)
        with own.admin() as admin:
            assert affiliated(admin, room, "member") == set()
        side.do("grant", **at, users={"alice@stopped.example": "member"})
    finally:
        side.close()


@pytest.mark.parametrize("payload", [
    "<ensure xmlns='urn:quobis:sippo:room:0' life='9.1/aa' expires='{}'/>",
    "<destroy xmlns='urn:quobis:sippo:room:0' ended='9.0/aa' expires='{}'/>",
    "<affiliations xmlns='urn:quobis:sippo:muc-admin-batch:0' expires='{}'><owner jid='a@b.example'/></affiliations>",
])
def test_a_request_counts_until_it_expires(group, payload):
    g = group
    assert condition(ask(g.admin, "set", payload.format(int(time.time()) - 1), g.room)) == "remote-server-timeout"
    assert configuration(g.admin, g.room)[LIFE].startswith("1.5/")
    assert affiliated(g.admin, g.room, "owner") == set()
    ok(ask(g.admin, "set", payload.format(int(time.time()) + 60), g.room))
