"""The individual chat list and the roster it lives in (RFC 6121)."""

import threading
import urllib.parse
import uuid

import pytest

from support.functions import LIST, ok, problem
from support.xmpp import CLIENT, E, serialize

ROSTER = "jabber:iq:roster"
GROUP = "individualChatList"


def new_jid() -> str:
    return f"contact-{uuid.uuid4().hex[:8]}@example.test"


def roster(session) -> dict:
    """The user's roster as their client sees it: item by JID."""
    reply = session.iq("get", E("query", ROSTER))
    return {item.get("jid"): item for item in reply.iter(f"{{{ROSTER}}}item")}


def groups(item) -> set[str]:
    return {group.text for group in item.iter(f"{{{ROSTER}}}group")}


def roster_set(session, jid: str, *group_names: str, **attributes: str) -> None:
    session.iq("set", E("query", ROSTER, E(
        "item", ROSTER, *(E("group", ROSTER, name) for name in group_names), jid=jid, **attributes)))


def is_push_of(jid: str):
    return lambda e: e.tag == f"{{{CLIENT}}}iq" and e.get("type") == "set" and any(
        item.get("jid") == jid for item in e.iter(f"{{{ROSTER}}}item"))


def test_put_get_delete(api, token):
    assert api.list(token) == []
    zoe, bob = "zoe@example.test", "bob@example.test"
    for jid in (zoe, bob, zoe):
        answer = api.put(token, jid)
        assert (answer.status_code, answer.content) == (204, b"")
    assert ok(api.call("GET", LIST, token)).json() == [{"jid": bob}, {"jid": zoe}]
    for _ in range(2):
        assert api.delete(token, zoe).status_code == 204
    assert api.list(token) == [bob]


def test_a_list_belongs_to_its_caller(api, token, token_for, user):
    api.put(token, "bob@example.test")
    assert api.list(token_for(f"other-{user}")) == []
    assert api.list(token_for(user.replace("example.test", "other.test"))) == []


@pytest.mark.parametrize(("path", "jid"), [
    ("bob@example.test", "bob@example.test"),
    ("bob%40example.test", "bob@example.test"),
    ("%62%6F%62@example.test", "bob@example.test"),
    ("bob@example.test/phone", "bob@example.test"),
    ("bob%40example.test%2Fphone", "bob@example.test"),
    ("bob@example.test/a/b%2Fc", "bob@example.test"),
    ("Bob@Example.Test", "bob@example.test"),
    ("d%5C27artagnan@example.test", r"d\27artagnan@example.test"),
    ("100%25@example.test", "100%@example.test"),
    ("100%2525@example.test", "100%25@example.test"),
    ("a+b@example.test", "a+b@example.test"),
    ("a%2Bb@example.test", "a+b@example.test"),
    ("%C3%BCn%C3%AF@example.test", "ünï@example.test"),
    ("bob@elsewhere.example", "bob@elsewhere.example"),
])
def test_a_jid_is_decoded_exactly_once_and_made_bare(api, token, path, jid):
    assert api.put(token, path).status_code == 204
    assert api.list(token) == [jid]
    assert api.delete(token, path).status_code == 204
    assert api.list(token) == []


@pytest.mark.parametrize("path", [
    "example.test", "%40example.test", "@example.test", "bob@", "bob%40", "%20", "..", "%2e%2e", "../login", ".",
    "bob%00@example.test", "bob%0A@example.test", "bob%7F@example.test", "%01@example.test", "bob@exa%00mple.test",
    "bob%C2%A0@example.test", "bob%E2%80%AE@example.test", "%ff%fe@example.test", "bob@@example.test", "a b%40c",
    "%22bob%22@example.test", "bob%26@example.test", "%3Cbob%3E@example.test", "bob@exa%20mple.test",
    "b" * 1024 + "@example.test", "b" * 3072 + "@example.test", "bob@example.test/" + "r" * 3072, "b" * 20_000 + "@x",
    "/bob@example.test",
])
def test_bad_jids(api, token, path):
    path = path.replace(" ", "%20")
    for method in ("PUT", "DELETE"):
        problem(api.call(method, f"{LIST}/{path}", token), 400)
    assert api.list(token) == []


def test_an_empty_jid(api, token):
    for method in ("PUT", "DELETE"):
        answer = api.call(method, f"{LIST}/", token)
        assert answer.status_code in (400, 404)
        problem(answer, answer.status_code)


