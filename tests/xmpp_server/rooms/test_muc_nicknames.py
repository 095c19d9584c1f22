"""mod_sippo_muc_nicknames: nobody goes by another member's name (xmpp-server/README.md)."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from xml.sax.saxutils import quoteattr

import pytest

from support.stanzas import (
    CLIENT,
    MUC,
    MUC_USER,
    affiliate,
    answer,
    ask,
    assert_absent,
    condition,
    configuration,
    configure,
    create_room,
    error_shape,
    has_body,
    join,
    leave,
    new_id,
    ok,
    room_features,
    send_message,
    settle,
    statuses,
)

LOOK_LIKE_CAROL = [
    "carol", "CAROL", "Carol", "сarol", "саrоl", "ｃａｒｏｌ", "ⅽarol", "𝐜arol", "car0l", "caro1", "caroI", "c a r o l",
    "ca\u200brol", "СAROL", "carol@{home}", "CAROL@{home}",
    *(name for blank in "\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0" for name in (f"carol{blank}", f"{blank}ca{blank}rol")),
]


@pytest.fixture
def team(server, two_tenants):
    """A service room with Alice, Bob and Carol of the tenant and a guest who is called as Carol is; Dave is not in it."""
    home, away = two_tenants
    clients = {name: server.user(f"{name}@{home}") for name in ("alice", "bob", "carol", "dave", r"ann\40corp.example")}
    clients["guest"] = server.user(f"carol@{away}")
    clients["admin"] = server.admin()
    room = f"team-{uuid.uuid4().hex[:8]}@conference.{home}"
    create_room(clients["admin"], room)
    jids = [f"{name}@{home}" for name in ("alice", "bob", "carol", r"ann\40corp.example")]
    ok(affiliate(clients["admin"], room, *((jid, "member") for jid in (*jids, f"carol@{away}"))))
    clients["ann"] = clients.pop(r"ann\40corp.example")
    yield SimpleNamespace(home=home, away=away, room=room, **clients)
    for client in clients.values():
        client.close()


def entered(client, room: str, nick: str) -> None:
    reply = join(client, room, nick)
    assert reply.get("type") is None, (nick, error_shape(reply))


def change_nick(client, room: str, nick: str):
    """The own presence under the new nickname, or the error."""
    client.send(f"<presence xmlns='{CLIENT}' to={quoteattr(f'{room}/{nick}')}/>")
    return client.wait(lambda e: e.tag == f"{{{CLIENT}}}presence" and (
        e.get("type") == "error" or (e.get("type") is None and "110" in statuses(e))), 10)


def register(client, room: str, nick: str):
    form = (f"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MUC}#register</value></field>"
            f"<field var='muc#register_roomnick'><value>{nick}</value></field></x>")
    return ask(client, "set", f"<query xmlns='jabber:iq:register'>{form}</query>", room)


def taken_out(room: str, nick: str):
    return lambda e: e.get("from") == f"{room}/{nick}" and e.get("type") == "unavailable" and "307" in statuses(e)


@pytest.mark.parametrize("nick", LOOK_LIKE_CAROL)
def test_nobody_enters_changes_to_or_registers_what_looks_like_a_members_name(team, nick):
    t = team
    nick = nick.format(home=t.home)
    assert condition(join(t.bob, t.room, nick)) == "conflict"
    entered(t.bob, t.room, "bob")
    assert condition(change_nick(t.bob, t.room, nick)) == "conflict"
    assert condition(register(t.bob, t.room, nick)) == "conflict"


def test_an_unescaped_name_is_a_members_name_too(team):
    t = team
    for nick in ("ann@corp.example", r"ann\40corp.example", "ANN@corp.example"):
        assert condition(join(t.bob, t.room, nick)) == "conflict"
    for nick in (r"ann\40corp.example", "ann@corp.example"):
        entered(t.ann, t.room, nick)
        leave(t.ann, t.room, nick)


@pytest.mark.parametrize("nick", ["carol", "Carol", "CAROL", "carol@{home}"])
def test_ones_own_name_is_ones_own_in_every_case(team, nick):
    t = team
    entered(t.carol, t.room, nick.format(home=t.home))


@pytest.mark.parametrize("nick", ["Robert Smith", "Zoë", "Боб", "波布"])
def test_any_other_nickname_is_free(team, nick):
    entered(team.bob, team.room, nick)


def test_of_two_members_of_one_name_it_is_the_tenants_own_users(team):
    t = team
    assert condition(join(t.guest, t.room, "carol")) == "conflict"
    entered(t.guest, t.room, f"carol@{t.away}")
    entered(t.carol, t.room, "carol")


def test_a_name_is_its_owners_even_after_somebody_else_was_faster(team):
    """Bob sits on Dave's name, and has registered it, before Dave belongs to the room."""
    t = team
    entered(t.alice, t.room, "alice")
    entered(t.bob, t.room, "dave")
    ok(register(t.bob, t.room, "dave"))
    ok(affiliate(t.admin, t.room, (f"dave@{t.home}", "member")))
    t.alice.wait(taken_out(t.room, "dave"), 10)
    entered(t.dave, t.room, "dave")
    send_message(t.alice, f"{t.room}/dave", "for Dave only")
    t.dave.wait(has_body("for Dave only"), 10)
    assert_absent(t.bob, has_body("for Dave only"))
    ident = new_id()
    t.bob.send(f"<presence xmlns='{CLIENT}' id='{ident}' to='{t.room}/dave'><x xmlns='{MUC}'/></presence>")
    assert condition(answer(t.bob, ident)) == "conflict"


