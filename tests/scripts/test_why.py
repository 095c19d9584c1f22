"""scripts/why and scripts/trace: from a user, a room or an event to what is wrong with it."""

from __future__ import annotations

import re
import uuid

import httpx
import pytest

from stack.stack_env import settings
from support.platform import Platform
from support.rooms import Room
from support.scripts import script
from support.stanzas import ask
from support.wait import until
from support.xmpp import Client, XmppError


def amiss(output: str) -> list[str]:
    """The lines that say what is wrong."""
    return [line for line in output.splitlines() if line.startswith("!")]


def test_a_room_that_is_as_it_should_be(platform: Platform, admin: Client, room: Room):
    room.create("alice", ["bob", "carol"])
    room.publish(room.left, room.of(["carol"]))
    room.wait_affiliated(admin, "member", ["bob"])
    output = script(platform, "why", "room", room.jid, code=None)
    assert "XMPP server: there" in output and "ledger: created: " in output
    assert f"  {room.jid_of('alice')}: should belong (listed in the creation: " in output
    assert f"  {room.jid_of('carol')}: should not belong (left: " in output
    assert not [line for line in amiss(output) if room.jid_of("carol") in line]
    assert "Received a new usersGroup creation" in output


def test_a_member_whom_the_server_has_lost(platform: Platform, admin: Client, room: Room):
    user = f"user-{uuid.uuid4().hex[:8]}"
    room.create("alice", [user])
    room.wait_affiliated(admin, "member", [user])
    taken = f"<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='none' jid='{room.jid_of(user)}'/></query>"
    ask(admin, "set", taken, room.jid)
    for output in (script(platform, "why", "user", room.jid_of(user), code=1), script(platform, "why", "room", room.jid, code=1)):
        [line] = [line for line in amiss(output) if "XMPP server: none" in line]
        assert "should belong (listed in the creation: " in line


def test_a_user_of_a_domain_that_is_not_served_and_their_dead_letters(platform: Platform):
    domain = f"n{uuid.uuid4().hex[:8]}.test"
    id = platform.publish("conference.participant.joined", {"id": "standup", "domain": domain, "participant": {"username": 7, "domain": domain}})
    until(lambda: [one for one in platform.dead_letters("conference-participant-joined") if one.outline.id == id], "the dead letter")
    output = script(platform, "why", "room", f"standup@conference.{domain}", code=1)
    assert any("no virtual host" in line for line in amiss(output))
    [letter] = [line for line in amiss(output) if "conference-participant-joined" in line and "old: " in line]
    assert id in letter
    assert any(line.startswith("!") and "dead-letter queue" in line for line in output.splitlines())
    assert any("no virtual host" in line for line in amiss(script(platform, "why", "user", f"alice@{domain}", code=1)))


def test_a_user_whose_tenant_is_not_served(platform: Platform):
    """The login is answered, for nobody is asked; the server then knows no such host, and does not say to whom."""
    user, env = f"alice@n{uuid.uuid4().hex[:8]}.test", settings(platform.paths.state, "test")
    token = script(platform, "token", user).strip()
    calls = {path: httpx.get(env["API_URL"] + path, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
             for path in ("/sapi/xmpp/login", "/sapi/xmpp/individualChatList")}
    login, refused = calls.values()
    assert (login.status_code, refused.status_code) == (200, 403)
    with pytest.raises(XmppError) as failure:
        Client(env["XMPP_URL"], user, login.json()["token"]).connect()
    assert failure.value.condition == "host-unknown"
    wrong = amiss(script(platform, "why", "user", user, code=1))
    assert any("no virtual host of this name; publish domain.created" in line for line in wrong)
    assert any("A caller with a valid access token may not use chat" in line and "is not served" in line for line in wrong), wrong
    assert any(f"Stream to {user.partition('@')[2]} refused" in line for line in wrong), wrong


def test_a_caller_without_chat(platform: Platform):
    """They have no JID yet where they are refused: the line has the names in their access token."""
    name, env = f"user-{uuid.uuid4().hex[:8]}", settings(platform.paths.state, "test")
    token = script(platform, "token", "--capabilities", "video", f"{name}@mail@example.test").strip()
    login = httpx.get(f"{env['API_URL']}/sapi/xmpp/login", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    assert login.status_code == 403
    wrong = amiss(script(platform, "why", "user", rf"{name}\40mail@example.test", code=1))
    assert any("A caller with a valid access token may not use chat" in line for line in wrong), wrong


def test_a_member_without_chat(platform: Platform, admin: Client, room: Room):
    user = f"user-{uuid.uuid4().hex[:8]}"
    room.create("alice", ["bob", {"username": user, "capabilities": ["video"]}])
    room.wait_affiliated(admin, "member", ["bob"])
    for output in (script(platform, "why", "user", room.jid_of(user), code=None), script(platform, "why", "room", room.jid, code=None)):
        assert "Users who lack chat are left out of an event" in output


@pytest.mark.parametrize("arguments", [("user", "alice"), ("user", "a@conference.example.test"), ("room", "alice@example.test")])
def test_what_is_no_such_jid_is_a_usage_error(platform: Platform, arguments: tuple[str, str]):
    script(platform, "why", *arguments, code=2)


def test_the_way_of_an_event_by_its_trace_and_by_its_id(platform: Platform, room: Room):
    said = script(platform, "publish", "events/users-group-created.cloudevent.json", "--set", f"id={room.id}", "--traceparent")
    found = re.search(r"id (\S+) \(trace ([0-9a-f]{32})\)", said)
    assert found is not None, said
    id, trace = found.groups()
    platform.wait_received(id)
    ways = [script(platform, "trace", one).splitlines() for one in (id, trace)]
    assert ways[0] == ways[1]
    for source, message in (("bridge", "An event came from the broker"), ("bridge", "An event is in its queue"), ("poller", "Event goes to its function"), ("functions", "Received a new usersGroup creation"), ("prosody", "Received[c2s]: <iq")):
        assert any(f" {source} " in line and message in line for line in ways[0]), "\n".join(ways[0])
    assert " bridge " in ways[0][0], ways[0][0]
    times = [float(re.search(r"([+-][0-9.]+) s ", line)[1]) for line in ways[0] if " prosody " not in line]
    assert times[0] == 0 and times == sorted(times)
    first = next(number for number, line in enumerate(ways[0]) if " prosody " in line)
    assert any("Received a new usersGroup creation" in line for line in ways[0][:first]), "whole seconds are no reason to come first"
    script(platform, "trace", uuid.uuid4().hex, code=1)


def test_a_traceparent_of_ones_own(platform: Platform):
    value = f"00-{uuid.uuid4().hex}-00f067aa0ba902b7-01"
    assert value.split("-")[1] in script(platform, "publish", "events/domain-created.bare.json", "--traceparent", value)
    script(platform, "publish", "events/domain-created.bare.json", "--traceparent", "00-0-0-01", code=2)


def test_the_log_level_reaches_every_program(platform: Platform):
    """The tests' stack is at silly, which is Prosody's debug."""
    for name in ("functions", "bridge", "poller"):
        assert any(line["level"] in ("debug", "silly") for line in platform.log(name)), name
    assert re.search(r"\bdebug\b", (platform.paths.logs / "prosody.log").read_text())
