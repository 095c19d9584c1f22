"""mod_sippo_c2s_limits: how many sessions a user has, and how much is kept for one that does not read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.prosody import Server
from support.stanzas import ask, condition, go_online, has_body, ok, send_message, settle
from support.wait import until
from support.xmpp import Closed, E, StanzaError, StreamError

LIMIT = 3
BUFFER = 1024 * 1024
SM = "urn:xmpp:sm:3"
LARGE = 120_000


@pytest.fixture(scope="module")
def strict(server_folder):
    server = Server(server_folder(), extra={
        "SESSION_LIMIT": str(LIMIT), "SEND_BUFFER_LIMIT": str(BUFFER), "CLIENT_RATE": "100mb/s", "USER_TIME_SHARE": "100"}).start()
    yield server
    server.stop()


@pytest.fixture
def home(strict, unique_domain):
    return strict.create_host(unique_domain())


def test_sessions_of_one_user(strict, home):
    token = strict.login_token(f"alice@{home}")
    clients = [strict.client(f"alice@{home}", token, f"r{n}").connect() for n in range(LIMIT)]
    with pytest.raises(StanzaError) as refusal:
        strict.client(f"alice@{home}", token, "more").connect()
    assert refusal.value.condition == "resource-constraint" and refusal.value.text
    with strict.user(f"bob@{home}") as bob:
        settle(bob)
    with strict.client(f"alice@{home}", token, "r0").connect() as again:  # in place of the one of that name
        settle(again)
        assert isinstance(clients[0].wait_closed(), StreamError)
    clients[1].close()
    with strict.client(f"alice@{home}", token, "other").connect() as other:
        settle(other)


def refusals(log_in) -> Iterator[Exception]:
    """How logins end that are one too many. Where the client's next element crosses the refusal, its text may be lost."""
    for _ in range(10):
        try:
            yield log_in().wait_closed()
        except (StreamError, Closed) as end:
            yield end


def test_connections_that_bind_no_resource(strict, home):
    token = strict.login_token(f"alice@{home}")

    def log_in():
        client = strict.client(f"alice@{home}", token).open()
        client.authenticate()
        return client

    waiting = [log_in() for _ in range(LIMIT)]
    refusal = next(end for end in refusals(log_in) if isinstance(end, StreamError))
    assert refusal.condition == "policy-violation" and refusal.text
    for client in waiting:
        assert client.bind()
    waiting[0].close()
    with strict.client(f"alice@{home}", token).connect() as other:
        settle(other)


def flood(sender, to: str, count: int, bytes_each: int = LARGE) -> None:
    for _ in range(count):
        send_message(sender, to, "x" * bytes_each)
    settle(sender)


def test_a_connection_that_is_not_read_ends_and_nobody_else_notices(strict, home):
    with strict.user(f"alice@{home}") as alice, strict.user(f"bob@{home}") as bob:
        go_online(bob)
        with bob.not_reading():
            flood(alice, bob.jid, 200)  # far more than the kernel takes in
            until(lambda: f"{bob.jid} does not read" in strict.log_text(), "the connection's end", 10)
            settle(alice)
        bob.wait_closed()


def enable(client) -> None:
    client.send(E("enable", SM, resume="true"))
    client.wait(lambda e: e.tag == f"{{{SM}}}enabled")


def test_a_session_that_acknowledges_nothing_ends(strict, home):
    with strict.user(f"alice@{home}") as alice, strict.user(f"bob@{home}") as bob:
        go_online(bob)
        enable(bob)
        flood(alice, bob.jid, 6)
        # half of it: requests are refused, the session stays
        refusal = ask(bob, "get", "<query xmlns='jabber:iq:roster'/>")
        assert condition(refusal) == "resource-constraint" and "cknowledge" in "".join(refusal.itertext())
        bob.send(E("a", SM, h=str(1 + len(bob.received(lambda e: e.tag.endswith("}message"))))))
        ok(ask(bob, "get", "<query xmlns='jabber:iq:roster'/>"))
        bob.messages()
        flood(alice, bob.jid, 12)
        end = bob.wait_closed()
        assert isinstance(end, StreamError) and end.condition == "resource-constraint"
    with strict.user(f"bob@{home}") as bob:  # what was not acknowledged waits for the user
        go_online(bob)
        bob.wait(has_body("x" * LARGE), 10)


def test_a_session_that_waits_to_be_resumed_does_not_grow_without_end(strict, home):
    with strict.user(f"alice@{home}") as alice:
        bob = strict.user(f"bob@{home}", "phone")
        go_online(bob)
        enable(bob)
        bob.abort()
        until(lambda: "Session going into hibernation" in strict.log_text(), "hibernation", 10)
        flood(alice, f"bob@{home}/phone", 20)
        settle(alice)
        assert f"bob@{home}/phone has not acknowledged" in strict.log_text()