@pytest.mark.parametrize("nick", ["DAVE", "dаve"])
def test_nobody_goes_on_under_what_looks_like_a_new_members_name(team, nick):
    t = team
    entered(t.alice, t.room, "alice")
    entered(t.bob, t.room, nick)
    send_message(t.bob, t.room, "as somebody else", "groupchat")
    t.alice.wait(has_body("as somebody else"), 10)
    ok(affiliate(t.admin, t.room, (f"dave@{t.home}", "member")))
    send_message(t.alice, f"{t.room}/{nick}", "for Dave only")
    assert condition(answer(t.bob, send_message(t.bob, t.room, "as Dave", "groupchat"))) in ("conflict", "not-acceptable")
    settle(t.alice)
    assert_absent(t.alice, has_body("as Dave"))
    assert_absent(t.bob, has_body("for Dave only"))


def test_who_speaks_first_as_a_new_member_is_told_why_not(team):
    t = team
    entered(t.alice, t.room, "alice")
    entered(t.bob, t.room, "DAVE")
    ok(affiliate(t.admin, t.room, (f"dave@{t.home}", "member")))
    for to, kind in ((t.room, "groupchat"), (f"{t.room}/alice", "chat")):
        refused = answer(t.bob, send_message(t.bob, to, "as Dave", kind))
        assert condition(refused) in ("conflict", "not-acceptable")
    assert_absent(t.alice, has_body("as Dave"))


def test_a_nickname_that_somebody_left_with_reaches_nobody_else(team):
    """Alice still has the window open in which they wrote to Robert."""
    t = team
    entered(t.alice, t.room, "alice")
    entered(t.bob, t.room, "Robert")
    leave(t.bob, t.room, "Robert")
    settle(t.bob)
    assert condition(join(t.carol, t.room, "Robert")) == "conflict"
    assert condition(join(t.carol, t.room, "RОBERT")) == "conflict"
    assert condition(answer(t.alice, send_message(t.alice, f"{t.room}/Robert", "psst"))) == "item-not-found"
    entered(t.bob, t.room, "Robert")
    leave(t.bob, t.room, "Robert")
    ok(affiliate(t.admin, t.room, (f"bob@{t.home}", "none")))
    entered(t.carol, t.room, "Robert")


