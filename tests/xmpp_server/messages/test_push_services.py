"""mod_sippo_push_services: push notifications (XEP-0357) are announced only if a push service can be reached."""

from __future__ import annotations

import json
import shutil

import pytest

from stack import prosody
from support.stanzas import go_online, settle
from support.wait import until
from support.xmpp import E, error_condition

DISCO = "http://jabber.org/protocol/disco#info"
PUSH = "urn:xmpp:push:0"
SERVICE = "push.example"
BAD_ADDRESSES = ["", "@@@", "foo@", "/r", "a b@c", "@host"]

SERVICE_MODULE = """
module:hook("iq-set/host/http://jabber.org/protocol/pubsub:pubsub", function (event)
	module:log("info", "pushed: %s", event.stanza:find("{http://jabber.org/protocol/pubsub}pubsub/publish@node"));
	event.origin.send(require "util.stanza".reply(event.stanza));
	return true;
end);
"""


@pytest.fixture
def with_service(new_server, tmp_path, monkeypatch):
    """A server whose operator has added a push service, as a component of it."""
    shutil.copytree(prosody.CONFIG.parent, tmp_path / "xmpp-server")
    (tmp_path / "xmpp-server" / "modules" / "mod_push_service.lua").write_text(SERVICE_MODULE)
    config = tmp_path / "xmpp-server" / prosody.CONFIG.name
    config.write_text(config.read_text() + f'\nComponent "{SERVICE}" "push_service"\n')
    monkeypatch.setattr(prosody, "CONFIG", config)
    return new_server().start()


def announced(client) -> bool:
    reply = client.iq("get", E("query", DISCO), to=client.bare_jid)
    return PUSH in {e.get("var") for e in reply.iter(f"{{{DISCO}}}feature")}


def enable(client, address: str) -> str | None:
    """What refuses it; None when it is enabled."""
    return error_condition(client.iq("set", E("enable", PUSH, jid=address, node="device"), check=False))


def test_without_a_service_nothing_is_announced_nor_enabled(server, domain, other_domain):
    with server.user(f"alice@{domain}", "phone") as alice:
        assert not announced(alice)
        for address in ("push.vendor.example", f"push.{domain}", domain, other_domain, f"conference.{domain}",
                        f"bob@{domain}", f"bob@{domain}/phone"):
            assert enable(alice, address) == "item-not-found", address


def test_with_a_service_it_is_announced_and_told(with_service):
    server = with_service
    domain = server.create_host("home.example")
    with server.user(f"bob@{domain}") as bob:
        assert announced(bob)
        assert enable(bob, "push.vendor.example") == "item-not-found"
        assert enable(bob, f"conference.{domain}") == "item-not-found"
        assert enable(bob, SERVICE) is None
    with server.user(f"alice@{domain}") as alice:
        alice.message(f"bob@{domain}", "wake up")
        settle(alice)
    until(lambda: "pushed: device" in server.log_text(), "the notification", 10)
    assert f"Dropped iq from {SERVICE}" not in server.log_text()


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_push_is_not_registered_for_what_is_no_address(server, domain, address):
    with server.user(f"alice@{domain}") as alice:
        reply = alice.iq("set", E("enable", PUSH, jid=address, node="device"), check=False)
        assert error_condition(reply) == "jid-malformed"


def test_a_bad_push_address_in_the_store_keeps_no_message_away(server, domain):
    jid = f"bob@{domain}"
    with server.database() as db:
        for n, address in enumerate(BAD_ADDRESSES):
            db.execute("INSERT INTO prosody (host, \"user\", store, key, type, value) VALUES (?, 'bob', 'cloud_notify', ?, 'json', ?)",
                       (domain, f"{address}<{n}", json.dumps({"jid": address, "node": str(n)})))
    with server.user(f"alice@{domain}") as alice:
        alice.message(jid, "all the same")
        alice.sync()
        assert alice.messages() == []
    with server.user(jid) as bob:
        go_online(bob)
        bob.wait_message("all the same")
