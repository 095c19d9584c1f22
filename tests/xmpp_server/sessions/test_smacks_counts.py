"""mod_sippo_smacks_counts: the count of handled stanzas (XEP-0198, `h`) that a client sends can be anything."""

from __future__ import annotations

import pytest

from support.stanzas import go_online, has_body, send_message, settle
from support.wait import until
from support.xmpp import E, StreamError, local

SM = "urn:xmpp:sm:3"
IMPOSSIBLE = {"missing": None, "empty": "", "a word": "many", "negative": "-1", "too large": "4000",
              "of more than 32 bits": "4294967296", "long": "9" * 400, "a fraction": "0.5", "hexadecimal": "0x1",
              "with an exponent": "1e0", "not a number": "nan", "infinite": "inf"}


@pytest.fixture(autouse=True)
def nothing_throws(server):
    """Prosody logs a traceback where it does."""
    before = server.log_text().count("Traceback")
    yield
    assert server.log_text().count("Traceback") == before


def enable(client) -> str:
    client.send(E("enable", SM, resume="true"))
    return client.wait(lambda e: e.tag == f"{{{SM}}}enabled").get("id")


@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_a_resumption_with_an_impossible_count_fails_and_leaves_the_session(server, domain, kind):
    jid = f"alice@{domain}"
    alice = server.user(jid, "phone")
    go_online(alice)
    previd = enable(alice)
    alice.abort()
    with server.user(f"bob@{domain}") as bob:
        send_message(bob, f"{jid}/phone", "while away")
        settle(bob)
    attributes = {"previd": previd} if IMPOSSIBLE[kind] is None else {"previd": previd, "h": IMPOSSIBLE[kind]}
    client = server.client(jid, server.login_token(jid)).open()
    client.authenticate()

    def resume(**attributes: str) -> str:
        client.send(E("resume", SM, **attributes))
        return local(client.wait(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed")))

    assert resume(**attributes) == "failed"
    assert resume(h="0") == "failed"  # of no session
    assert resume(previd=previd, h="0") == "resumed"
    client.wait(has_body("while away"))
    client.close()


def test_after_a_failed_resumption_one_can_bind(server, domain):
    jid = f"alice@{domain}"
    client = server.client(jid, server.login_token(jid)).open()
    client.authenticate()
    client.send(E("resume", SM, previd="unknown"))
    assert local(client.wait(lambda e: e.tag == f"{{{SM}}}failed")) == "failed"
    client.bind()
    settle(client)
    client.close()


@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_an_acknowledgement_of_an_impossible_count_ends_the_stream(server, domain, kind):
    alice = server.user(f"alice@{domain}")
    enable(alice)
    alice.send(E("a", SM) if IMPOSSIBLE[kind] is None else E("a", SM, h=IMPOSSIBLE[kind]))
    end = alice.wait_closed()
    assert isinstance(end, StreamError) and end.condition in ("invalid-xml", "undefined-condition")


def test_an_acknowledgement_of_less_than_before_ends_the_stream(server, domain):
    alice = server.user(f"alice@{domain}")
    enable(alice)
    for _ in range(3):
        settle(alice)
    alice.send(E("a", SM, h="2"))
    alice.send(E("a", SM, h="1"))
    end = alice.wait_closed()
    assert isinstance(end, StreamError) and end.condition == "undefined-condition"


def test_good_counts_are_taken(server, domain):
    with server.user(f"alice@{domain}") as alice:
        enable(alice)
        for n in range(1, 4):
            settle(alice)
            alice.send(E("a", SM, h=str(n)))
        settle(alice)
        until(lambda: alice.received(lambda e: e.tag == f"{{{SM}}}r"), "a request for acknowledgement", 10)
