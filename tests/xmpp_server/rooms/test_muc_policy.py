"""mod_sippo_muc_policy: who makes a room and who decides about it (xmpp-server/README.md)."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest

from support.stanzas import (
    LIFE,
    MUC_ADMIN,
    MUC_OWNER,
    MUC_USER,
    CLIENT,
    affiliate,
    affiliated,
    answer,
    archived_bodies,
    ask,
    assert_absent,
    condition,
    configuration,
    configure,
    create_room,
    go_online,
    has_body,
    join,
    leave,
    mentions,
    new_id,
    ok,
    room_features,
    send_message,
    settle,
    statuses,
)

SERVICE_FEATURES = {"muc_persistent", "muc_membersonly", "muc_hidden", "urn:xmpp:mam:2"}


@pytest.fixture
def tenant(server, two_tenants):
    """The admin, three users of one tenant and one of another; a service room that Olivia owns and Alice belongs to."""
    home, away = two_tenants
    clients = {name: server.user(f"{name}@{home}") for name in ("olivia", "alice", "bob")}
    clients["mallory"] = server.user(f"mallory@{away}")
    clients["admin"] = server.admin()
    muc = f"conference.{home}"
    room = f"group-{uuid.uuid4().hex[:8]}@{muc}"
    create_room(clients["admin"], room)
    ok(affiliate(clients["admin"], room, (f"olivia@{home}", "owner"), (f"alice@{home}", "member")))
    yield SimpleNamespace(home=home, away=away, muc=muc, room=room, **clients)
    for client in clients.values():
        client.close()


def fresh_adhoc(t) -> str:
    return f"adhoc-{uuid.uuid4().hex[:8]}@{t.muc}"


def make_adhoc(owner, t) -> str:
    """A room of a user's own, unlocked with its defaults."""
    room = fresh_adhoc(t)
    assert "201" in statuses(join(owner, room, "owner"))
    ok(configure(owner, room, {}))
    return room


def exists(admin, room: str) -> bool:
    reply = ask(admin, "get", f"<query xmlns='{MUC_OWNER}'/>", room)
    if reply.get("type") == "result":
        return True
    assert condition(reply) == "item-not-found"
    return False


# Creation -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["group-1", "adhocish", "adhoc", "adhoc_x", "x-adhoc-", "1adhoc-x", "ad-hoc-x"])
def test_users_cannot_make_a_room_under_the_services_names(tenant, name):
    room = f"{name}@{tenant.muc}"
    refused = join(tenant.alice, room, "alice")
    assert condition(refused) == "item-not-found"
    assert not exists(tenant.admin, room)


def test_users_make_adhoc_rooms_on_their_own_domain_only(tenant):
    t = tenant
    assert "201" in statuses(join(t.alice, fresh_adhoc(t), "alice"))
    foreign = fresh_adhoc(t)
    assert condition(join(t.mallory, foreign, "mallory")) == "forbidden"
    assert not exists(t.admin, foreign)


def test_an_adhoc_name_in_capitals_is_the_same_name(tenant):
    tail = uuid.uuid4().hex[:8]
    room = f"adhoc-{tail}@{tenant.muc}"
    ident = new_id()
    tenant.alice.send(
        f"<presence xmlns='{CLIENT}' id='{ident}' to='ADHOC-{tail.upper()}@{tenant.muc}/a'>"
        "<x xmlns='http://jabber.org/protocol/muc'/></presence>"
    )
    tenant.alice.wait(lambda e: e.get("from") == f"{room}/a" and "201" in statuses(e), 10)


