"""`GET /sapi/xmpp/rooms`: the rooms that the caller belongs to, on whatever domain."""

from __future__ import annotations

import uuid
from xml.sax.saxutils import quoteattr

import pytest

from support.bookmarks import publish, retract
from support.functions import ok, problem
from support.stanzas import ask, condition
from support.stanzas import ok as done

ROOMS = "/sapi/xmpp/rooms"


@pytest.fixture
def admin(server):
    with server.admin() as session:
        yield session


@pytest.fixture
def room(admin):
    """Makes a room of the service with its members: `room(domain, kind, name, owner=…, member=…)`."""
    def make(domain: str, kind: str, name: str | None, **members: str) -> str:
        jid = f"room-{uuid.uuid4().hex[:8]}@conference.{domain}"
        named = f" name={quoteattr(name)}" if name else ""
        done(ask(admin, "set", f"<ensure xmlns='urn:quobis:sippo:room:0' life='1.1/65' kind='{kind}'{named}/>", jid))
        items = "".join(f"<{what} jid={quoteattr(user)}/>" for what, user in members.items())
        done(ask(admin, "set", f"<affiliations xmlns='urn:quobis:sippo:muc-admin-batch:0'>{items}</affiliations>", jid))
        return jid
    return make


def test_a_caller_gets_their_rooms_of_all_domains_sorted(api, token, token_for, user, room):
    assert ok(api.call("GET", ROOMS, token)).json() == []
    group = room("example.test", "usersGroup", "Team <&> 7", owner=user)
    conference = room("other.test", "conference", None, member=user)
    room("example.test", "usersGroup", "Not theirs", member=f"other-{user}")
    assert ok(api.call("GET", ROOMS, token)).json() == sorted([
        {"jid": group, "name": "Team <&> 7", "kind": "usersGroup", "affiliation": "owner"},
        {"jid": conference, "name": None, "kind": "conference", "affiliation": "member"},
    ], key=lambda one: one["jid"])
    assert ok(api.call("GET", ROOMS, token_for(user.replace("example.test", "other.test")))).json() == []


def test_what_clients_bookmark_themselves_is_left_out_and_what_they_do_to_the_rest_makes_no_difference(
        server, api, token, user, room):
    group = room("example.test", "usersGroup", "Team 7", member=user)
    with server.user(user) as client:
        done(publish(client, "adhoc-mine@conference.example.test", name="Mine"))
        done(publish(client, group, name="My name for it", autojoin="false"))
        assert condition(retract(client, group)) == "not-allowed"
    assert [one["name"] for one in ok(api.call("GET", ROOMS, token)).json()] == ["Team 7"]


def test_a_domain_that_is_not_served(api, token_for):
    problem(api.call("GET", ROOMS, token_for("alice@unserved.example")), 403, "domain-not-served")


def test_without_chat_there_are_no_rooms(api, token_for, user):
    problem(api.call("GET", ROOMS, token_for(user, capabilities=["audio"])), 403, "capability-required")


def test_a_server_that_is_away(functions, token_for, user):
    with functions(only=["login", "rooms"], SIPPO_XMPP__XMPP_URL="ws://127.0.0.1:9/xmpp-websocket") as api:
        answer = api.call("GET", ROOMS, token_for(user))
        problem(answer, 503, "xmpp-unavailable")
        assert answer.headers["retry-after"]


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_other_methods(api, token, method):
    answer = api.call(method, ROOMS, token)
    problem(answer, 405)
    assert answer.headers["allow"] == "GET, OPTIONS"
