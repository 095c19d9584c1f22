"""mod_sippo_mam_limits: how much of an archive one asks for (XEP-0313 with XEP-0059)."""

from __future__ import annotations

import pytest

from support.stanzas import ask, condition, go_online, has_body, join, mentions, ok, send_message

MESSAGES = 4


@pytest.fixture(scope="module")
def archives(server, two_tenants):
    """Alice with messages in her archive and in that of a room; both addresses."""
    home, _ = two_tenants
    room = f"adhoc-pages@conference.{home}"
    with server.user(f"pages@{home}") as alice:
        go_online(alice)
        join(alice, room, "alice")
        for n in range(MESSAGES):
            send_message(alice, f"nobody@{home}", f"note {n}")
            send_message(alice, room, f"line {n}", "groupchat")
            alice.wait(has_body(f"line {n}"), 10)
        yield alice, {"user": None, "room": room}


def page(client, address, size: str):
    limit = f"<set xmlns='http://jabber.org/protocol/rsm'>{size}</set>"
    return ask(client, "set", f"<query xmlns='urn:xmpp:mam:2'>{limit}</query>", address)


def results(client) -> int:
    found = client.received(mentions("urn:xmpp:mam:2"))
    client.messages()
    return len([e for e in found if e.find("{urn:xmpp:mam:2}result") is not None])


@pytest.mark.parametrize("whose", ["user", "room"])
@pytest.mark.parametrize("size", ["-5", "-1", "1.5", "1e3", "0x10", "x", "", " ", "+", "+-2", "+ 2", "1 2"])
def test_a_page_is_a_whole_number_of_messages(archives, whose, size):
    alice, addresses = archives
    alice.messages()
    for text in (f"<max>{size}</max>", f"<max>2</max><max>{size}</max>"):
        assert condition(page(alice, addresses[whose], text)) == "bad-request"
    assert results(alice) == 0


@pytest.mark.parametrize("whose", ["user", "room"])
@pytest.mark.parametrize("size, count", [("<max>0</max>", 0), ("<max>2</max>", 2), ("<max> 2 </max>", 2),
                                         ("<max>\n2\n</max>", 2), ("<max>+2</max>", 2), ("<max>9999</max>", MESSAGES),
                                         ("<before/>", MESSAGES)])
def test_a_good_page(archives, whose, size, count):
    alice, addresses = archives
    alice.messages()
    ok(page(alice, addresses[whose], size))
    assert results(alice) == count
