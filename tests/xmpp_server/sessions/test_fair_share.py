"""mod_sippo_fair_share: one user's stanzas wait for their turn, and for what they brought to be read."""

from __future__ import annotations

import httpx
import pytest

from support.frames import CLOSE, frame
from support.stanzas import answer, ask, configure, go_online, has_body, join, new_id, ok, request, send_message, settle
from support.xmpp import CLIENT, FRAMING, SASL, body

QUERIES = 60
LARGE = 120_000
WRITES = 3000
PAGE = "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>50</max></set></query>"


@pytest.fixture
def start(new_server, unique_domain):
    """A server with these settings; it and two tenants."""
    def begin(**extra: str):
        server = new_server(extra={"CLIENT_RATE": "100mb/s", **extra}).start()
        return server, server.create_host(unique_domain()), server.create_host(unique_domain())

    return begin


def fill_archive(client) -> None:
    for _ in range(30):
        send_message(client, f"nobody@{client.domain}", "x" * LARGE)
    settle(client)


def test_long_answers_to_many_requests_all_come(start):
    server, home, _ = start()
    with server.user(f"alice@{home}") as alice:
        fill_archive(alice)
        ids = [new_id() for _ in range(QUERIES)]
        for ident in ids:
            alice.send(request("set", PAGE, None, ident))
        for ident in ids:
            ok(answer(alice, ident, 60))


def answered(server) -> int:
    """How many stanzas the server has sent as answers to archive queries or private storage."""
    return server.log_text().count("Sending[c2s]: <iq ")


def test_no_answer_is_made_while_earlier_ones_are_not_read(start):
    server, home, other = start()
    with server.user(f"alice@{home}") as alice, server.user(f"bob@{other}") as bob:
        fill_archive(alice)
        before = answered(server)
        ids = [new_id() for _ in range(QUERIES)]
        with alice.not_reading():
            for ident in ids:
                alice.send(request("set", PAGE, None, ident))
            for _ in range(100):
                settle(bob)
            # what the kernel and the client's library take in by themselves is a few megabytes
            assert answered(server) - before - 100 < QUERIES
            alice.message(f"carol@{home}", "is handled meanwhile or later")
        for ident in ids:
            ok(answer(alice, ident, 60))
        settle(alice)
    with server.user(f"carol@{home}") as carol:
        go_online(carol)
        carol.wait(has_body("is handled meanwhile or later"), 10)


def test_who_goes_while_answers_wait_leaves_a_server_that_serves(start):
    server, home, _ = start()
    with server.user(f"alice@{home}", "phone") as alice:
        fill_archive(alice)
        alice.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        with alice.not_reading():
            for _ in range(QUERIES):
                alice.send(request("set", PAGE, None, new_id()))
            alice.abort()
    with server.user(f"alice@{home}", "phone") as again:
        ok(ask(again, "set", PAGE))
    assert "Traceback" not in server.log_text()


def test_who_closes_while_their_stanzas_wait_stops_nobody(start):
    server, home, other = start(CLIENT_RATE="256kb/s")
    with server.user(f"alice@{home}") as alice, server.user(f"bob@{other}") as bob:
        alice.send_bytes(b"".join(
            frame(f"<message xmlns='{CLIENT}' to='carol@{home}' type='chat'><body>{n}</body></message>") for n in range(300)))
        alice.abort()
        for _ in range(100):
            settle(bob)
        server.user(f"dave@{other}").close()


def messages_to(address: str, count: int) -> bytes:
    return b"".join(frame(f"<message xmlns='{CLIENT}' to='{address}' type='chat'><body>m{n}</body></message>")
                    for n in range(count))


def bodies(client) -> list[str]:
    return [text for element in client.messages() if (text := body(element)) and text.startswith("m")]


@pytest.mark.parametrize("end", [b"", frame(b"", CLOSE), frame(f"<close xmlns='{FRAMING}'/>"),
                                 frame(f"<close xmlns='{FRAMING}'/>") + frame(b"", CLOSE)],
                         ids=["none", "close frame", "close element", "both"])
def test_all_that_was_sent_before_a_close_is_handled(start, end):
    server, home, other = start()
    alice = server.user(f"alice@{home}")
    with server.user(f"carol@{home}") as carol, server.user(f"bob@{other}") as bob:
        go_online(carol)
        alice.send_bytes(messages_to(carol.bare_jid, 200) + end)
        alice.abort()
        for _ in range(20):
            settle(bob)
        carol.wait(has_body("m199"), 60)
        assert bodies(carol) == [f"m{n}" for n in range(199)]
        server.user(f"alice@{home}").close()


def test_what_waits_for_a_session_that_the_server_ends_is_not_logged(start):
    """It may hold a token; Prosody would log all of it."""
    server, home, other = start(USER_TIME_SHARE="1", LOG_LEVEL="info")
    secret = "a-token-that-nobody-shall-read"
    message = f"<message xmlns='{CLIENT}' to='nobody@{home}' type='chat'><body>x</body></message>"
    with server.user(f"bob@{other}") as bob:
        alice = server.user(f"alice@{home}")
        alice.send_bytes(frame(message * 1000 + f"<r xmlns='urn:xmpp:sm:3' x='{secret}'/><auth xmlns='{SASL}'>{secret}</auth>"))
        httpx.delete(f"{server.hosts_url}/{home}", headers={"Authorization": f"Bearer {server.admin_token}"}, timeout=60,
                     trust_env=False).raise_for_status()
        alice.wait_closed()
        for _ in range(50):
            settle(bob)
    server.stop()
    assert secret not in server.log_text()


def test_who_has_had_their_share_waits_for_others(start):
    server, home, other = start(USER_TIME_SHARE="1")
    one, two = server.user(f"alice@{home}", "one"), server.user(f"alice@{home}", "two")
    with server.user(f"bob@{other}") as bob:
        for client in (one, two):  # however many sessions
            for n in range(WRITES):
                client.send(request("set", f"<query xmlns='jabber:iq:private'><a xmlns='urn:x:{n % 50}'>x</a></query>", None,
                                    new_id()))
        for _ in range(300):
            settle(bob)
        answered_in_turn = len(one.received()) + len(two.received())
        assert 0 < answered_in_turn < 2 * WRITES


@pytest.mark.parametrize("end", ["close", "abort"])
def test_whoever_has_gone_has_left_their_rooms_and_is_offline(server, domain, end):
    """The farewell is sent for a session that has ended already: it waits for nothing, and is not lost."""
    room = f"adhoc-{end}@conference.{domain}"
    with server.user(f"alice@{domain}") as alice, server.user(f"bob@{domain}") as bob:
        join(alice, room, "alice")
        ok(configure(alice, room, {}))
        join(bob, room, "bob")
        getattr(bob, end)()
        alice.wait(lambda e: e.get("from") == f"{room}/bob" and e.get("type") == "unavailable", 10)


def test_what_is_kept_back_for_an_inactive_client_does_not_hold_it_up(start):
    """A client goes inactive (XEP-0352) while a long answer is on its way: mod_csi_simple stopped the sending, and the
    client's next request waited for its end for ever."""
    server, home, _ = start()
    with server.user(f"alice@{home}") as alice:
        fill_archive(alice)
        ids = [new_id() for _ in range(QUERIES)]
        with alice.not_reading():
            for ident in ids:
                alice.send(request("set", PAGE, None, new_id()))
                alice.send("<inactive xmlns='urn:xmpp:csi:0'/>")
                alice.send(request("get", "<ping xmlns='urn:xmpp:ping'/>", None, ident))
        for ident in ids:
            ok(answer(alice, ident, 30))