def test_the_component_itself_is_no_room(tenant):
    ident = new_id()
    tenant.alice.send(
        f"<presence xmlns='{CLIENT}' id='{ident}' to='{tenant.muc}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    )
    assert condition(answer(tenant.alice, ident)) == "not-allowed"


def test_nobody_squats_on_a_group(tenant):
    """A user who comes before the group's event finds nothing and leaves nothing."""
    room = f"early-{uuid.uuid4().hex[:6]}@{tenant.muc}"
    assert condition(join(tenant.bob, room, "bob")) == "item-not-found"
    create_room(tenant.admin, room)
    assert affiliated(tenant.admin, room, "owner") == set()
    assert condition(join(tenant.bob, room, "bob")) == "item-not-found"


# Rooms of the service ---------------------------------------------------------------------


def test_a_service_room_is_closed_from_its_first_moment(tenant):
    """Also when the service's configuration never arrives."""
    room = f"half-{uuid.uuid4().hex[:8]}@{tenant.muc}"
    join(tenant.admin, room, "service")
    leave(tenant.admin, room, "service")
    settle(tenant.admin)
    assert SERVICE_FEATURES <= room_features(tenant.admin, room)


def test_the_service_is_not_in_the_list_of_owners(tenant):
    assert affiliated(tenant.olivia, tenant.room, "owner") == {f"olivia@{tenant.home}"}


def test_an_owner_renames_her_room_but_cannot_open_it(tenant):
    t = tenant
    assert configuration(t.olivia, t.room).keys() == {
        "FORM_TYPE", "muc#roomconfig_roomname", "muc#roomconfig_roomdesc", "muc#roomconfig_lang",
    }
    wishes = {
        "muc#roomconfig_roomname": "Renamed",
        "muc#roomconfig_roomdesc": "Described",
        "muc#roomconfig_persistentroom": "0",
        "muc#roomconfig_membersonly": "0",
        "muc#roomconfig_publicroom": "1",
        "muc#roomconfig_enablearchiving": "0",
        "muc#roomconfig_moderatedroom": "1",
        "muc#roomconfig_passwordprotectedroom": "1",
        "muc#roomconfig_roomsecret": "locked out",
        "muc#roomconfig_historylength": "0",
        "{http://prosody.im/protocol/muc}roomconfig_allowmemberinvites": "1",
        LIFE: "9",
    }
    before = configuration(t.admin, t.room)
    ok(configure(t.olivia, t.room, wishes))
    after = configuration(t.admin, t.room)
    assert (after["muc#roomconfig_roomname"], after["muc#roomconfig_roomdesc"]) == ("Renamed", "Described")
    renamed = {"muc#roomconfig_roomname", "muc#roomconfig_roomdesc"}
    assert {k: v for k, v in after.items() if k not in renamed} == {k: v for k, v in before.items() if k not in renamed}
    assert SERVICE_FEATURES <= room_features(t.alice, t.room)
    # The empty form means "defaults" (XEP-0045, 10.1.2); these are the service's.
    ok(ask(t.olivia, "set", f"<query xmlns='{MUC_OWNER}'><x xmlns='jabber:x:data' type='submit'/></query>", t.room))
    assert SERVICE_FEATURES <= room_features(t.alice, t.room)


@pytest.mark.parametrize("who", ["olivia", "alice", "bob"])
def test_no_client_destroys_a_service_room(tenant, who):
    t = tenant
    reply = ask(getattr(t, who), "set", f"<query xmlns='{MUC_OWNER}'><destroy/></query>", t.room)
    assert condition(reply) == {"olivia": "not-allowed", "alice": "forbidden", "bob": "item-not-found"}[who]
    assert exists(t.admin, t.room)


@pytest.mark.parametrize(
    "jid,affiliation",
    [("bob", "member"), ("bob", "owner"), ("alice", "none"), ("alice", "outcast"), ("olivia", "none"), ("olivia", "admin")],
)
@pytest.mark.parametrize("who", ["olivia", "alice"])
def test_clients_do_not_change_membership_of_a_service_room(tenant, who, jid, affiliation):
    t = tenant
    assert condition(affiliate(getattr(t, who), t.room, (f"{jid}@{t.home}", affiliation))) == "not-allowed"
    assert affiliated(t.admin, t.room, "member") == {f"alice@{t.home}"}
    assert affiliated(t.admin, t.room, "owner") == {f"olivia@{t.home}"}


def test_reserving_a_nickname_for_another_kicks_nobody(tenant):
    """mod_muc kicks the occupant before it looks whether the sender may reserve anything."""
    t = tenant
    adhoc = make_adhoc(t.alice, t)
    for room, victim in ((t.room, t.alice), (adhoc, t.olivia)):
        assert join(victim, room, "victim").get("type") is None
        item = f"<item affiliation='member' jid='bob@{t.home}' nick='victim'/>"
        reply = ask(t.bob, "set", f"<query xmlns='{MUC_ADMIN}'>{item}</query>", room)
        assert condition(reply) in ("item-not-found", "forbidden")
        assert_absent(victim, lambda e: e.get("type") == "unavailable" and "110" in statuses(e))


def test_a_mediated_invitation_makes_no_member_of_a_service_room(tenant):
    t = tenant
    go_online(t.bob)
    for inviter in (t.olivia, t.alice):
        ident = new_id()
        inviter.send(
            f"<message xmlns='{CLIENT}' id='{ident}' to='{t.room}'><x xmlns='{MUC_USER}'><invite to='bob@{t.home}/x'/></x></message>"
        )
        assert condition(answer(inviter, ident)) == "not-allowed"
    assert_absent(t.bob, mentions("invite"))
    assert affiliated(t.admin, t.room, "member") == {f"alice@{t.home}"}
    # One who belongs already may be asked to come.
    go_online(t.alice)
    t.olivia.send(
        f"<message xmlns='{CLIENT}' to='{t.room}'><x xmlns='{MUC_USER}'><invite to='alice@{t.home}'/></x></message>"
    )
    t.alice.wait(mentions("invite"), 10)


def test_a_member_cannot_unregister_from_a_service_room(tenant):
    t = tenant
    reply = ask(t.alice, "set", "<query xmlns='jabber:iq:register'><remove/></query>", t.room)
    assert condition(reply) == "not-allowed"
    assert affiliated(t.admin, t.room, "member") == {f"alice@{t.home}"}


def test_an_owner_keeps_order_in_a_service_room(tenant):
    """A kick ends a visit, not a membership: it is the owner's."""
    t = tenant
    join(t.olivia, t.room, "olivia")
    join(t.alice, t.room, "alice")
    kick = f"<query xmlns='{MUC_ADMIN}'><item nick='alice' role='none'/></query>"
    assert condition(ask(t.alice, "set", kick.replace("'alice'", "'olivia'"), t.room)) == "not-allowed"
    ok(ask(t.olivia, "set", kick, t.room))
    t.alice.wait(lambda e: e.get("type") == "unavailable" and "307" in statuses(e), 10)
    assert join(t.alice, t.room, "alice").get("type") is None


def test_hidden_rooms_are_not_listed(tenant):
    reply = ok(ask(tenant.bob, "get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", tenant.muc))
    assert tenant.room not in {i.get("jid") for i in reply.iterfind(".//{*}item")}


def listed(client, muc: str) -> set[str]:
    reply = ok(ask(client, "get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", muc))
    return {i.get("jid") for i in reply.iterfind(".//{*}item")}


def test_the_list_of_rooms_costs_no_look_into_the_store(new_server):
    server = new_server().start()
    home = server.create_host("list.example")
    muc = f"conference.{home}"
    public, hidden = f"adhoc-public@{muc}", f"adhoc-hidden@{muc}"
    with server.user(f"alice@{home}") as alice:
        for room in (public, hidden):
            join(alice, room, "alice")
            fields = {"muc#roomconfig_persistentroom": "1", "muc#roomconfig_publicroom": str(int(room == public))}
            ok(configure(alice, room, fields))
        assert listed(alice, muc) == {public}
    server.restart()
    with server.user(f"bob@{home}") as bob:
        assert listed(bob, muc) == set()
        assert "Restoring room" not in server.log_text()
        join(bob, public, "bob")
        assert listed(bob, muc) == {public}


def test_the_service_destroys_any_room(tenant):
    t = tenant
    adhoc = make_adhoc(t.alice, t)
    for room in (t.room, adhoc):
        ok(ask(t.admin, "set", f"<query xmlns='{MUC_OWNER}'><destroy/></query>", room))
        assert not exists(t.admin, room)


# Rooms of the users --------------------------------------------------------------------------


def test_an_adhoc_room_is_its_owners(tenant):
    t = tenant
    room = make_adhoc(t.alice, t)
    ok(configure(t.alice, room, {"muc#roomconfig_membersonly": "1", "muc#roomconfig_persistentroom": "1"}))
    assert {"muc_membersonly", "muc_persistent"} <= room_features(t.alice, room)
    assert condition(join(t.bob, room, "bob")) == "registration-required"
    ok(affiliate(t.alice, room, (f"bob@{t.home}", "member")))
    assert join(t.bob, room, "bob").get("type") is None
    ok(ask(t.alice, "set", f"<query xmlns='{MUC_OWNER}'><destroy/></query>", room))
    assert not exists(t.admin, room)


@pytest.mark.parametrize("affiliation", ["member", "admin", "owner"])
@pytest.mark.parametrize("target", ["{user}", "{USER}", "{domain}"])
def test_clients_grant_nothing_across_tenants(tenant, affiliation, target):
    t = tenant
    room = make_adhoc(t.alice, t)
    jid = target.format(user=f"mallory@{t.away}", USER=f"Mallory@{t.away.upper()}", domain=t.away)
    assert condition(affiliate(t.alice, room, (jid, affiliation))) == "not-allowed"
    assert affiliated(t.alice, room, affiliation) <= {f"alice@{t.home}"}
    assert condition(join(t.mallory, room, "mallory")) == "forbidden"


def test_clients_may_ban_a_foreigner(tenant):
    t = tenant
    room = make_adhoc(t.alice, t)
    ok(affiliate(t.alice, room, (f"mallory@{t.away}", "outcast")))
    assert condition(join(t.mallory, room, "mallory")) == "forbidden"
    ok(affiliate(t.alice, room, (f"mallory@{t.away}", "none")))


# The life of a room ----------------------------------------------------------------------------


def say(client, room: str, text: str) -> None:
    send_message(client, room, text, "groupchat")
    client.wait(has_body(text), 10)


def test_another_life_empties_the_archive(server, tenant):
    t = tenant
    ok(configure(t.admin, t.room, {LIFE: "1.1"}))
    join(t.olivia, t.room, "olivia")
    join(t.alice, t.room, "alice")
    say(t.alice, t.room, "said in the first life")
    t.olivia.send(f"<message xmlns='{CLIENT}' type='groupchat' to='{t.room}'><subject>old topic</subject></message>")
    t.alice.wait(mentions("old topic"), 10)
    leave(t.olivia, t.room, "olivia")
    t.olivia.wait(lambda e: e.get("type") == "unavailable" and "110" in statuses(e), 10)
    t.olivia.messages()
    assert archived_bodies(t.alice, t.room) == ["said in the first life"]
    ok(configure(t.admin, t.room, {LIFE: "1.1", "muc#roomconfig_roomname": "same life"}))
    ok(configure(t.admin, t.room, {"muc#roomconfig_roomname": "no life given"}))
    assert archived_bodies(t.alice, t.room) == ["said in the first life"]
    assert configuration(t.admin, t.room)[LIFE] == "1.1"

    ok(configure(t.admin, t.room, {LIFE: "2.7"}))
    assert archived_bodies(t.alice, t.room) == []
    assert configuration(t.admin, t.room)[LIFE] == "2.7"
    # Nor does one who enters get it as history or topic.
    t.olivia.send(
        f"<presence xmlns='{CLIENT}' to='{t.room}/olivia'><x xmlns='http://jabber.org/protocol/muc'>"
        "<history maxstanzas='1'/></x></presence>"
    )  # one stanza: mod_muc then has enough in memory and does not ask the archive
    t.olivia.wait(lambda e: e.get("type") is None and "110" in statuses(e), 10)
    assert_absent(t.olivia, mentions("said in the first life"))
    assert_absent(t.olivia, mentions("old topic"))
    say(t.alice, t.room, "said in the second life")
    assert archived_bodies(t.alice, t.room) == ["said in the second life"]


def test_a_room_remade_after_its_destruction_is_empty(tenant):
    t = tenant
    join(t.alice, t.room, "alice")
    say(t.alice, t.room, "gone with the room")
    ok(ask(t.admin, "set", f"<query xmlns='{MUC_OWNER}'><destroy/></query>", t.room))
    create_room(t.admin, t.room, life="2.1")
    ok(affiliate(t.admin, t.room, (f"alice@{t.home}", "member")))
    assert archived_bodies(t.alice, t.room) == []
    assert configuration(t.admin, t.room)[LIFE] == "2.1"


def test_owners_neither_see_nor_set_the_life(tenant):
    t = tenant
    ok(configure(t.admin, t.room, {LIFE: "3"}))
    assert LIFE not in configuration(t.olivia, t.room)
    adhoc = make_adhoc(t.alice, t)
    assert LIFE not in configuration(t.alice, adhoc)
    for owner, room in ((t.olivia, t.room), (t.alice, adhoc)):
        ok(configure(owner, room, {LIFE: "4"}))
    assert configuration(t.admin, t.room)[LIFE] == "3"
    assert configuration(t.admin, adhoc)[LIFE] == ""
