"""mod_sippo_xml_limits: how deep and how many the elements of a stanza may be."""

from __future__ import annotations

import pytest

from support.stanzas import go_online, has_body, settle
from support.xmpp import CLIENT, StreamError

DEPTH = 100
ELEMENTS = 10_000


def nested(levels: int) -> str:
    return "<a xmlns='urn:example:deep'>" + "<a>" * (levels - 1) + "</a>" * levels


def message(to: str, payload: str) -> str:
    return f"<message xmlns='{CLIENT}' type='chat' to='{to}'><body>payload</body>{payload}</message>"


@pytest.mark.parametrize("payload", [nested(DEPTH - 1), "<a xmlns='urn:example:wide'/>" * (ELEMENTS // 10),
                                     "<w xmlns='urn:example:wide'>" + "<a/>" * (ELEMENTS - 3) + "</w>"])
def test_up_to_the_limits_it_is_delivered(server, domain, payload):
    with server.user(f"alice@{domain}") as alice, server.user(f"bob@{domain}") as bob:
        go_online(bob)
        for _ in range(2):  # each stanza is counted for itself
            alice.send(message(bob.jid, payload))
            bob.wait(has_body("payload"), 10)


@pytest.mark.parametrize("payload", [nested(DEPTH), nested(18_000),
                                     "<w xmlns='urn:example:wide'>" + "<a/>" * ELEMENTS + "</w>"])
def test_beyond_them_the_stream_ends(server, domain, payload):
    with server.user(f"bob@{domain}") as bob, server.user(f"alice@{domain}") as alice:
        go_online(bob)
        alice.send(message(bob.jid, payload))
        end = alice.wait_closed()
        assert isinstance(end, StreamError) and end.condition == "policy-violation" and end.text
        settle(bob)
        assert not bob.received(has_body("payload"))


def test_in_pieces_and_before_the_login(server, domain):
    alice = server.client(f"alice@{domain}", "no token").open()
    alice.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>")
    # The last piece is the one that is too much: what the server has not read when it closes costs the client its answer.
    for _ in range(10):
        alice.send("<a>" * 10)
    end = alice.wait_closed()
    assert isinstance(end, StreamError) and end.condition == "policy-violation"
