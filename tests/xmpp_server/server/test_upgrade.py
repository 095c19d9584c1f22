"""From Prosody 0.12 to 13.0: the same data, which nothing has to convert."""

from __future__ import annotations

import pytest

from stack import prosody_program
from support.stanzas import (
    affiliate, affiliated, archived_bodies, configure, create_room, go_online, has_body, join, ok, room_features, send_message,
)
from support.xmpp import E

ROSTER = "jabber:iq:roster"

pytestmark = pytest.mark.skipif(not prosody_program.can_be_had("0.12"), reason="this Debian has no 0.12 to come from")


def test_what_a_tenant_has_is_there_after_an_upgrade(new_server, unique_domain):
    server = new_server(series="0.12").start()
    domain = server.create_host(unique_domain())
    alice, bob, carol = (f"{name}@{domain}" for name in ("alice", "bob", "carol"))
    adhoc, group = f"adhoc-room@conference.{domain}", f"group@conference.{domain}"
    with server.user(alice) as user, server.admin() as admin:
        user.iq("set", E("query", ROSTER, E("item", ROSTER, E("group", ROSTER, "friends"), jid=bob, name="Bob")))
        join(user, adhoc, "alice")
        ok(configure(user, adhoc, {"muc#roomconfig_persistentroom": "1"}))
        send_message(user, adhoc, "in the room's archive", "groupchat")
        user.wait(has_body("in the room's archive"))
        send_message(user, bob, "for the offline store")
        create_room(admin, group)
        ok(affiliate(admin, group, (carol, "member")))
        features = room_features(admin, group)

    server.restart(series="13.0")
    assert server.series == "13.0"
    assert server.hosts() == [domain]
    with server.user(alice) as user, server.user(bob) as friend, server.admin() as admin:
        [item] = user.iq("get", E("query", ROSTER)).iter(f"{{{ROSTER}}}item")
        assert (item.get("jid"), item.get("name")) == (bob, "Bob")
        go_online(friend)
        friend.wait(has_body("for the offline store"))
        join(user, adhoc, "alice")
        assert archived_bodies(user, adhoc) == ["in the room's archive"]
        assert room_features(admin, group) == features
        assert affiliated(admin, group, "member") == {carol}
    server.delete_host(domain)
    assert server.hosts() == []