def test_two_who_look_alike_by_their_own_choice_both_stay(team):
    """Bob's other device has another nickname by now; the first goes on under the old one."""
    t = team
    entered(t.bob, t.room, "Robert")
    entered(t.alice, t.room, "alice")
    assert condition(change_nick(t.alice, t.room, "Robert")) == "conflict"
    send_message(t.bob, t.room, "still here", "groupchat")
    t.alice.wait(has_body("still here"), 10)


@pytest.mark.parametrize("nick", ["bob 🎉", "🎉", "bob\U0001fae0"])
def test_a_nickname_with_emoji_is_refused_with_a_reason_before_anything_happens(team, nick):
    t = team
    adhoc = f"adhoc-{uuid.uuid4().hex[:8]}@conference.{t.home}"
    entered(t.bob, t.room, "bob")
    for refused in (join(t.alice, t.room, nick), join(t.alice, adhoc, nick), change_nick(t.bob, t.room, nick),
                    register(t.bob, t.room, nick)):
        assert condition(refused) == "jid-malformed"
        assert "emoji" in error_shape(refused)
    assert condition(ask(t.alice, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", adhoc)) == "item-not-found"


# Who is who ------------------------------------------------------------------------------------------


def test_members_see_who_is_who_whatever_an_owner_asks(team):
    t = team
    ok(affiliate(t.admin, t.room, (f"alice@{t.home}", "owner")))
    ok(configure(t.alice, t.room, {"muc#roomconfig_whois": "moderators", "muc#roomconfig_roomname": "Renamed"}))
    ok(configure(t.admin, t.room, {"muc#roomconfig_whois": "moderators"}))
    assert "muc_nonanonymous" in room_features(t.bob, t.room)
    assert configuration(t.admin, t.room)["muc#roomconfig_whois"] == "anyone"
    entered(t.bob, t.room, "bob")
    entered(t.carol, t.room, "Somebody")
    presence = t.bob.wait(lambda e: e.get("from") == f"{t.room}/Somebody" and e.get("type") is None, 10)
    assert presence.find(f"{{{MUC_USER}}}x/{{{MUC_USER}}}item").get("jid").split("/")[0] == f"carol@{t.home}"
    send_message(t.carol, t.room, "noted", "groupchat")
    t.bob.wait(has_body("noted"), 10)
    ident = new_id()
    t.bob.send(f"<iq xmlns='{CLIENT}' type='set' id='{ident}' to='{t.room}'><query xmlns='urn:xmpp:mam:2'/></iq>")
    result = t.bob.wait(lambda e: e.find("{urn:xmpp:mam:2}result") is not None, 10)
    item = result.find(f".//{{{MUC_USER}}}item")
    assert item is not None and item.get("jid") == f"carol@{t.home}"


@pytest.mark.parametrize("affiliation,names", [("member", ["bob", "carol"]), ("owner", ["alice"]), ("admin", [])])
def test_members_read_the_lists_of_those_who_belong(team, affiliation, names):
    t = team
    ok(affiliate(t.admin, t.room, (f"alice@{t.home}", "owner")))
    reply = ok(ask(t.bob, "get", f"<query xmlns='{MUC}#admin'><item affiliation='{affiliation}'/></query>", t.room))
    listed = {item.get("jid") for item in reply.iterfind(".//{*}item")}
    assert {f"{name}@{t.home}" for name in names} <= listed
    assert not any("admin" in jid for jid in listed)


def test_a_room_of_before_is_non_anonymous_too(new_server):
    own = new_server().start()
    home = own.create_host("before.example")
    room = f"group@conference.{home}"
    with own.admin() as admin:
        create_room(admin, room)
        ok(affiliate(admin, room, (f"alice@{home}", "member")))
    own.stop()
    with own.database() as database:
        change = "UPDATE prosody SET value = replace(value, 'anyone', 'moderators') WHERE store = 'config' AND \"user\" = 'group'"
        assert database.execute(change).rowcount > 0
    own.start()
    with own.user(f"alice@{home}") as alice:
        assert "muc_nonanonymous" in room_features(alice, room)
