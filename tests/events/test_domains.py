"""Domains come and go with broker events (docs/ARCHITECTURE.md#the-path-of-an-event)."""

from __future__ import annotations

import uuid

import pytest

from support.platform import Platform
from support.rooms import Room
from support.stanzas import ask
from support.wait import until
from support.xmpp import AuthFailed, Client, StreamError, XmppError


@pytest.fixture
def domain() -> str:
    """A domain that does not exist yet."""
    return f"n{uuid.uuid4().hex[:8]}.test"


def create(platform: Platform, domain: str, **options: bool) -> None:
    platform.publish("domain.created", {"domain": domain}, **options)
    until(lambda: domain in platform.hosts(), f"virtual host {domain}")


@pytest.mark.parametrize("bare", [False, True], ids=["cloudevent", "bare"])
def test_a_new_domain_is_usable_at_once(platform: Platform, admin: Client, domain: str, bare: bool):
    create(platform, domain, bare=bare)
    alice, bob = (platform.online(f"{name}@{domain}") for name in ("alice", "bob"))
    alice.message(bob.bare_jid, "hello")
    bob.wait_message("hello")
    room = Room(platform, "first", "usersGroup", domain)
    room.create("alice", ["bob"])
    room.wait_affiliated(admin, "member", ["bob"])
    room.wait_invitation(bob)


def test_a_domain_survives_a_restart_of_the_xmpp_server(platform: Platform, domain: str):
    create(platform, domain)
    room = Room(platform, "kept", "usersGroup", domain)
    room.create("alice", ["bob"])
    with platform.admin() as before:
        room.wait_affiliated(before, "member", ["bob"])
    platform.kill("prosody")
    assert domain in platform.hosts()
    platform.online(f"alice@{domain}")
    with platform.admin() as after:
        assert room.affiliated(after, "member") == {f"bob@{domain}"}
        room.publish(room.joined, room.of(["carol"]))
        room.wait_affiliated(after, "member", ["bob", "carol"])


def test_a_deleted_domain_is_gone_with_its_sessions_and_data(platform: Platform, admin: Client, domain: str):
    create(platform, domain)
    room = Room(platform, "going", "usersGroup", domain)
    room.create("alice", ["bob"])
    room.wait_affiliated(admin, "member", ["bob"])
    alice = platform.online(f"alice@{domain}")
    platform.publish("domain.deleted", {"domain": domain})
    until(lambda: domain not in platform.hosts(), f"the end of {domain}")
    assert isinstance(alice.wait_closed(30), XmppError)
    with pytest.raises((AuthFailed, StreamError, XmppError)):
        platform.user(f"alice@{domain}")
    create(platform, domain)
    reply = ask(platform.admin(), "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", room.jid)
    assert reply.get("type") == "error", "its rooms did not come back with it"


def test_a_room_of_a_domain_that_comes_later_comes_too(platform: Platform, admin: Client, domain: str):
    room = Room(platform, "early", "usersGroup", domain)
    room.create("alice", ["bob"])
    create(platform, domain)
    room.wait_affiliated(admin, "member", ["bob"])


def test_events_older_than_the_deletion_do_nothing(platform: Platform, admin: Client, domain: str):
    old, older_deletion, deletion, creation = (platform.version() for _ in range(4))
    platform.deliver("domain.deleted", {"domain": domain}, deletion)
    platform.deliver("domain.created", {"domain": domain}, creation)
    assert domain in platform.hosts()
    room = Room(platform, "stale", "usersGroup", domain)
    platform.deliver(room.created, room.payload(owner="alice", participants=["bob"]), old)
    assert not room.exists(admin)
    platform.deliver("domain.deleted", {"domain": domain}, older_deletion)
    assert domain in platform.hosts(), "a deletion from before the creation came late"


def test_invitations_of_the_next_life_outlast_a_late_deletion(platform: Platform, admin: Client, domain: str):
    create(platform, domain)
    deletion, creation, group = (platform.version() for _ in range(3))
    room = Room(platform, "next", "usersGroup", domain)
    platform.deliver("domain.created", {"domain": domain}, creation)
    platform.deliver(room.created, room.payload(owner="alice", participants=["bob"]), group)
    room.wait_affiliated(admin, "member", ["bob"])
    for _ in range(2):
        platform.deliver("domain.deleted", {"domain": domain}, deletion)
        assert room.affiliated(admin, "member") == {f"bob@{domain}"}
    room.wait_invitation(platform.online(f"bob@{domain}"))


def test_tenants_are_apart(platform: Platform, admin: Client, tenant: str):
    other = f"n{uuid.uuid4().hex[:8]}.test"
    create(platform, other)
    room, twin = Room(platform, "same-id", "usersGroup", tenant), Room(platform, "same-id", "usersGroup", other)
    room.create("alice", ["bob"])
    twin.create("alice", ["carol"])
    room.wait_affiliated(admin, "member", ["bob"])
    twin.wait_affiliated(admin, "member", ["carol"])
    room.publish(room.deleted, room.payload())
    room.wait_gone(admin)
    assert twin.exists(admin)
    platform.publish("domain.deleted", {"domain": other})
    until(lambda: other not in platform.hosts(), f"the end of {other}")
    assert tenant in platform.hosts()
