"""Several XMPP servers: each tenant is on one of them, all of it, and one that does not answer is its own tenants' trouble alone."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from typing import Any

import httpx
import pytest

from cells.conftest import Tenant, create_tenant, hosts_of
from stack import aws, ledger_view
from stack.paths import ROOT
from stack.stack_env import port_of, settings
from support.metrics import total
from support.platform import Platform
from support.wait import until
from support.xmpp import Client, XmppError

AWAY = "Cell does not answer; what is asked of it is refused at once for a while"
BACK = "Cell answers again"


def test_tenants_are_spread_evenly(platform: Platform, tenants: dict[str, Tenant]):
    for _ in range(4):
        create_tenant(platform)
    counts = [len(hosts_of(platform, cell)) for cell in platform.stack.prosodies]
    assert max(counts) - min(counts) <= 1, counts
    everywhere = [domain for cell in platform.stack.prosodies for domain in hosts_of(platform, cell)]
    assert len(everywhere) == len(set(everywhere)), "on one each"


def test_a_user_is_sent_to_their_tenants_cell_and_has_all_of_it_there(platform: Platform, tenants: dict[str, Tenant]):
    alices, bobs = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("alice", "bob"))
    for tenant in tenants.values():
        told = tenant.call("GET", "login", alices).json()
        assert told["xmppUrl"] == tenant.server.ws_url
        room = tenant.create_group([alices, bobs])
        until(lambda tenant=tenant, room=room: len(tenant.members(room)) == 2, f"the members of {room}")
        alice, bob = tenant.online(alices), tenant.online(bobs)
        for one in (alice, bob):
            one.join_room(room)
        alice.message(room, "to all", type="groupchat")
        bob.wait_message("to all")
        assert tenant.call("PUT", f"individualChatList/{bobs}@{tenant.domain}", alices).status_code == 204
        assert [one["jid"] for one in tenant.call("GET", "individualChatList", alices).json()] == [f"{bobs}@{tenant.domain}"]
        assert [one["jid"] for one in tenant.call("GET", "rooms", alices).json()] == [room]


def test_another_cell_does_not_know_them(platform: Platform, tenants: dict[str, Tenant]):
    one, other = tenants.values()
    told = one.call("GET", "login", "alice").json()
    with pytest.raises(XmppError):
        Client(other.server.ws_url, told["jid"], told["token"], timeout=10).connect()


def test_a_domain_that_no_event_announced_is_not_served(platform: Platform, tenants: dict[str, Tenant]):
    nowhere = Tenant(platform, f"n{uuid.uuid4().hex[:8]}.test", "prosody")
    for path in ("login", "individualChatList", "rooms"):
        answer = nowhere.call("GET", path, "alice")
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:sippo-xmpp:problem:domain-not-served"), path


def test_a_tenant_that_was_deleted_comes_back_where_it_was(platform: Platform, tenants: dict[str, Tenant]):
    tenant = create_tenant(platform)
    platform.publish("domain.deleted", {"domain": tenant.domain})
    until(lambda: tenant.domain not in hosts_of(platform, tenant.cell), "the end of the tenant")
    platform.publish("domain.created", {"domain": tenant.domain})
    until(lambda: tenant.domain in hosts_of(platform, tenant.cell), "the tenant")


@pytest.mark.parametrize("trouble", [signal.SIGSTOP, signal.SIGKILL])
def test_a_cell_that_does_not_answer_holds_up_its_own_tenants_alone(platform: Platform, tenants: dict[str, Tenant], trouble: int):
    sound, sick = tenants["prosody"], tenants["prosody-2"]
    mark = platform.mark()
    os.kill(platform.supervisor.pid(sick.cell), trouble)
    try:
        rooms = [sick.create_group(["alice"]) for _ in range(5)]
        others = [sound.create_group(["alice"]) for _ in range(20)]
        for room in others:
            until(lambda room=room: sound.members(room), f"the member of {room}")
        assert sound.call("GET", "individualChatList", "alice").status_code == 200
        if trouble == signal.SIGSTOP:
            until(lambda: sick.call("GET", "individualChatList", "alice").status_code == 503
                  and any(line["message"] == AWAY and line["cell"] == sick.cell for line in platform.log(since=mark)), "the line that it is away")
            assert sick.call("GET", "login", "alice").status_code == 200, "which asks no cell"
    finally:
        if trouble == signal.SIGSTOP:
            os.kill(platform.supervisor.pid(sick.cell), signal.SIGCONT)
    for room in rooms:
        until(lambda room=room: sick.members(room), f"the member of {room}", 60)
    until(lambda: sick.call("GET", "individualChatList", "alice").status_code == 200, "an answer of the cell", 30)
    assert httpx.get(platform.stack.bridge.health_url, trust_env=False).status_code == 200
    if trouble == signal.SIGSTOP:
        lines = platform.metrics(since=mark)
        assert total(lines, "cell_failures", sick.cell) >= 1 and total(lines, "cell_away", sick.cell) >= 1
        assert total(lines, "cell_refusals", sick.cell) >= 1 and total(lines, "cell_requests", sound.cell) >= 20
        assert total(lines, "cell_away", sound.cell) == total(lines, "cell_refusals", sound.cell) == 0
        assert {line["cell"] for line in lines if "cell" in line} == set(platform.stack.prosodies), "never a tenant"


def test_a_guest_of_another_cell_has_the_room_as_its_own_members_do(platform: Platform, tenants: dict[str, Tenant]):
    one, other = tenants.values()
    bobs, guests = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("bob", "guest"))
    bob, guest = one.online(bobs), other.online(guests)
    room = one.create_group([bobs, {"username": guests, "domain": other.domain}])
    for client in (bob, guest):
        client.wait(lambda stanza: is_invitation(stanza, room), 60)
    assert [entry["jid"] for entry in other.call("GET", "rooms", guests).json()] == [room]
    for client in (bob, guest):
        client.join_room(room)
    guest.message(room, "from another cell", type="groupchat")
    bob.wait_message("from another cell")
    id = room.partition("@")[0]
    leaving = {"id": id, "domain": one.domain, "participants": [{"username": guests, "domain": other.domain}]}
    platform.publish("usersGroup.participants.left", leaving)
    guest.wait(lambda stanza: stanza.get("type") == "unavailable" and stanza.get("from", "").startswith(f"{room}/{guests}"), 60)
    until(lambda: other.call("GET", "rooms", guests).json() == [], "the end of the bookmark")


def is_invitation(stanza: Any, room: str) -> bool:
    """Whether it invites to the room."""
    x = stanza.find("{jabber:x:conference}x")
    return x is not None and x.get("jid") == room


def test_guests_whose_cell_is_away_hold_up_nobody_and_miss_nothing(platform: Platform, tenants: dict[str, Tenant]):
    one, sick = tenants["prosody"], tenants["prosody-2"]
    bobs, guests = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("bob", "guest"))
    bob = one.online(bobs)
    os.kill(platform.supervisor.pid(sick.cell), signal.SIGSTOP)
    try:
        rooms = [one.create_group([bobs, {"username": guests, "domain": sick.domain}]) for _ in range(3)]
        for room in rooms:
            bob.wait(lambda stanza, room=room: is_invitation(stanza, room), 60)
            bob.join_room(room)
    finally:
        os.kill(platform.supervisor.pid(sick.cell), signal.SIGCONT)
    until(lambda: sick.call("GET", "login", guests).status_code == 200, "the cell")
    guest = sick.online(guests)
    for room in rooms:
        guest.wait(lambda stanza, room=room: is_invitation(stanza, room), 90)
    until(lambda: {entry["jid"] for entry in sick.call("GET", "rooms", guests).json()} == set(rooms), "the bookmarks of all")


def resync(platform: Platform) -> None:
    """Walks the ledger once, and compares tenants with their places."""
    done = subprocess.run([str(ROOT / "scripts/invoke"), "resync", "--state", str(platform.paths.state)], capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_resync_tells_who_is_where_they_should_not_be_and_corrects_the_numbers(platform: Platform, tenants: dict[str, Tenant]):
    one, other = tenants.values()
    env, stray = settings(platform.paths.state, "test"), f"stray{uuid.uuid4().hex[:8]}.test"
    for cell, domain in ((other, one.domain), (one, stray)):
        httpx.post(cell.server.hosts_url, json={"domain": domain}, trust_env=False, timeout=30,
                   headers={"Authorization": f"Bearer {cell.server.admin_token}"}).raise_for_status()
    aws.call(port_of(env["AWS_ENDPOINT_URL"]), "dynamodb", "PutItem", TableName=env["LEDGER_TABLE"],
             Item={"pk": {"S": "cells"}, "sk": {"S": one.cell}, "tenants": {"N": "1000"}})
    mark = platform.mark()
    try:
        resync(platform)
        told = {line["domain"]: line for line in platform.log(since=mark) if line["message"].startswith("Tenant is served ")}
        assert told.keys() == {one.domain, stray}, told
        assert (told[one.domain]["cell"], told[one.domain]["place"]) == (other.cell, one.cell)
        assert told[stray]["cell"] == one.cell and "scripts/cells place" in told[stray]["message"]
        items = ledger_view.read(port_of(env["AWS_ENDPOINT_URL"]), env["LEDGER_TABLE"], "cells")
        assert {item["sk"]: int(item["tenants"]) for item in items} == {cell.cell: len(hosts_of(platform, cell.cell)) for cell in (one, other)}
    finally:
        for cell, domain in ((other, one.domain), (one, stray)):
            httpx.delete(f"{cell.server.hosts_url}/{domain}", trust_env=False, timeout=30,
                         headers={"Authorization": f"Bearer {cell.server.admin_token}"}).raise_for_status()
    mark = platform.mark()
    resync(platform)
    assert not [line for line in platform.log(since=mark) if line["message"].startswith("Tenant is served ")]


def test_resync_leaves_out_the_tenants_of_a_cell_that_is_away_and_repairs_the_others(platform: Platform, tenants: dict[str, Tenant]):
    sound, sick = tenants["prosody"], tenants["prosody-2"]
    room = sound.create_group(["alice"])
    until(lambda: sound.members(room), f"the member of {room}")
    for _ in range(4):
        create_tenant(platform)  # some of them on the one that will be away
    httpx.delete(f"{sound.server.hosts_url}/{sound.domain}", trust_env=False, timeout=30,
                 headers={"Authorization": f"Bearer {sound.server.admin_token}"}).raise_for_status()
    mark = platform.mark()
    os.kill(platform.supervisor.pid(sick.cell), signal.SIGSTOP)
    try:
        resync(platform)
        assert sound.members(room), "made anew"
        lines = [line for line in platform.log(since=mark) if line.get("cell") == sick.cell]
        assert [line["message"] for line in lines if line["message"].startswith("Cell does not say whom")] == [
            "Cell does not say whom it serves; once it does, invoke resync again"]
    finally:
        os.kill(platform.supervisor.pid(sick.cell), signal.SIGCONT)
    until(lambda: sick.call("GET", "individualChatList", "alice").status_code == 200, "an answer of the cell", 30)
