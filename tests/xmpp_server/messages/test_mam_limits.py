"""mod_sippo_mam_limits: how much of an archive one asks for, and gets (XEP-0313 with XEP-0059)."""

from __future__ import annotations

import pytest

from support.prosody import Server
from support.stanzas import ask, condition, configure, go_online, has_body, join, leave, mentions, ok, send_message
from support.xmpp import serialize

MESSAGES = 4
PAGE_BYTES = 256 * 1024
LARGE = 100_000
SIZES = [LARGE, LARGE, 10, LARGE, 240_000, 10, 10, LARGE, LARGE, 10, LARGE, 10, 10, 10]
"""Bytes of the messages in archives that do not fit into a page."""


@pytest.fixture(scope="module")
def archives(server, two_tenants):
    """Alice with messages in their own archive and in that of a room; both addresses."""
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


def page(client, address, size: str, further: str = ""):
    limit = f"<set xmlns='http://jabber.org/protocol/rsm'>{size}</set>"
    return ask(client, "set", f"<query xmlns='urn:xmpp:mam:2'>{limit}{further}</query>", address)


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


# Pages by bytes


@pytest.fixture(scope="module")
def large_archives(new_large_server):
    server, home = new_large_server
    room = f"adhoc-large@conference.{home}"
    with server.user(f"large@{home}") as alice:
        go_online(alice)
        join(alice, room, "alice")
        ok(configure(alice, room, {}))
        for n, size in enumerate(SIZES):
            text = f"{n:03}" + "x" * size
            send_message(alice, f"nobody@{home}", text)
            send_message(alice, room, text, "groupchat")
            alice.wait(has_body(text), 10)
        alice.messages()
        yield server, alice, {"user": None, "room": room}


@pytest.fixture(scope="module")
def new_large_server(server_folder):
    server = Server(server_folder(), extra={"CLIENT_RATE": "100mb/s"}).start()
    yield server, server.create_host("large.example")
    server.stop()


def read_page(client, address, rsm: str, flipped: bool = False):
    """Numbers of the messages of a page, its bytes, and its <fin/>."""
    client.messages()
    fin = ok(page(client, address, rsm, "<flip-page/>" if flipped else "")).find("{urn:xmpp:mam:2}fin")
    found = [e for e in client.messages() if e.find("{urn:xmpp:mam:2}result") is not None]
    found = found[::-1] if flipped else found
    texts = [e.findtext(".//{*}forwarded/{*}message/{*}body") for e in found]
    ids = [e.find("{urn:xmpp:mam:2}result").get("id") for e in found]
    assert [fin.findtext(".//{*}first"), fin.findtext(".//{*}last")] == ([ids[0], ids[-1]] if ids else [None, None])
    return [int(text[:3]) for text in texts], sum(len(serialize(e)) for e in found), fin


@pytest.mark.parametrize("whose", ["user", "room"])
@pytest.mark.parametrize("direction", ["after", "before"])
@pytest.mark.parametrize("flipped", [False, True])
def test_pages_are_bounded_by_bytes_and_nothing_is_left_out(large_archives, whose, direction, flipped):
    _, alice, addresses = large_archives
    seen, position, pages = [], "", 0
    while True:
        rsm = "<max>50</max>" + (f"<{direction}>{position}</{direction}>" if position or direction == "before" else "")
        numbers, size, fin = read_page(alice, addresses[whose], rsm, flipped)
        pages += 1
        assert size <= PAGE_BYTES + 30 * 1024 or len(numbers) == 1  # what wraps the messages is not counted
        seen = seen + numbers if direction == "after" else numbers + seen
        if fin.get("complete") == "true":
            break
        position = fin.findtext(".//{*}last" if direction == "after" else ".//{*}first")
    assert seen == list(range(len(SIZES)))
    assert pages >= sum(SIZES) // PAGE_BYTES


def test_what_fits_is_one_complete_page(large_archives):
    _, alice, addresses = large_archives
    numbers, _, fin = read_page(alice, addresses["user"], "<max>3</max><before/>")
    assert (numbers, fin.get("complete")) == ([11, 12, 13], None)


def test_history_on_entering_is_bounded_by_bytes(large_archives):
    server, alice, addresses = large_archives
    room = addresses["room"]
    with server.user(f"second@{alice.domain}") as bob:
        assert join(bob, room, "bob").get("type") is None
        bob.sync()
        history = [e for e in bob.messages() if e.findtext("{*}body")]
        assert sum(len(serialize(e)) for e in history) <= PAGE_BYTES + 30 * 1024
        numbers = [int(e.findtext("{*}body")[:3]) for e in history]
        assert numbers == list(range(numbers[0], len(SIZES)))
        leave(bob, room, "bob")
