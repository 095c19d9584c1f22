"""mod_sippo_roster_admin: the server admin's hand on the users' rosters (xmpp-server/README.md; RFC 6121, section 2)."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

import pytest

from support.stanzas import ROSTER, ROSTER_GROUP, answer, ask, assert_absent, condition, new_id, ok, request

LIST = "individualChatList"


@pytest.fixture
def admin(server):
    client = server.admin()
    yield client
    client.close()


def group_payload(op: str, jid: str, group: str = LIST, limit: int | None = None) -> str:
    maximum = f" max='{limit}'" if limit is not None else ""
    return f"<group xmlns='{ROSTER_GROUP}' name={quoteattr(group)}{maximum}><{op} jid={quoteattr(jid)}/></group>"


def change_group(client, user: str, op: str, jid: str, group: str = LIST, limit: int | None = None):
    return ask(client, "set", group_payload(op, jid, group, limit), user)


def set_item(client, jid: str, to: str | None = None, name: str = "", groups: tuple[str, ...] = (), **attributes: str):
    more = "".join(f" {k}={quoteattr(v)}" for k, v in {"name": name, **attributes}.items() if v)
    inner = "".join(f"<group>{g}</group>" for g in groups)
    return ask(client, "set", f"<query xmlns='{ROSTER}'><item jid={quoteattr(jid)}{more}>{inner}</item></query>", to)


def roster(client, to: str | None = None) -> dict[str, tuple[str | None, str | None, set[str]]]:
    reply = ok(ask(client, "get", f"<query xmlns='{ROSTER}'/>", to))
    return {
        i.get("jid"): (i.get("name"), i.get("subscription"), {g.text for g in i.iterfind(f"{{{ROSTER}}}group")})
        for i in reply.iterfind(f".//{{{ROSTER}}}item")
    }


def is_push(e) -> bool:
    return e.get("type") == "set" and e.find(f"{{{ROSTER}}}query") is not None


def pushed(client) -> dict[str, str | None]:
    item = client.wait(is_push, 10).find(f"{{{ROSTER}}}query/{{{ROSTER}}}item")
    return dict(item.attrib) | {"groups": sorted(g.text for g in item)}


def test_works_for_a_user_who_never_logged_in(server, admin, domain):
    alice = f"alice@{domain}"
    assert roster(admin, alice) == {}
    ok(change_group(admin, alice, "add", f"bob@{domain}"))
    ok(set_item(admin, f"carol@{domain}", alice, name="Carol & Co", groups=("Work",)))
    expected = {f"bob@{domain}": (None, "none", {LIST}), f"carol@{domain}": ("Carol & Co", "none", {"Work"})}
    assert roster(admin, alice) == expected
    with server.user(alice) as client:
        assert roster(client) == expected


def test_changes_are_pushed_to_those_who_asked_for_the_roster(server, admin, domain):
    alice, bob = f"alice@{domain}", f"bob@{domain}"
    with server.user(alice) as interested, server.user(alice) as idle:
        roster(interested)
        ok(change_group(admin, alice, "add", bob))
        assert pushed(interested) == {"jid": bob, "subscription": "none", "groups": [LIST]}
        ok(change_group(admin, alice, "add", bob))
        assert_absent(interested, is_push)
        ok(set_item(admin, bob, alice, name="Bob", groups=(LIST, "Work")))
        assert pushed(interested) == {"jid": bob, "subscription": "none", "name": "Bob", "groups": ["Work", LIST]}
        ok(change_group(admin, alice, "remove", bob))
        assert pushed(interested) == {"jid": bob, "subscription": "none", "name": "Bob", "groups": ["Work"]}
        ok(change_group(admin, alice, "remove", bob, "Work"))
        assert pushed(interested) == {"jid": bob, "subscription": "remove", "groups": []}
        ok(change_group(admin, alice, "remove", bob, "Work"))
        assert_absent(interested, is_push)
        assert_absent(idle, is_push)


def test_adding_and_removing_keep_what_the_user_made_of_the_item(server, admin, domain):
    alice, bob = f"alice@{domain}", f"bob@{domain}"
    with server.user(alice) as client:
        ok(set_item(client, bob, name="Bobby", groups=("Friends",)))
        client.send(f"<presence xmlns='jabber:client' type='subscribe' to='{bob}'/>")
        ok(change_group(admin, alice, "add", bob))
        assert roster(admin, alice)[bob] == ("Bobby", "none", {"Friends", LIST})
        ok(set_item(client, bob, name="Bobby", groups=(LIST,)))
        ok(change_group(admin, alice, "remove", bob))
        # The request for a subscription is still out (ask='subscribe'), so the item stays.
        assert roster(admin, alice) == {bob: ("Bobby", "none", set())}


def test_an_item_stays_while_a_subscription_request_of_the_contact_waits(server, admin, domain):
    alice, bob = f"alice@{domain}", f"bob@{domain}"
    with server.user(bob) as client:
        client.send(f"<presence xmlns='jabber:client' type='subscribe' to='{alice}'/>")
        ok(change_group(client := admin, alice, "add", bob))
        ok(change_group(client, alice, "remove", bob))
    assert roster(admin, alice) == {bob: (None, "none", set())}


def test_the_list_has_an_end(server, admin, domain):
    alice = f"alice@{domain}"
    for name in ("a", "b", "c"):
        ok(change_group(admin, alice, "add", f"{name}@{domain}", limit=3))
    full = change_group(admin, alice, "add", f"d@{domain}", limit=3)
    assert condition(full) == "resource-constraint"
    assert full.find("{*}error").get("type") == "wait"
    assert full.find(f".//{{{ROSTER_GROUP}}}list-full") is not None
    ok(change_group(admin, alice, "add", f"a@{domain}", limit=3))
    ok(change_group(admin, alice, "add", f"d@{domain}", "another list", limit=3))
    # The user takes an entry out by a client, and puts one in: the count follows.
    with server.user(alice) as client:
        ok(set_item(client, f"a@{domain}", subscription="remove"))
        ok(change_group(admin, alice, "add", f"e@{domain}", limit=3))
        ok(set_item(client, f"f@{domain}", groups=(LIST,)))
    ok(change_group(admin, alice, "remove", f"e@{domain}"))
    assert condition(change_group(admin, alice, "add", f"g@{domain}", limit=3)) == "resource-constraint"


def test_concurrent_changes_lose_nothing(server, domain):
    alice = f"alice@{domain}"
    with server.admin() as first, server.admin() as second:
        waiting = []
        for n in range(60):
            ident, client = new_id(), (first, second)[n % 2]
            client.send(request("set", group_payload("add", f"c{n}@{domain}"), alice, ident))
            waiting.append((client, ident))
        for client, ident in waiting:
            ok(answer(client, ident))
        assert roster(first, alice).keys() == {f"c{n}@{domain}" for n in range(60)}


@pytest.mark.parametrize(
    "payload",
    [
        f"<group xmlns='{ROSTER_GROUP}' name='x'/>",
        f"<group xmlns='{ROSTER_GROUP}' name='x'><add jid='a@b.example'/><add jid='c@b.example'/></group>",
        f"<group xmlns='{ROSTER_GROUP}' name='x'><toggle jid='a@b.example'/></group>",
        f"<group xmlns='{ROSTER_GROUP}' name='x'><add/></group>",
        f"<group xmlns='{ROSTER_GROUP}' name='x'><add jid=''/></group>",
        f"<group xmlns='{ROSTER_GROUP}' name='x'><add jid='a@b.example/phone'/></group>",
        f"<group xmlns='{ROSTER_GROUP}' name='x'><add jid='a b@b.example'/></group>",
        f"<group xmlns='{ROSTER_GROUP}' name='x'><add xmlns='urn:other' jid='a@b.example'/></group>",
        f"<group xmlns='{ROSTER_GROUP}' name=''><add jid='a@b.example'/></group>",
        f"<group xmlns='{ROSTER_GROUP}'><add jid='a@b.example'/></group>",
        f"<group xmlns='{ROSTER_GROUP}' name='x' max='many'><add jid='a@b.example'/></group>",
        f"<query xmlns='{ROSTER}'/>",
        f"<query xmlns='{ROSTER}'><item/></query>",
        f"<query xmlns='{ROSTER}'><item jid='a@b.example'/><item jid='b@b.example'/></query>",
        f"<query xmlns='{ROSTER}'><item jid='a@b.example/phone'/></query>",
    ],
)
def test_bad_requests_change_nothing(admin, domain, payload):
    assert condition(ask(admin, "set", payload, f"alice@{domain}")) == "bad-request"
    assert roster(admin, f"alice@{domain}") == {}


def test_jids_are_prepared(admin, domain):
    ok(change_group(admin, f"alice@{domain}", "add", f"BOB@{domain.upper()}"))
    assert roster(admin, f"alice@{domain}").keys() == {f"bob@{domain}"}
    ok(change_group(admin, f"alice@{domain}", "remove", f"Bob@{domain}"))
    assert roster(admin, f"alice@{domain}") == {}


def test_nobody_is_her_own_contact(admin, domain):
    alice = f"alice@{domain}"
    assert condition(change_group(admin, alice, "add", alice.upper())) == "not-allowed"
    assert condition(set_item(admin, alice, alice)) == "not-allowed"
    ok(change_group(admin, alice, "remove", alice))
    assert roster(admin, alice) == {}


def test_removing_an_absent_item_by_roster_set_is_item_not_found(admin, domain):
    assert condition(set_item(admin, f"bob@{domain}", f"alice@{domain}", subscription="remove")) == "item-not-found"


def test_removing_an_item_ends_the_subscription_at_the_contact(server, admin, domain):
    alice, bob = f"alice@{domain}", f"bob@{domain}"
    with server.user(alice) as a, server.user(bob) as b:
        a.send(f"<presence xmlns='jabber:client' type='subscribe' to='{bob}'/>")
        ask(a, "get", "<ping xmlns='urn:xmpp:ping'/>")
        b.send(f"<presence xmlns='jabber:client' type='subscribed' to='{alice}'/>")
        ask(b, "get", "<ping xmlns='urn:xmpp:ping'/>")
        assert roster(admin, alice)[bob][1] == "to"
        assert roster(admin, bob)[alice][1] == "from"
        ok(set_item(admin, bob, alice, subscription="remove"))
    assert roster(admin, alice) == {}
    assert roster(admin, bob)[alice][1] == "none"


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_users_get_what_they_would_get_without_the_module(server, admin, domain, who):
    ok(change_group(admin, f"alice@{domain}", "add", f"bob@{domain}"))
    with server.user(f"{who}@{domain}") as client:
        unknown = ask(client, "set", "<nothing xmlns='urn:example:unknown'/>", f"alice@{domain}")
        refused = change_group(client, f"alice@{domain}", "add", f"eve@{domain}")
        assert condition(refused) == condition(unknown)
        if who == "bob":
            assert condition(ask(client, "get", f"<query xmlns='{ROSTER}'/>", f"alice@{domain}")) == condition(unknown)
            assert condition(set_item(client, f"eve@{domain}", f"alice@{domain}")) == condition(unknown)
    assert roster(admin, f"alice@{domain}").keys() == {f"bob@{domain}"}


def test_the_operation_is_announced(admin, domain):
    reply = ok(ask(admin, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", domain))
    assert ROSTER_GROUP in {f.get("var") for f in reply.iterfind(".//{*}feature")}


def test_roster_versions(admin, domain):
    alice = f"alice@{domain}"
    ok(change_group(admin, alice, "add", f"bob@{domain}"))
    version = ok(ask(admin, "get", f"<query xmlns='{ROSTER}'/>", alice)).find(f"{{{ROSTER}}}query").get("ver")
    current = ok(ask(admin, "get", f"<query xmlns='{ROSTER}' ver={quoteattr(version)}/>", alice))
    assert current.find(f"{{{ROSTER}}}query") is None
    ok(change_group(admin, alice, "add", f"bob@{domain}"))
    assert ok(ask(admin, "get", f"<query xmlns='{ROSTER}' ver={quoteattr(version)}/>", alice)).find("{*}query") is None
    ok(change_group(admin, alice, "add", f"carol@{domain}"))
    assert len(ok(ask(admin, "get", f"<query xmlns='{ROSTER}' ver={quoteattr(version)}/>", alice)).find("{*}query")) == 2


@pytest.mark.provokes("database is locked|lock timeout", "Could not save the roster")
def test_a_failed_write_is_an_error_and_changes_nothing(server, admin, domain):
    alice, bob, carol = f"alice@{domain}", f"bob@{domain}", f"carol@{domain}"
    ok(set_item(admin, bob, alice, name="Bob", groups=("Work",)))
    with server.user(alice) as client:
        before = roster(client)
        with server.locked_database():
            for refused in (
                change_group(admin, alice, "add", carol, limit=1),
                change_group(admin, alice, "add", bob),
                change_group(admin, alice, "remove", bob, "Work"),
                set_item(admin, bob, alice, subscription="remove"),
                set_item(admin, carol, alice),
            ):
                assert condition(refused) == "internal-server-error"
                assert refused.find("{*}error").get("type") == "wait"
        assert_absent(client, is_push)
        assert roster(client) == roster(admin, alice) == before
        # The list that could not be written has not filled up either.
        ok(change_group(admin, alice, "add", carol, limit=1))
    server.restart()
    with server.admin() as again:
        assert roster(again, alice) == before | {carol: (None, "none", {LIST})}


# The chat list and the user's own clients (mod_sippo_chat_list) ---------------------------------------


@pytest.mark.parametrize("groups", [(), ("Friends",), ("Friends", "Work"), (LIST,), (LIST, "Friends")])
def test_a_clients_roster_set_leaves_the_entry_in_the_list(server, admin, domain, groups):
    bob = f"bob@{domain}"
    with server.user(f"alice@{domain}") as alice:
        roster(alice)
        ok(change_group(admin, alice.bare_jid, "add", bob))
        assert pushed(alice)["groups"] == [LIST]
        ok(set_item(alice, bob.replace("bob", "BOB"), name="Bob", groups=groups))
        expected = {LIST, *groups}
        assert pushed(alice)["groups"] == sorted(expected)
        assert roster(admin, alice.bare_jid)[bob] == ("Bob", "none", expected)
        ok(change_group(admin, alice.bare_jid, "remove", bob))
        ok(set_item(alice, bob, name="Robert"))
        assert roster(alice)[bob][2] == set()


def test_a_client_removes_an_entry_with_the_item_and_others_stay_as_they_are(server, admin, domain):
    bob, carol = f"bob@{domain}", f"carol@{domain}"
    with server.user(f"alice@{domain}") as alice:
        ok(change_group(admin, alice.bare_jid, "add", bob))
        ok(set_item(alice, carol, name="Carol", groups=("Friends",)))
        assert roster(alice)[carol][2] == {"Friends"}
        ok(set_item(alice, bob, subscription="remove"))
        assert bob not in roster(alice)
        ok(set_item(alice, bob, name="Bob"))
        assert roster(alice)[bob] == ("Bob", "none", set())
