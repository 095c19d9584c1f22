"""mod_muc_admin_batch: several affiliations in one muc#admin request of the service (XEP-0045, 9.8 and 10.5)."""

from __future__ import annotations

import time
import uuid
from types import SimpleNamespace

import pytest

from support.stanzas import (
    CLIENT,
    MUC_ADMIN,
    MUC_USER,
    affiliate,
    affiliated,
    ask,
    assert_absent,
    condition,
    configure,
    create_room,
    join,
    ok,
    statuses,
)


@pytest.fixture
def group(server):
    """A service room and the service's session."""
    domain = f"g{uuid.uuid4().hex[:10]}.example"
    server.create_host(domain)
    room = f"group@conference.{domain}"
    with server.admin() as admin:
        create_room(admin, room)
        yield SimpleNamespace(domain=domain, room=room, admin=admin)


def test_the_feature_is_announced(group):
    query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    reply = ok(ask(group.admin, "get", query, f"conference.{group.domain}"))
    assert "urn:quobis:sippo:muc-admin-batch:0" in {f.get("var") for f in reply.iterfind(".//{*}feature")}


def test_all_items_are_applied(group):
    g = group
    members = {f"m{n}@{g.domain}" for n in range(30)}
    ok(affiliate(g.admin, g.room, (f"owner@{g.domain}", "owner"), *((m, "member") for m in members)))
    assert affiliated(g.admin, g.room, "member") == members
    assert affiliated(g.admin, g.room, "owner") == {f"owner@{g.domain}"}
    gone = {f"m{n}@{g.domain}" for n in range(10)}
    ok(affiliate(g.admin, g.room, *((m, "none") for m in gone), (f"late@{g.domain}", "member")))
    assert affiliated(g.admin, g.room, "member") == members - gone | {f"late@{g.domain}"}


def test_jids_are_prepared(group):
    ok(affiliate(group.admin, group.room, (f"BOB@{group.domain.upper()}", "member"), (f"carol@{group.domain}", "member")))
    assert affiliated(group.admin, group.room, "member") == {f"bob@{group.domain}", f"carol@{group.domain}"}


def test_members_of_other_tenants_are_the_services_to_make(group):
    ok(affiliate(group.admin, group.room, ("guest@elsewhere.example", "member"), (f"bob@{group.domain}", "member")))
    assert affiliated(group.admin, group.room, "member") == {"guest@elsewhere.example", f"bob@{group.domain}"}


@pytest.mark.parametrize(
    "bad,named",
    [
        ("<item affiliation='member' jid='a b@x.example'/>", "a b@x.example"),
        ("<item affiliation='member' jid='bob@x.example/phone'/>", "bob@x.example/phone"),
        ("<item affiliation='member' jid='@'/>", "@"),
        ("<item affiliation='king' jid='bob@x.example'/>", "king"),
        ("<item affiliation='member'/>", "2"),
        ("<item jid='bob@x.example'/>", "2"),
        ("<item affiliation='member' role='none' jid='bob@x.example'/>", "2"),
        ("<item role='none' nick='bob'/>", "2"),
        ("<item affiliation='member' nick='bob' jid='bob@x.example'/>", "2"),
        ("<thing affiliation='member' jid='bob@x.example'/>", "2"),
        ("<item affiliation='owner' jid='sippo@sippo-admin.internal'/>", "sippo@sippo-admin.internal"),
    ],
)
def test_one_bad_item_and_nothing_is_applied(group, bad, named):
    g = group
    good = [f"<item affiliation='member' jid='m{n}@{g.domain}'/>" for n in range(2)]
    query = f"<query xmlns='{MUC_ADMIN}'>{good[0]}{bad}{good[1]}</query>"
    refused = ask(g.admin, "set", query, g.room)
    assert condition(refused) == "bad-request"
    assert named in refused.findtext(".//{urn:ietf:params:xml:ns:xmpp-stanzas}text")
    assert affiliated(g.admin, g.room, "member") == set()


def test_a_missing_room_is_item_not_found(group):
    reply = affiliate(group.admin, f"missing@conference.{group.domain}", ("a@x.example", "member"), ("b@x.example", "member"))
    assert condition(reply) == "item-not-found"


def test_who_loses_membership_leaves_the_room(server, group):
    g = group
    names = ("alice", "bob", "carol")
    ok(affiliate(g.admin, g.room, *((f"{n}@{g.domain}", "member") for n in names)))
    alice, bob, carol = (server.user(f"{n}@{g.domain}") for n in names)
    for client, name in ((alice, "alice"), (bob, "bob"), (carol, "carol")):
        assert join(client, g.room, name).get("type") is None
    ok(affiliate(g.admin, g.room, (f"alice@{g.domain}", "none"), (f"bob@{g.domain}", "none")))

    def departure(nick: str):
        return lambda e: e.get("type") == "unavailable" and e.get("from") == f"{g.room}/{nick}" and "321" in statuses(e)

    for client, nick in ((alice, "alice"), (bob, "bob"), (carol, "alice"), (carol, "bob")):
        item = client.wait(departure(nick), 10).find(f"{{{MUC_USER}}}x/{{{MUC_USER}}}item")
        assert (item.get("affiliation"), item.get("role")) == ("none", "none")
    assert condition(join(alice, g.room, "alice")) == "item-not-found"


