"""mod_sippo_websocket_limits: WebSocket frames of clients, and what a cut connection leaves behind."""

from __future__ import annotations

import base64
import re
import socket
from pathlib import Path

import pytest

from support.frames import BINARY, CONTINUATION, PING, TEXT, fragments, frame
from support.stanzas import go_online, has_body, send_message, settle
from support.xmpp import CLIENT, FRAMING, Closed, E, StreamError, local

SM = "urn:xmpp:sm:3"
LIMIT = 256 * 1024
LIMIT_BEFORE_LOGIN = 10_000
BODY = "<message xmlns='jabber:client' type='chat' id='long' to='{to}'><body>{text}</body></message>"


def of_size(size: int, to: str) -> str:
    """A message of so many bytes."""
    return BODY.format(to=to, text="x" * (size - len(BODY.format(to=to, text=""))))


def enable_resumption(client) -> str:
    client.send(E("enable", SM, resume="true"))
    return client.wait(lambda e: e.tag == f"{{{SM}}}enabled").get("id")


def resume(server, jid: str, previd: str):
    client = server.client(jid, server.login_token(jid)).open()
    client.authenticate()
    client.send(E("resume", SM, previd=previd, h="0"))
    answer = client.wait(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"))
    assert local(answer) == "resumed"
    return client


def is_alive(client) -> bool:
    """It is asked how much it has handled, since answers to stanzas would come again after a resumption."""
    client.send(E("r", SM))
    return client.wait(lambda e: e.tag == f"{{{SM}}}a") is not None


def ended(client) -> str:
    """The condition of the stream error, or `closed`."""
    end = client.wait_closed()
    return end.condition if isinstance(end, StreamError) else "closed"


# Resumption ---------------------------------------------------------------------------


@pytest.mark.parametrize("data", [
    frame("<presence xmlns='jabber:client'/>"),
    frame("<message xmlns='jabber:client'><body>" + "x" * 200 + "</body></message>")[:12],  # a longer header
    b"".join(fragments("<presence xmlns='jabber:client'/>", 7)),
], ids=["a frame", "a long frame's header", "fragments"])
def test_a_cut_at_any_byte_leaves_nothing_behind(server, domain, data):
    jid = f"alice@{domain}"
    alice = server.user(jid, "phone")
    go_online(alice)
    previd = enable_resumption(alice)
    for cut in range(1, len(data)):
        alice.send_bytes(data[:cut])
        alice.abort()
        alice = resume(server, jid, previd)
        assert is_alive(alice), cut
    with server.user(f"bob@{domain}") as bob:
        send_message(bob, f"{jid}/phone", "after all the cuts")
        alice.wait(has_body("after all the cuts"))
        alice.message(bob.jid, "both ways")
        bob.wait_message("both ways")
    alice.close()


def test_a_cut_inside_an_element_leaves_nothing_behind(server, domain):
    """The parser of the old connection has seen the beginning; RFC 7395 wants whole elements, but who cuts cares not."""
    jid = f"alice@{domain}"
    alice = server.user(jid, "phone")
    previd = enable_resumption(alice)
    alice.send("<message xmlns='jabber:client'><body>never")
    alice.abort()
    alice = resume(server, jid, previd)
    assert is_alive(alice)
    alice.close()


def test_a_session_that_has_ended_is_not_kept(new_server):
    """Each has 3 MiB of elements in its parser when it ends. Without anything kept the server has some 60 MiB more, for what
    is given back late and in pieces; with all of it, 260."""
    server = new_server().start()
    domain = server.create_host("a.example")
    token = server.login_token(f"alice@{domain}")

    def resident() -> int:
        status = Path(f"/proc/{server.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) // 1024

    before = resident()
    for _ in range(80):
        alice = server.client(f"alice@{domain}", token).connect()
        alice.send("<message xmlns='jabber:client'>" + "<a/>" * 9_000)
        alice.send("<a/>")
        assert ended(alice) == "not-well-formed"
    assert resident() - before < 150, f"{resident() - before} MiB are kept"


@pytest.mark.parametrize("bad", ["too long", "no XML"])
def test_a_resumed_session_ends_where_it_breaks_the_rules(server, domain, bad):
    """Not only its connection: a client that resumes would send the same again."""
    jid = f"alice@{domain}"
    alice = server.user(jid, "phone")
    previd = enable_resumption(alice)
    alice.abort()
    alice = resume(server, jid, previd)
    alice.send_bytes(frame(b"", length=LIMIT + 1) if bad == "too long" else frame("<message></presence>"))
    assert ended(alice) == ("policy-violation" if bad == "too long" else "not-well-formed")
    again = server.client(jid, server.login_token(jid)).open()
    again.authenticate()
    again.send(E("resume", SM, previd=previd, h="0"))
    assert local(again.wait(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"))) == "failed"
    again.close()


# Fragments ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 4096, 128 * 1024])
def test_fragments_of_any_size(server, domain, size):
    total = 20_000 if size < 100 else LIMIT
    with server.user(f"alice@{domain}") as alice, server.user(f"bob@{domain}") as bob:
        text = of_size(total, bob.jid)
        alice.send_bytes(b"".join(fragments(text, size)))
        message = bob.wait_message(timeout=30)
        assert message.findtext(f"{{{CLIENT}}}body") == text.partition("<body>")[2].partition("</body>")[0]
        settle(alice)


def test_pings_between_fragments(server, domain):
    with server.user(f"alice@{domain}") as alice, server.user(f"bob@{domain}") as bob:
        first, *rest = fragments(of_size(1000, bob.jid), 300)
        alice.send_bytes(first + frame(b"still there?", PING) + b"".join(rest))
        assert bob.wait_message() is not None
        settle(alice)


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("size", [2 * LIMIT, 4096])
def test_beyond_the_limit_it_is_a_policy_violation(server, domain, size, resumed):
    jid = f"alice@{domain}"
    alice = server.user(jid)
    if resumed:
        previd = enable_resumption(alice)
        alice.abort()
        alice = resume(server, jid, previd)
    alice.send_bytes(b"".join(fragments(of_size(LIMIT + 50_000, f"bob@{domain}"), size)))
    assert ended(alice) == "policy-violation"


def test_the_limit_itself_passes(server, domain):
    with server.user(f"alice@{domain}") as alice, server.user(f"bob@{domain}") as bob:
        alice.send(of_size(LIMIT, bob.jid))
        assert bob.wait_message(timeout=30) is not None


@pytest.mark.parametrize("length", [LIMIT_BEFORE_LOGIN + 1, 2**62, 2**63, 2**64 - 1])
def test_before_login_less_is_kept(server, domain, length):
    client = server.client(f"alice@{domain}", "x").open()
    client.send_bytes(frame(b"<", length=length))
    assert ended(client) == "policy-violation"


def test_before_login_fragments_are_bounded_too(server, domain):
    client = server.client(f"alice@{domain}", "x").open()
    client.send_bytes(b"".join(fragments("<" + "x" * LIMIT_BEFORE_LOGIN, 1000)))
    assert ended(client) == "policy-violation"


# Frames that must not come --------------------------------------------------------------


BAD_FRAMES = {
    "without a mask": frame("<presence xmlns='jabber:client'/>", masked=False),
    "a ping without a mask": frame(b"", PING, masked=False),
    "a fragment of nothing": frame("<presence xmlns='jabber:client'/>", CONTINUATION),
    "a text within a text": frame("<presence", fin=False) + frame("<presence xmlns='jabber:client'/>"),
    "binary": frame(b"<presence xmlns='jabber:client'/>", BINARY),
    "reserved bits": frame("<presence xmlns='jabber:client'/>", reserved=4),
    "reserved bits of a fragment": frame("<presence ", fin=False) + frame("xmlns='jabber:client'/>", CONTINUATION, reserved=4),
    "reserved opcode": frame(b"", 0x3),
    "reserved control opcode": frame(b"", 0xB),
    "a long ping": frame(b"x" * 126, PING),
    "a fragmented ping": frame(b"", PING, fin=False),
}


@pytest.mark.parametrize("kind", BAD_FRAMES)
def test_bad_frames_end_the_connection(server, domain, kind):
    with server.user(f"watch@{domain}") as watch:
        alice = server.user(f"alice@{domain}")
        alice.send_bytes(BAD_FRAMES[kind] + frame(BODY.format(to=watch.jid, text="not after that")))
        assert isinstance(alice.wait_closed(), Closed)
        settle(watch)
        assert watch.messages() == []


# <open/> --------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before login", "before a resource", "in the session"])
def test_a_second_open_is_answered(server, domain, when):
    jid = f"alice@{domain}"
    client = server.client(jid, server.login_token(jid)).open()
    if when != "before login":
        client.authenticate()
    if when == "in the session":
        client.bind()
    client.send(E("open", FRAMING, to=domain, version="1.0"))
    assert ended(client) == "unsupported-stanza-type"


def test_two_opens_at_once_are_answered(server, domain):
    client = server.client(f"alice@{domain}", "x").open()
    client.send_bytes(2 * frame(f"<open xmlns='{FRAMING}' to='{domain}' version='1.0'/>"))
    assert ended(client) == "unsupported-stanza-type"


def test_what_comes_at_once_is_handled_in_order(server, domain):
    """XEP-0305, and whoever does not wait for answers."""
    jid = f"alice@{domain}"
    client = server.client(jid, server.login_token(jid)).open()
    password = base64.b64encode(f"\0alice\0{client.password}".encode()).decode()
    client.send_bytes(b"".join(frame(text, TEXT) for text in (
        f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{password}</auth>",
        f"<open xmlns='{FRAMING}' to='{domain}' version='1.0'/>",
        "<iq xmlns='jabber:client' type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
    )))
    assert client.wait(lambda e: e.get("id") == "b1").get("type") == "result"
    client.sync()
    client.close()


# Pings ------------------------------------------------------------------------------------

UPGRADE = ("GET /xmpp-websocket HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n")
PINGS = 100_000
PONG_SIZE = 2 + 125


def read_until(connection: socket.socket, ending: bytes) -> int:
    """Reads until something ends so; how many bytes that were."""
    tail, count = b"", 0
    while not tail.endswith(ending):
        data = connection.recv(1 << 16)
        assert data, "the server has closed the connection"
        tail, count = (tail + data)[-1024:], count + len(data)
    return count


def read_some(connection: socket.socket) -> int:
    """Reads what comes within two seconds of the last; how many bytes that were."""
    connection.settimeout(2)
    try:
        return len(connection.recv(1 << 16))
    except TimeoutError:
        return 0


def test_pings_whose_answers_are_not_read_are_answered_no_more(new_server):
    server = new_server(extra={"CLIENT_RATE": "100mb/s"}, log_level="info").start()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", server.settings.http_port))
        connection.sendall(UPGRADE.encode())
        read_until(connection, b"\r\n\r\n")
        connection.sendall(frame(b"x" * 125, PING) * PINGS)
        taken = 0
        while (data := read_some(connection)):
            taken += data
        assert taken < PINGS * PONG_SIZE / 2  # what the kernel takes by itself is a few megabytes
        connection.sendall(frame(b"read again", PING))
        read_until(connection, b"\x8a\x0aread again")
