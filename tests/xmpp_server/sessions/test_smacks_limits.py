"""mod_sippo_smacks_limits: sessions that wait to be resumed (XEP-0198), and those that take their place."""

from __future__ import annotations

import time

import pytest

from support.prosody import Server
from support.stanzas import assert_absent, go_online, has_body, send_message, settle
from support.wait import until
from support.xmpp import E, local

SM = "urn:xmpp:sm:3"
MAX_AGE = 12  # half of it is what a slow machine has
LIMIT = 3


@pytest.fixture
def home(new_server):
    """Makes a server with settings of its own; the tenant is `home.example`."""
    def make(**settings: object) -> Server:
        server = new_server(extra={name: str(value) for name, value in settings.items()}).start()
        server.create_host("home.example")
        return server

    return make


def sleeper(server, jid: str, resource: str) -> str:
    """A session that has lost its connection, with what resumes it."""
    client = server.user(jid, resource)
    go_online(client)
    client.send(E("enable", SM, resume="true"))
    previd = client.wait(lambda e: e.tag == f"{{{SM}}}enabled").get("id")
    full_jid = client.jid
    before = server.log_text().count("going into hibernation")
    client.abort()
    until(lambda: server.log_text().count("going into hibernation") > before, f"{full_jid} hibernating", 10)
    return previd


def resumes(server, jid: str, previd: str) -> bool:
    client = server.client(jid, server.login_token(jid)).open()
    client.authenticate()
    client.send(E("resume", SM, previd=previd, h="0"))
    answer = local(client.wait(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed")))
    client.abort()
    return answer == "resumed"


def test_a_new_session_of_the_resource_gets_what_the_old_one_did_not(server, domain):
    jid = f"alice@{domain}"
    previd = sleeper(server, jid, "phone")
    with server.user(f"bob@{domain}") as bob:
        send_message(bob, f"{jid}/phone", "while away")
        settle(bob)
        with server.user(jid, "phone") as again:
            assert again.jid == f"{jid}/phone"
            go_online(again)
            again.wait(has_body("while away"), 10)
            send_message(bob, again.jid, "now")
            again.wait(has_body("now"), 10)
            assert_absent(bob, lambda e: e.get("type") == "error")
    assert not resumes(server, jid, previd)


def test_the_old_sessions_age_does_not_end_the_new_one(home):
    server, jid = home(SESSION_MAX_AGE=MAX_AGE), "carol@home.example"
    sleeper(server, jid, "phone")
    older = server.user("watch@home.example")  # ends after the old session, before the new one
    begun = time.monotonic()
    until(lambda: time.monotonic() - begun > MAX_AGE / 2, "a younger new session", MAX_AGE)
    with server.user(jid, "phone") as again, server.user("dave@home.example") as dave:
        go_online(again)
        older.wait_closed(MAX_AGE + 10)
        send_message(dave, again.jid, "still there")
        again.wait(has_body("still there"), 10)
    assert "Traceback" not in server.log_text()


def test_of_too_many_that_wait_the_oldest_ends(home):
    server, jid = home(RESUME_LIMIT=LIMIT), "erin@home.example"
    waiting = [sleeper(server, jid, f"phone{n}") for n in range(LIMIT + 1)]
    assert [resumes(server, jid, previd) for previd in waiting] == [False] + LIMIT * [True]
