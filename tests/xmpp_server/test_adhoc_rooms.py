"""Rooms of users: what makes none (mod_sippo_rooms)."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest

from support.stanzas import CLIENT, MUC_OWNER, answer, ask, condition, new_id


@pytest.fixture
def tenant(server, domain):
    with server.user(f"alice@{domain}") as alice, server.admin() as admin:
        yield SimpleNamespace(muc=f"conference.{domain}", alice=alice, admin=admin)


def fresh_adhoc(t) -> str:
    return f"adhoc-{uuid.uuid4().hex[:8]}@{t.muc}"


def exists(admin, room: str) -> bool:
    reply = ask(admin, "get", f"<query xmlns='{MUC_OWNER}'/>", room)
    return reply.get("type") == "result" or condition(reply) != "item-not-found"


@pytest.mark.parametrize("nick", ["", "/ ", "/\u00a0", "/\u0221"])
def test_a_bad_nickname_makes_no_room(tenant, nick):
    room = fresh_adhoc(tenant)
    ident = new_id()
    tenant.alice.send(
        f"<presence xmlns='{CLIENT}' id='{ident}' to='{room}{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    )
    assert condition(answer(tenant.alice, ident)) == "jid-malformed"
    assert not exists(tenant.admin, room)
