"""scripts/publish, redrive, status and invoke, as a developer uses them."""

from __future__ import annotations

import re
import subprocess
import uuid
from pathlib import Path

import httpx
import pytest

from stack import aws
from stack.event_types import ROUTING_KEYS
from stack.fake_aws import TABLE
from stack.paths import ROOT
from stack.stack import PARTNER
from support.login_tokens import mint
from support.platform import Platform
from support.rooms import DOMAIN, Room
from support.scripts import script
from support.stanzas import configure, join, ok
from support.wait import until
from support.xmpp import Client


@pytest.mark.parametrize("envelope", ["cloudevent", "bare"])
@pytest.mark.parametrize("function", ROUTING_KEYS)
def test_every_sample_is_handled(platform: Platform, function: str, envelope: str):
    # A user of the samples' is of this domain, and who cannot be invited yet is tried again and again.
    platform.stack.create_domain("partner.test")
    said = script(platform, "publish", f"events/{function}.{envelope}.json")
    assert said.startswith(f"{ROUTING_KEYS[function]}: 1 published")
    match = re.search(r"id (\S+)", said)
    assert match is not None
    platform.wait_received(match[1])
    assert not [one for one in platform.dead_letters(function) if match[1] in one.body]


def test_many_with_changes(platform: Platform, admin: Client):
    prefix = uuid.uuid4().hex[:8]
    script(platform, "publish", "events/conference-created.bare.json", "--count", "5", "--set", f"id={prefix}-{{n}}",
           "--set", "participants=[\"bob\"]")
    for number in range(1, 6):
        Room(platform, f"{prefix}-{number}", "conference").wait_affiliated(admin, "member", ["bob"])


def test_resync_brings_back_a_lost_room(platform: Platform, admin: Client, room: Room):
    from support.stanzas import ask
    room.create("alice", ["bob"])
    room.wait_affiliated(admin, "member", ["bob"])
    ask(admin, "set", "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>", room.jid)
    room.wait_gone(admin)
    script(platform, "invoke", "resync")
    room.wait_affiliated(admin, "member", ["bob"])
    assert room.jid.endswith(f"@conference.{DOMAIN}")


def test_resync_brings_back_all_tenants_of_a_server_that_has_lost_its_data(platform: Platform, room: Room):
    """The stack's own, too, whose users the samples are about."""
    room.create("alice", ["bob"])
    guests = f"t{uuid.uuid4().hex[:8]}.test"
    platform.wait_received(platform.publish("domain.created", {"domain": guests}))
    until(lambda: guests in platform.hosts(), "the tenant")
    platform.lose_xmpp_data()
    assert platform.hosts() == []
    script(platform, "invoke", "resync")
    assert {DOMAIN, PARTNER, guests} <= set(platform.hosts())
    with platform.admin() as admin:
        room.wait_affiliated(admin, "member", ["bob"])
    for domain in (DOMAIN, PARTNER):
        with platform.user(f"alice@{domain}"):
            pass


def test_resync_goes_on_with_a_walk_that_was_begun_and_begins_none(platform: Platform, room: Room):
    """As the second schedule of template.yaml invokes it."""
    room.create("alice", [])
    queue_port = platform.stack.ports.queue

    def go_on() -> dict[str, object]:
        url = f"{platform.stack.functions.url}/2015-03-31/functions/resync/invocations"
        return httpx.post(url, json={"onlyUnfinished": True}, timeout=30, trust_env=False).raise_for_status().json()
    script(platform, "invoke", "resync")  # to the end: nothing is under way
    assert go_on() == {"domains": 0, "rooms": 0, "failed": 0, "forgotten": 0, "complete": True, "advanced": False}
    bookmark = {"pk": {"S": "resync"}, "sk": {"S": "bookmark"}, "met": {"S": f"room#{room.jid}"}}
    aws.call(queue_port, "dynamodb", "PutItem", TableName=TABLE, Item=bookmark)
    report = go_on()
    assert (report["complete"], report["advanced"], report["failed"]) == (True, True, 0)
    assert go_on()["advanced"] is False


def test_a_missing_stack_is_told(platform: Platform, tmp_path):
    done = subprocess.run([ROOT / "scripts" / "status", "--state", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "scripts/run" in done.stderr


@pytest.mark.parametrize("changed, said", [
    ({"ADMIN_JID": f"bob@{DOMAIN}"}, "does not take"),
    ({"ADMIN_TOKEN": "x" * 64}, "refuses the login"),
    ({"XMPP_URL": "ws://127.0.0.1:9/xmpp-websocket"}, "does not answer"),
], ids=["no admin", "another token", "no server"])
def test_a_room_that_the_server_does_not_show_is_a_line(platform: Platform, tmp_path: Path, changed: dict[str, str], said: str):
    room = f"adhoc-{uuid.uuid4().hex[:8]}@conference.{DOMAIN}"
    token = {"ADMIN_TOKEN": mint(platform.stack.admin_token, f"bob@{DOMAIN}")} if "ADMIN_JID" in changed else {}
    env = {"XMPP_URL": platform.stack.prosody.ws_url, "ADMIN_JID": platform.stack.prosody.admin_jid,
           "ADMIN_TOKEN": platform.stack.admin_token, "LOG_DIR": str(tmp_path)} | token | changed
    (tmp_path / "stack.env").write_text("".join(f"{key}={value}\n" for key, value in env.items()))
    alice = f"alice@{DOMAIN}"
    with Client(env["XMPP_URL"] if token else platform.stack.prosody.ws_url, alice,
                mint(platform.stack.admin_token, alice)) as user:
        join(user, room, "alice")
        ok(configure(user, room, {}))
        done = subprocess.run([ROOT / "scripts" / "room", room, "--state", tmp_path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.startswith("room: ") and done.stderr.count("\n") == 1, done.stderr
