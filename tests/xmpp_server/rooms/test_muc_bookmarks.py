"""mod_sippo_muc_bookmarks, mod_sippo_bookmarks: who belongs to a room of the service has it among their bookmarks."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from xml.sax.saxutils import quoteattr

import pytest

from support.bookmarks import (
    EVENT, MARK, NODE, PUBSUB, bookmarks, is_bookmarked, is_gone, listen, mark, publish, retract, rooms_of,
)
from support.stanzas import affiliate, ask, assert_absent, condition, configure, go_online, join, ok, settle
from support.wait import until

BATCH = "urn:quobis:sippo:muc-admin-batch:0"
LIVES = "urn:quobis:sippo:room:0"
OPTIONS = ("<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>"
           f"{PUBSUB}#publish-options</value></field>{{}}</x></publish-options>")


def ensure(g, room: str | None = None, life: str = "1.1/65", kind: str = "usersGroup", **more: str) -> None:
    text = "".join(f" {name}={quoteattr(value)}" for name, value in more.items())
    ok(ask(g.admin, "set", f"<ensure xmlns='{LIVES}' life='{life}' kind='{kind}'{text}/>", room or g.room))


def batch(g, items: str, room: str | None = None):
    return ask(g.admin, "set", f"<affiliations xmlns='{BATCH}'>{items}</affiliations>", room or g.room, 60)


def grant(g, *users: str, what: str = "member", room: str | None = None) -> None:
    assert not len(ok(batch(g, "".join(f"<{what} jid='{user}'/>" for user in users), room))[0])


def revoke(g, *users: str) -> None:
    grant(g, *users, what="none")


def destroy(g, ended: str = "1.2/65") -> None:
    ok(ask(g.admin, "set", f"<destroy xmlns='{LIVES}' ended='{ended}'/>", g.room))


@pytest.fixture
def group(server, two_tenants):
    """A room of the service without members, and three users: two of its tenant, a guest of the other."""
    home, away = two_tenants
    tail = uuid.uuid4().hex[:8]
    people = {name: f"{name}-{tail}@{home}" for name in ("bob", "carol")} | {"guest": f"guest-{tail}@{away}"}
    with server.admin() as admin:
        g = SimpleNamespace(home=home, room=f"this-{tail}@conference.{home}", other=f"other-{tail}@conference.{home}",
                            admin=admin, **people)
        ensure(g, name="Team 7")
        yield g


def settings(conference) -> tuple[str | None, str | None, str | None, str | None]:
    return (conference.get("name"), conference.get("autojoin"), conference.findtext(f"{{{NODE}}}nick"),
            conference.findtext(f"{{{NODE}}}password"))


def test_members_owners_and_guests_find_the_room_among_their_bookmarks(server, group):
    g = group
    ok(batch(g, f"<owner jid='{g.carol}'/><member jid='{g.bob}'/><exactly-member jid='{g.guest}'/>"))
    for user, affiliation in ((g.bob, "member"), (g.carol, "owner"), (g.guest, "member")):
        is_to_them = {"kind": "usersGroup", "affiliation": affiliation, "name": "Team 7"}
        with server.user(user) as client:
            found = bookmarks(client)
            assert list(found) == [g.room]
            assert settings(found[g.room]) == ("Team 7", "true", None, None)
            assert mark(found[g.room]) == is_to_them
        assert rooms_of(g.admin, user) == {g.room: is_to_them}


def test_a_conference_without_a_name(server, group):
    g = group
    ensure(g, g.other, kind="conference")
    grant(g, g.bob, room=g.other)
    with server.user(g.bob) as bob:
        assert settings(bookmarks(bob)[g.other]) == (None, "true", None, None)
    assert rooms_of(g.admin, g.bob) == {g.other: {"kind": "conference", "affiliation": "member"}}


def by_list(g, *users: str) -> None:
    ok(affiliate(g.admin, g.room, *((user, "none") for user in users)))


def by_one(g, *users: str) -> None:
    for user in users:
        ok(affiliate(g.admin, g.room, (user, "none")))


def by_form(g, *_: str) -> None:
    ok(ask(g.admin, "set", f"<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>", g.room))


def by_next_life(g, *_: str) -> None:
    ensure(g, life="2.1/65", ended="1.2/65")


ENDS = [revoke, by_list, by_one, lambda g, *_: destroy(g), by_form, by_next_life]


@pytest.mark.parametrize("end", ENDS, ids=["revoked", "list", "one", "destroyed", "muc-owner", "next-life"])
def test_a_bookmark_goes_with_membership_or_room_and_no_other_does(server, group, end):
    g = group
    ensure(g, g.other)
    for room in (g.room, g.other):
        grant(g, g.bob, g.guest, room=room)
    end(g, g.bob, g.guest)
    for user in (g.bob, g.guest):
        with server.user(user) as client:
            assert list(bookmarks(client)) == [g.other]
        assert list(rooms_of(g.admin, user)) == [g.other]


def test_whoever_is_online_is_told_at_once_inside_of_the_room_or_not(server, group):
    g = group
    with server.user(g.bob, "phone") as phone, server.user(g.bob, "laptop") as laptop:
        for device in (phone, laptop):
            listen(device)
        grant(g, g.bob)
        for device in (phone, laptop):
            told = device.wait(is_bookmarked(g.room))
            assert mark(told.find(f".//{{{NODE}}}conference"))["name"] == "Team 7"
        join(laptop, g.room, "bob")
        revoke(g, g.bob)
        for device in (phone, laptop):
            device.wait(is_gone(g.room))
        revoke(g, g.bob)  # nothing changes
        for device in (phone, laptop):
            assert_absent(device, is_gone(g.room))


def test_clients_of_the_old_kind_are_told_too(server, group):
    g, old = group, "storage:bookmarks"

    def is_list(*rooms: str):
        def is_it(e) -> bool:
            items = e.find(f"{{{EVENT}}}event/{{{EVENT}}}items[@node='{old}']")
            return items is not None and [c.get("jid") for c in items.iter(f"{{{old}}}conference")] == list(rooms)
        return is_it

    with server.user(g.bob) as bob:
        listen(bob, old)
        grant(g, g.bob)
        bob.wait(is_list(g.room))
        revoke(g, g.bob)
        bob.wait(is_list())


def test_what_the_user_sets_stays(server, group):
    g = group
    grant(g, g.bob)
    mine = "<nick>Bobby</nick><password>p</password><extensions><pinned xmlns='urn:xmpp:bookmarks-pinning:0'/></extensions>"
    with server.user(g.bob) as bob:
        ok(publish(bob, g.room, mine, name="Team 7", autojoin="false"))
        ensure(g, name="Team 8")
        grant(g, g.bob, what="owner")
        found = bookmarks(bob)[g.room]
        assert settings(found) == ("Team 8", "false", "Bobby", "p")
        assert found.find(f"{{{NODE}}}extensions/{{urn:xmpp:bookmarks-pinning:0}}pinned") is not None
        assert mark(found) == {"kind": "usersGroup", "affiliation": "owner", "name": "Team 8"}
        ok(publish(bob, g.room, name="My own name", autojoin="false"))
        ensure(g, name="Team 9")
        grant(g, g.bob)
        assert settings(bookmarks(bob)[g.room]) == ("My own name", "false", None, None)
    assert rooms_of(g.admin, g.bob)[g.room]["name"] == "Team 9"


def test_a_bookmark_that_the_user_had_becomes_the_services(server, group):
    g = group
    with server.user(g.bob) as bob:
        ok(publish(bob, g.room, "<nick>Bobby</nick>", name="Mine"))
        grant(g, g.bob)
        assert settings(bookmarks(bob)[g.room]) == ("Mine", None, "Bobby", None)
        assert mark(bookmarks(bob)[g.room])["name"] == "Team 7"
        revoke(g, g.bob)
        assert bookmarks(bob) == {}


def test_repeating_a_grant_writes_nothing(server, group):
    g = group
    grant(g, g.bob)
    with server.user(g.bob) as bob:
        listen(bob)
        grant(g, g.bob)
        ensure(g, name="Team 7")
        assert_absent(bob, is_bookmarked(g.room))


@pytest.mark.parametrize("blank", ["&#9;", "&#10;", "&#13;", "&#13;&#10;"])
def test_a_name_with_a_line_break_is_written_once(server, group, blank):
    g = group
    ok(ask(g.admin, "set", f"<ensure xmlns='{LIVES}' life='1.1/65' kind='usersGroup' name='Team{blank}8'/>", g.room))
    grant(g, g.bob)
    with server.user(g.bob) as bob:
        listen(bob)
        assert settings(bookmarks(bob)[g.room])[0] == "Team 8"
        grant(g, g.bob)
        assert_absent(bob, lambda e: e.find(f"{{{EVENT}}}event") is not None)
        ensure(g, name="Team 9")
        grant(g, g.bob)
        assert settings(bookmarks(bob)[g.room])[0] == "Team 9"


def test_what_the_service_put_only_it_takes_away(server, group):
    g = group
    grant(g, g.bob)
    mine = f"mine@conference.{g.home}"
    with server.user(g.bob) as bob:
        ok(publish(bob, mine, name="Mine"))
        assert condition(retract(bob, g.room)) == "not-allowed"
        for action in ("purge", "delete"):
            ask(bob, "set", f"<pubsub xmlns='{PUBSUB}#owner'><{action} node='{NODE}'/></pubsub>")
            assert list(bookmarks(bob)) == [g.room]
        ok(publish(bob, mine, name="Mine"))
        # XEP-0048: all that is not in the list is to go
        for inner, left in ((f"<conference jid='{g.room}' autojoin='false'/><conference jid='{mine}'/>", {g.room, mine}),
                            ("<conference jid='else@conference.example'/>", {g.room, "else@conference.example"}),
                            ("", {g.room})):
            ok(ask(bob, "set", f"<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'>{inner}</storage></query>"))
            assert set(bookmarks(bob)) == left
        assert mark(bookmarks(bob)[g.room]) == {"kind": "usersGroup", "affiliation": "member", "name": "Team 7"}
        assert bookmarks(bob)[g.room].get("autojoin") == "false"
        ok(retract(bob, g.room) if revoke(g, g.bob) else publish(bob, mine))
        ok(retract(bob, mine))
        assert bookmarks(bob) == {}


def test_nobody_marks_a_bookmark_of_their_own(server, group):
    g = group
    forged = f"<room xmlns='{MARK}' kind='usersGroup' affiliation='owner' name='Forged'/>"
    with server.user(g.bob) as bob:
        ok(publish(bob, g.room, f"<extensions>{forged}<x xmlns='urn:x'>{forged}</x></extensions>{forged}"))
        assert rooms_of(g.admin, g.bob) == {}
        assert mark(bookmarks(bob)[g.room]) is None
        grant(g, g.bob)
        ok(publish(bob, g.room, f"<extensions>{forged}</extensions>"))
    assert rooms_of(g.admin, g.bob)[g.room] == {"kind": "usersGroup", "affiliation": "member", "name": "Team 7"}


def field(name: str, value: str) -> str:
    return f"<field var='pubsub#{name}'><value>{value}</value></field>"


@pytest.mark.parametrize("options", ["", OPTIONS.format(field("max_items", "1")), OPTIONS.format(field("persist_items", "1"))],
                         ids=["none", "few", "some"])
def test_a_node_that_a_client_makes_keeps_all_for_its_owner(server, group, options):
    g = group
    with server.user(g.bob) as bob:
        ok(publish(bob, "one@conference.x", options=options))
        ok(publish(bob, "two@conference.x", options=options))
        grant(g, g.bob)
        form = ("<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>"
                f"{PUBSUB}#node_config</value></field>{field('max_items', '1')}{field('access_model', 'open')}</x>")
        ok(ask(bob, "set", f"<pubsub xmlns='{PUBSUB}#owner'><configure node='{NODE}'>{form}</configure></pubsub>"))
        ok(publish(bob, "three@conference.x", options=options))
        assert set(bookmarks(bob)) == {"one@conference.x", "two@conference.x", "three@conference.x", g.room}
        with server.user(g.carol) as carol:
            refused = ask(carol, "get", f"<pubsub xmlns='{PUBSUB}'><items node='{NODE}'/></pubsub>", g.bob)
            assert condition(refused) == "forbidden"


def test_rooms_are_the_services_to_ask_for_and_a_retraction_tells_strangers_nothing(server, group):
    g = group
    grant(g, g.bob)
    with server.user(g.bob) as bob, server.user(g.carol) as carol:
        for client in (bob, carol):
            assert condition(ask(client, "get", f"<rooms xmlns='{MARK}'/>", g.bob)) == "service-unavailable"
        answers = []
        for room in (g.room, g.other):
            item = f"<pubsub xmlns='{PUBSUB}'><retract node='{NODE}'><item id='{room}'/></retract></pubsub>"
            answers.append(condition(ask(carol, "set", item, g.bob)))
        assert answers[0] == answers[1]


def test_rooms_that_clients_made_are_their_own_business(server, group):
    g = group
    room = f"adhoc-{uuid.uuid4().hex[:8]}@conference.{g.home}"
    with server.user(g.bob) as bob, server.user(g.carol) as carol:
        go_online(bob)
        join(bob, room, "bob")
        ok(configure(bob, room, {}))
        ok(affiliate(bob, room, (g.carol, "member")))
        settle(carol)
        assert bookmarks(carol) == {}
        ok(publish(carol, room))
        ok(affiliate(bob, room, (g.carol, "none")))
        assert list(bookmarks(carol)) == [room]


def test_an_owner_who_renames_the_room_renames_its_bookmarks(server, group):
    g = group
    ok(batch(g, f"<owner jid='{g.carol}'/><member jid='{g.bob}'/>"))
    with server.user(g.carol) as carol:
        ok(configure(carol, g.room, {"muc#roomconfig_roomname": "Renamed"}))
    until(lambda: {rooms_of(g.admin, user)[g.room]["name"] for user in (g.bob, g.carol)} == {"Renamed"}, "the new name")


def test_a_late_request_of_an_earlier_life_names_nothing(server, group):
    g = group
    ensure(g, life="2.1/65", ended="1.2/65")
    grant(g, g.bob)
    ensure(g, life="1.1/65", kind="conference", name="Of the earlier life")
    grant(g, g.bob)
    assert rooms_of(g.admin, g.bob) == {g.room: {"kind": "usersGroup", "affiliation": "member"}}
    ensure(g, life="2.2/65", name="Of this life", ended="1.2/65")
    grant(g, g.bob)
    assert rooms_of(g.admin, g.bob)[g.room]["name"] == "Of this life"


def test_a_name_of_an_earlier_life_goes_when_the_end_of_that_is_heard_of(server, group):
    g = group
    ensure(g, g.other, life="2.1/65")
    ensure(g, g.other, life="1.1/65", name="Of the earlier life")  # late, and nobody knows of an end yet
    ensure(g, g.other, life="2.1/65", ended="1.2/65")
    grant(g, g.bob, room=g.other)
    assert rooms_of(g.admin, g.bob)[g.other] == {"kind": "usersGroup", "affiliation": "member"}


def test_a_user_who_was_never_there_and_one_whose_domain_is_not_served(server, group):
    g = group
    grant(g, f"nobody@unserved-{uuid.uuid4().hex[:8]}.example", g.bob)
    assert list(rooms_of(g.admin, g.bob)) == [g.room]


def test_rooms_of_a_tenant_that_goes_leave_guests_bookmarks(server, group, unique_domain):
    g = group
    gone = server.create_host(unique_domain())
    room = f"group@conference.{gone}"
    ensure(g, room)
    grant(g, g.guest, room=room)
    grant(g, g.guest)
    server.delete_host(gone)
    until(lambda: list(rooms_of(g.admin, g.guest)) == [g.room], "the guest's bookmark to go")


@pytest.mark.parametrize("crash", [False, True])
def test_many_bookmarks_go_with_their_room_after_a_crash_as_well(new_server, crash):
    own = new_server().start()
    home = own.create_host("many.example")
    users = [f"m{n}@{home}" for n in range(450)]
    with own.admin() as admin:
        g = SimpleNamespace(admin=admin, room=f"group@conference.{home}")
        ensure(g)
        grant(g, *users)
        assert list(rooms_of(admin, users[-1])) == [g.room]
        destroy(g)
        if crash:
            own.kill()
            own.start()
    with own.admin() as admin:
        until(lambda: not any(rooms_of(admin, user) for user in users), "the bookmarks to go", 30)


def test_a_room_of_a_new_life_keeps_its_members_bookmarks_though_the_old_ones_list_comes_later(new_server):
    own = new_server().start()
    home = own.create_host("lives.example")
    users = [f"m{n}@{home}" for n in range(300)]
    with own.admin() as admin:
        g = SimpleNamespace(admin=admin, room=f"group@conference.{home}")
        ensure(g)
        grant(g, *users)
        ensure(g, life="2.1/65", ended="1.2/65")  # its list is worked off from now on
        grant(g, *users[:150])
        until(lambda: not any(rooms_of(admin, user) for user in users[150:]), "the old life's bookmarks to go", 30)
        assert all(list(rooms_of(admin, user)) == [g.room] for user in users[:150])
