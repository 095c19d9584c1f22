"""mod_sippo_session_age: a session ends at most so long after its login (xmpp-server/README.md)."""

from __future__ import annotations

import time

import pytest

from support.prosody import Server
from support.stanzas import request
from support.wait import until
from support.xmpp import AuthFailed, E, StreamError, XmppError, local

MAX_AGE = 3
SM = "urn:xmpp:sm:3"


@pytest.fixture(scope="module")
def short(server_folder):
    """A server whose sessions end after a few seconds."""
    server = Server(server_folder(), extra={"SESSION_MAX_AGE": str(MAX_AGE)})
    server.start()
    server.create_host("age.example")
    yield server
    server.stop()


def enable_resumption(client) -> str:
    client.send(E("enable", SM, resume="true"))
    answer = client.wait(lambda e: e.tag == f"{{{SM}}}enabled")
    return answer.get("id")


def resume(client, previd: str):
    """Logs in and tries to resume instead of binding; returns the server's answer."""
    client.open()
    client.authenticate()
    client.send(E("resume", SM, previd=previd, h="0"))
    return client.wait(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"))


def test_session_ends_with_a_stream_error(short):
    started = time.monotonic()
    alice = short.user("alice@age.example")
    alice.presence()
    end = alice.wait_closed(MAX_AGE + 10)
    assert isinstance(end, StreamError) and end.condition == "reset"
    assert time.monotonic() - started >= MAX_AGE - 1  # not at once: os.time counts whole seconds
    assert "alice@age.example" in short.log_text()
    short.user("alice@age.example").close()


def test_activity_does_not_prolong_it(short):
    alice = short.user("busy@age.example")
    deadline = time.monotonic() + MAX_AGE + 10
    # the stream error itself may be lost when the server closes while a ping is on its way
    with pytest.raises(XmppError):
        while time.monotonic() < deadline:
            alice.sync()
    assert f"Session of {alice.jid} ends: logged in" in short.log_text()


def test_the_admins_session_ends_too(short):
    end = short.admin().wait_closed(MAX_AGE + 10)
    assert isinstance(end, StreamError) and end.condition == "reset"


def test_resuming_does_not_prolong_it(short):
    jid = "resumer@age.example"
    first = short.user(jid)
    started = time.monotonic()
    previd = enable_resumption(first)
    first.abort()
    second = short.client(jid, short.login_token(jid))
    assert local(resume(second, previd)) == "resumed"
    end = second.wait_closed(MAX_AGE + 10)
    assert isinstance(end, StreamError) and end.condition == "reset"
    # the second login alone would have given it its own MAX_AGE; the first login's counts
    assert time.monotonic() - started < MAX_AGE + 2
    third = short.client(jid, short.login_token(jid))
    assert local(resume(third, previd)) == "failed"
    third.close()


def test_hibernating_session_ends_too(short):
    jid = "sleeper@age.example"
    first = short.user(jid, "phone")
    first.presence()
    previd = enable_resumption(first)
    first.abort()
    until(lambda: f"Session of {jid}/phone ends" in short.log_text(), "the session's end", MAX_AGE + 10)
    second = short.client(jid, short.login_token(jid))
    assert local(resume(second, previd)) == "failed"
    second.close()


def test_message_to_a_hibernating_session_is_not_lost(short):
    jid = "keeper@age.example"
    first = short.user(jid, "phone")
    first.presence()
    enable_resumption(first)
    first.sync()
    first.abort()
    with short.user("friend@age.example") as friend:
        friend.message(jid, "while asleep")
        friend.sync()
    until(lambda: f"Session of {jid}/phone ends" in short.log_text(), "the session's end", MAX_AGE + 10)
    with short.user(jid) as again:
        again.presence()
        assert again.wait_message("while asleep") is not None


def authenticated_too_long_ago(short, jid):
    """A stream that has logged in, and bound nothing for longer than a session may last."""
    client = short.client(jid, short.login_token(jid)).open()
    client.authenticate()
    logged_in = time.monotonic()
    until(lambda: time.monotonic() - logged_in > MAX_AGE + 1, "the session's age", MAX_AGE + 10)
    return client


def test_late_binding_gains_nothing(short):
    jid = "late@age.example"
    client = authenticated_too_long_ago(short, jid)
    with pytest.raises(StreamError) as end:
        client.bind()
        client.wait_message(timeout=10)
    assert end.value.condition == "reset"


def test_one_who_binds_too_late_reads_nothing(short):
    jid = "reader@age.example"
    client = authenticated_too_long_ago(short, jid)
    bind = "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
    try:
        for stanza in (bind, request("set", "<query xmlns='urn:xmpp:mam:2'/>", None, "q")):
            client.send(stanza)
    except XmppError:
        pass  # it may be over already
    client.wait_closed()
    assert [local(e) for e in client.received() if e.get("id") in ("b", "q") and e.get("type") == "result"] == []


def test_login_after_the_end_needs_a_valid_token(short):
    jid = "lost@age.example"
    token = short.login_token(jid, ttl=2)
    client = short.client(jid, token).connect()
    client.wait_closed(MAX_AGE + 10)
    with pytest.raises(AuthFailed):
        short.client(jid, token).connect()
