"""mod_sippo_push_addresses: who asks for push notifications (XEP-0357) names an address that can be one."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from support.xmpp import E, error_condition

PUSH = "urn:xmpp:push:0"
BAD_ADDRESSES = ["", "@@@", "foo@", "/r", "a b@c", "@host"]


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_push_is_not_registered_for_what_is_no_address(server, domain, address):
    with server.user(f"alice@{domain}") as alice:
        reply = alice.iq("set", E("enable", PUSH, jid=address, node="device"), check=False)
        assert error_condition(reply) == "jid-malformed"


def test_a_bad_push_address_in_the_store_keeps_no_message_away(server, domain):
    jid = f"bob@{domain}"
    with closing(sqlite3.connect(server.data / "prosody.sqlite", timeout=10)) as db, db:
        for n, address in enumerate(BAD_ADDRESSES):
            db.execute("INSERT INTO prosody (host, user, store, key, type, value) VALUES (?, 'bob', 'cloud_notify', ?, 'json', ?)",
                       (domain, f"{address}<{n}", json.dumps({"jid": address, "node": str(n)})))
    with server.user(f"alice@{domain}") as alice:
        alice.message(jid, "all the same")
        alice.sync()
        assert alice.messages() == []
    with server.user(jid) as bob:
        bob.presence()
        bob.wait_message("all the same")