def test_connected_clients_see_every_change(api, server, user, token):
    with server.user(user) as session:
        roster(session)
        jid = new_jid()
        api.put(token, jid)
        push = session.wait(is_push_of(jid))
        assert groups(push) == {GROUP}
        # No second push for what is there already.
        api.put(token, jid)
        session.sync()
        assert session.received(is_push_of(jid)) == []
        api.delete(token, jid)
        push = session.wait(is_push_of(jid))
        assert push.find(f".//{{{ROSTER}}}item").get("subscription") == "remove"


def test_what_else_an_item_holds_stays(api, server, user, token):
    jid = new_jid()
    with server.user(user) as session:
        roster_set(session, jid, "Friends", "Work", name="Bob & <Co>")
        assert api.list(token) == []
        api.put(token, jid)
        item = roster(session)[jid]
        assert groups(item) == {"Friends", "Work", GROUP}, serialize(item)
        assert (item.get("name"), item.get("subscription")) == ("Bob & <Co>", "none")
        api.delete(token, jid)
        item = roster(session)[jid]
        assert groups(item) == {"Friends", "Work"}
        assert item.get("name") == "Bob & <Co>"
        assert api.list(token) == []


def test_an_item_with_a_subscription_is_not_removed(api, server, user, token, token_for):
    friend = f"friend-{user}"
    with server.user(user) as session, server.user(friend) as other:
        roster(session), roster(other)
        session.presence(), other.presence()
        session.presence(to=friend, type="subscribe")
        other.wait(lambda e: e.get("type") == "subscribe")
        other.presence(to=user, type="subscribed")
        session.wait(lambda e: e.get("type") == "subscribed")
        api.put(token, friend)
        api.delete(token, friend)
        item = roster(session)[friend]
        assert item.get("subscription") == "to"
        assert groups(item) == set()


def test_what_a_client_puts_into_the_group_is_in_the_list(api, server, user, token):
    jid = new_jid()
    with server.user(user) as session:
        roster_set(session, jid, GROUP)
        roster_set(session, new_jid(), "another")
    assert api.list(token) == [jid]


def test_concurrent_puts_lose_nothing(api, token):
    jids = sorted(f"c{number:03}@example.test" for number in range(60))
    answers = []

    def put(jid: str) -> None:
        answers.append(api.put(token, jid).status_code)

    threads = [threading.Thread(target=put, args=(jid,)) for jid in jids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [204] * len(jids)
    assert api.list(token) == jids


def test_read_your_writes_across_copies(api, token):
    for number in range(20):
        jid = f"r{number:02}@example.test"
        api.put(token, jid)
        assert jid in api.list(token)


def test_at_most_5000_entries(api, server, user, token):
    group = "urn:quobis:sippo:roster-group:0"
    with server.admin() as admin:
        # Over XMPP, as the functions do it, but pipelined; not all at once, for the server also has pings to answer.
        for first in range(0, 5_000, 100):
            ids = {admin.next_id(): number for number in range(first, first + 100)}
            for id, number in ids.items():
                add = E("add", group, jid=f"n{number:04}@example.test")
                admin.send(E("iq", None, E("group", group, add, name=GROUP, max="5000"), type="set", id=id, to=user))
            for _ in ids:
                reply = admin.wait(lambda e, ids=ids: e.get("id") in ids)
                assert reply.get("type") == "result", serialize(reply)
    assert len(api.list(token)) == 5_000
    problem(api.put(token, "one-more@example.test"), 409, "list-full")
    assert api.put(token, "n0000@example.test").status_code == 204, "it is there already"
    assert api.delete(token, "n0000@example.test").status_code == 204
    assert api.put(token, "one-more@example.test").status_code == 204
    listed = api.list(token)
    assert len(listed) == 5_000
    assert "one-more@example.test" in listed and "n0000@example.test" not in listed


def test_a_path_may_hold_a_query(api, token):
    jid = urllib.parse.quote("bob@example.test")
    assert api.call("PUT", f"{LIST}/{jid}?x=1&x=2", token).status_code == 204
    assert api.list(token) == ["bob@example.test"]


def test_a_contact_with_a_name_of_newer_unicode_does_not_cost_the_list(api, server, user, token):
    """Prosody takes characters that the Unicode 3.2 of RFC 3454 does not know."""
    jid = new_jid()
    with server.user(user) as session:
        roster_set(session, "\N{GRINNING FACE}@example.test", "Friends")
    ok(api.put(token, jid))
    assert api.list(token) == [jid]