def test_a_change_is_broadcast_and_no_change_is_not(server, group):
    g = group
    alice = server.user(f"alice@{g.domain}")
    ok(affiliate(g.admin, g.room, (f"alice@{g.domain}", "owner")))
    join(alice, g.room, "alice")

    def announces(jid: str):
        return lambda e: any(i.get("jid") == jid for i in e.iterfind(f"{{{MUC_USER}}}x/{{{MUC_USER}}}item"))

    changes = ((f"bob@{g.domain}", "member"), (f"carol@{g.domain}", "member"))
    ok(affiliate(g.admin, g.room, *changes))
    for jid, _ in changes:
        alice.wait(announces(jid), 10)
    ok(affiliate(g.admin, g.room, *changes))
    ok(affiliate(g.admin, g.room, changes[0]))
    assert_absent(alice, lambda e: any(announces(jid)(e) for jid, _ in changes))


def stored_affiliations(server, group) -> dict[str, str]:
    """What the store holds, read beside Prosody."""
    with server.database() as database:
        rows = database.execute(
            'SELECT "key", "value" FROM prosody WHERE "host" = ? AND "user" = \'group\' AND "store" = \'config\'',
            (f"conference.{group.domain}",),
        )
        return {key: value for key, value in rows if "@" in key and value in ("member", "owner", "admin", "outcast")}


def test_what_was_answered_is_stored(server, group):
    g = group
    ok(affiliate(g.admin, g.room, *((f"m{n}@{g.domain}", "member") for n in range(5))))
    assert stored_affiliations(server, g) == {f"m{n}@{g.domain}": "member" for n in range(5)}
    ok(affiliate(g.admin, g.room, (f"m0@{g.domain}", "none")))
    assert stored_affiliations(server, g) == {f"m{n}@{g.domain}": "member" for n in range(1, 5)}


@pytest.mark.provokes("database is locked|lock timeout", "Could not save group@")
def test_a_failed_write_is_an_error_and_is_made_good_by_the_repetition(server, group):
    """The repetition finds memory as it should be; it must write all the same."""
    g = group
    changes = ((f"bob@{g.domain}", "member"), (f"carol@{g.domain}", "member"))
    with server.locked_database():
        assert condition(affiliate(g.admin, g.room, *changes)) == "internal-server-error"
    assert stored_affiliations(server, g) == {}
    ok(affiliate(g.admin, g.room, *changes))
    assert stored_affiliations(server, g) == dict(changes)


def test_others_lists_are_refused_and_not_cut(server, group):
    g = group
    adhoc = f"adhoc-{uuid.uuid4().hex[:8]}@conference.{g.domain}"
    with server.user(f"alice@{g.domain}") as alice:
        join(alice, adhoc, "alice")
        ok(configure(alice, adhoc, {}))
        changes = ((f"bob@{g.domain}", "member"), (f"carol@{g.domain}", "member"))
        assert condition(affiliate(alice, adhoc, *changes)) == "feature-not-implemented"
        assert affiliated(alice, adhoc, "member") == set()
        ok(affiliate(alice, adhoc, changes[0]))
        assert affiliated(alice, adhoc, "member") == {f"bob@{g.domain}"}
        assert condition(affiliate(alice, g.room, *changes)) == "item-not-found"


def test_single_role_changes_are_stock(server, group):
    g = group
    ok(affiliate(g.admin, g.room, (f"alice@{g.domain}", "member"), (f"olivia@{g.domain}", "owner")))
    with server.user(f"alice@{g.domain}") as alice, server.user(f"olivia@{g.domain}") as olivia:
        join(alice, g.room, "alice")
        join(olivia, g.room, "olivia")
        ok(ask(olivia, "set", f"<query xmlns='{MUC_ADMIN}'><item nick='alice' role='visitor'/></query>", g.room))
        alice.send(f"<message xmlns='{CLIENT}' id='mute' type='groupchat' to='{g.room}'><body>x</body></message>")
        assert condition(alice.wait(lambda e: e.get("id") == "mute" and e.get("type") == "error", 10)) == "forbidden"


def test_a_thousand_members_in_one_request_arrive_whole(group):
    g = group
    members = {f"member-number-{n}@{g.domain}" for n in range(1000)}
    started = time.monotonic()
    ok(affiliate(g.admin, g.room, *((m, "member") for m in sorted(members))))
    print(f"1,000 members in one request: {(time.monotonic() - started) * 1000:.0f} ms")
    assert affiliated(g.admin, g.room, "member") == members
