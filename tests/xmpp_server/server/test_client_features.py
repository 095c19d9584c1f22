"""What chat clients need of the server, and what it must not offer (xmpp-server/README.md)."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from stack import prosody
from stack.ports import free_port
from support.wait import until
from support.xmpp import E, StanzaError, XmppError, body, error_condition, local, namespace

DISCO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
CARBONS = "urn:xmpp:carbons:2"
MAM = "urn:xmpp:mam:2"
SM = "urn:xmpp:sm:3"
CSI = "urn:xmpp:csi:0"
BLOCKING = "urn:xmpp:blocking"
PUBSUB = "http://jabber.org/protocol/pubsub"
BOOKMARKS = "urn:xmpp:bookmarks:1"
UPLOAD = "urn:xmpp:http:upload:0"
FORWARD = "urn:xmpp:forward:0"
DELAY = "urn:xmpp:delay"


def features(client, to: str) -> set[str]:
    """Disco features (XEP-0030) of an entity."""
    return {e.get("var") for e in client.iq("get", E("query", DISCO), to=to).iter(f"{{{DISCO}}}feature")}


def archived(client, to: str | None = None) -> list[str]:
    """The texts in an archive (XEP-0313), oldest first."""
    query_id = client.next_id()
    client.iq("set", E("query", MAM, queryid=query_id), to=to)
    results = client.received(lambda e: e.find(f"{{{MAM}}}result[@queryid='{query_id}']") is not None)
    return [text for result in results
            if (text := body(result.find(f".//{{{FORWARD}}}forwarded/{{jabber:client}}message")))]


@pytest.fixture(scope="module", autouse=True)
def log_before(server) -> int:
    """How many characters the server had logged before this file's tests."""
    return len(server.log_text())


def test_account_and_server_announce_what_they_do(server, domain):
    with server.user(f"alice@{domain}") as alice:
        account = features(alice, alice.bare_jid)
        assert {MAM, BOOKMARKS + "#compat", f"{PUBSUB}#publish"} <= account
        assert {"urn:xmpp:ping", CARBONS, BLOCKING, UPLOAD, "vcard-temp"} <= features(alice, domain)
        assert {MAM, "http://jabber.org/protocol/muc", "urn:quobis:sippo:muc-admin-batch:0"} \
            <= features(alice, f"conference.{domain}")
        items = alice.iq("get", E("query", ITEMS), to=domain)
        assert f"conference.{domain}" in {e.get("jid") for e in items.iter(f"{{{ITEMS}}}item")}
        offered = {namespace(feature) for feature in alice.features}
        assert {SM, CSI} <= offered


def test_message_to_someone_who_never_logged_in(server, domain):
    with server.user(f"alice@{domain}") as alice:
        alice.message(f"newcomer@{domain}", "first")
        alice.message(f"newcomer@{domain}", "second")
        alice.sync()
        assert alice.messages() == []  # no bounce
    with server.user(f"newcomer@{domain}") as newcomer:
        newcomer.sync()
        assert newcomer.messages() == []  # not before available presence
        newcomer.presence()
        first, second = newcomer.wait_message(), newcomer.wait_message()
        assert (body(first), body(second)) == ("first", "second")
        assert first.find(f"{{{DELAY}}}delay") is not None
    with server.user(f"newcomer@{domain}") as again:
        again.presence()
        again.sync()
        assert again.messages() == []  # delivered once


@pytest.fixture
def after_a_crash(new_server, unique_domain):
    """A server that was killed right after Alice had written "kept" to Bob, who was offline; and their domain."""
    server = new_server().start()
    domain = server.create_host(unique_domain())
    with server.user(f"alice@{domain}") as alice:
        alice.message(f"bob@{domain}", "kept")
        alice.sync()
    server.kill()
    server.start()
    return server, domain


def test_offline_messages_survive_a_crash(after_a_crash):
    server, domain = after_a_crash
    with server.user(f"bob@{domain}") as bob:
        bob.presence()
        bob.wait_message("kept")


@pytest.mark.parametrize("localpart", ["Bob", "bob\u00a0x", "\uff42ob", "b@b", "b b"])
def test_names_that_are_not_canonical_do_not_exist_apart(server, domain, localpart):
    with server.user(f"alice@{domain}") as alice:
        id = alice.next_id()
        alice.send(E("message", None, E("body", None, "to whom?"), to=f"{localpart}@{domain}", id=id, type="chat"))
        alice.sync()
        errors = [e for e in alice.messages() if error_condition(e)]
    with server.user(f"bob@{domain}") as bob:
        bob.presence()
        bob.sync()
        delivered = bob.messages()
    # preparation makes it bob, or it is no JID at all; nobody else is written to
    assert bool(delivered) != bool(errors)


def test_archive_of_user_and_room(server, domain):
    room = f"adhoc-archive@conference.{domain}"
    with server.user(f"alice@{domain}") as alice, server.user(f"bob@{domain}") as bob:
        bob.presence()
        bob.sync()
        alice.message(bob.bare_jid, "one")
        bob.wait_message("one")
        bob.message(alice.jid, "two")
        alice.wait_message("two")
        assert archived(alice) == archived(bob) == ["one", "two"]
        alice.join_room(room)
        alice.message(room, "to all", type="groupchat")
        alice.wait_message("to all")
        assert archived(alice, room) == ["to all"]


def test_archives_and_rooms_survive_a_crash(after_a_crash):
    server, domain = after_a_crash
    with server.user(f"alice@{domain}") as alice:
        assert archived(alice) == ["kept"]


def test_carbons(server, domain):
    with server.user(f"alice@{domain}", "a") as one, server.user(f"alice@{domain}", "b") as two, \
            server.user(f"bob@{domain}") as bob:
        for client in (one, two):
            client.iq("set", E("enable", CARBONS))
            client.presence()
            client.sync()
        one.message(bob.jid, "sent")
        assert two.wait(lambda e: e.find(f"{{{CARBONS}}}sent") is not None) is not None
        bob.message(one.jid, "received")
        assert two.wait(lambda e: e.find(f"{{{CARBONS}}}received") is not None) is not None


def test_resumption_loses_nothing(server, domain):
    jid = f"alice@{domain}"
    first = server.user(jid, "phone")
    first.presence()
    first.send(E("enable", SM, resume="true"))
    previd = first.wait(lambda e: e.tag == f"{{{SM}}}enabled").get("id")
    first.sync()
    first.abort()
    with server.user(f"bob@{domain}") as bob:
        bob.message(f"{jid}/phone", "while away")
        bob.sync()
    second = server.client(jid, server.login_token(jid)).open()
    second.authenticate()
    second.send(E("resume", SM, previd=previd, h="0"))
    assert local(second.wait(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"))) == "resumed"
    second.wait_message("while away")
    second.close()


def test_resumption_is_for_the_same_user_only(server, domain):
    first = server.user(f"alice@{domain}")
    first.send(E("enable", SM, resume="true"))
    previd = first.wait(lambda e: e.tag == f"{{{SM}}}enabled").get("id")
    jid = f"mallory@{domain}"
    thief = server.client(jid, server.login_token(jid)).open()
    thief.authenticate()
    thief.send(E("resume", SM, previd=previd, h="0"))
    assert local(thief.wait(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"))) == "failed"
    thief.close()
    first.close()


def test_blocking(server, domain):
    with server.user(f"alice@{domain}") as alice, server.user(f"mallory@{domain}") as mallory:
        alice.presence()
        alice.iq("set", E("block", BLOCKING, E("item", BLOCKING, jid=mallory.bare_jid)))
        mallory.message(alice.bare_jid, "let me in")
        bounce = mallory.wait_message()
        assert error_condition(bounce) is not None
        alice.sync()
        assert [m for m in alice.messages() if body(m)] == []


def test_bookmarks(server, domain):
    jid, room = f"alice@{domain}", f"adhoc-x@conference.{domain}"
    with server.user(jid) as alice:
        item = E("item", PUBSUB, E("conference", BOOKMARKS, name="X", autojoin="true"), id=room)
        alice.iq("set", E("pubsub", PUBSUB, E("publish", PUBSUB, item, node=BOOKMARKS)))
    with server.user(jid) as again:
        found = again.iq("get", E("pubsub", PUBSUB, E("items", PUBSUB, node=BOOKMARKS)))
        assert found.find(f".//{{{PUBSUB}}}item").get("id") == room
    with server.user(f"bob@{domain}") as bob:
        with pytest.raises(StanzaError):
            bob.iq("get", E("pubsub", PUBSUB, E("items", PUBSUB, node=BOOKMARKS)), to=jid)


def upload_slot(client, size: int) -> tuple[str, dict[str, str], str]:
    reply = client.iq("get", E("request", UPLOAD, filename="note.txt", size=str(size), **{"content-type": "text/plain"}),
                      to=client.domain)
    put = reply.find(f".//{{{UPLOAD}}}put")
    headers = {h.get("name"): h.text for h in put.iter(f"{{{UPLOAD}}}header")}
    return put.get("url"), headers | {"Content-Type": "text/plain"}, reply.find(f".//{{{UPLOAD}}}get").get("url")


def test_upload(server, domain, other_domain):
    with server.user(f"alice@{domain}") as alice:
        put, headers, get = upload_slot(alice, 5)
        assert put.startswith(f"http://127.0.0.1:{server.settings.http_port}/file_share/{domain}/")
        assert httpx.put(put, content=b"12345", headers=headers, trust_env=False).status_code == 201
        assert httpx.get(get, trust_env=False).content == b"12345"
        _, headers, other = upload_slot(alice, 5)
        assert httpx.put(other, content=b"12345", trust_env=False).status_code in (401, 403)
        with pytest.raises(StanzaError):
            upload_slot(alice, 100 * 1024 * 1024)
        with pytest.raises(StanzaError):
            alice.iq("get", E("request", UPLOAD, filename="x", size="1"), to=other_domain)


def test_upload_behind_a_public_url(new_server, unique_domain):
    server = new_server(extra={"PUBLIC_HTTP_URL": "https://chat.test/files/"}).start()
    with server.user(f"alice@{server.create_host(unique_domain())}") as alice:
        put, headers, get = upload_slot(alice, 3)
        prefix = "https://chat.test/files/"
        assert put.startswith(prefix) and get.startswith(prefix)
        here = f"http://127.0.0.1:{server.settings.http_port}/"
        answer = httpx.put(put.replace(prefix, here), content=b"abc", headers=headers | {"Host": "chat.test"},
                           trust_env=False)
        assert answer.status_code == 201
        assert httpx.get(get.replace(prefix, here), headers={"Host": "chat.test"}, trust_env=False).content == b"abc"


def test_quiet_connections_are_kept_alive(new_server, unique_domain):
    server = new_server(extra={"KEEPALIVE": "1"}).start()
    with server.user(f"alice@{server.create_host(unique_domain())}") as alice:
        pongs = "Websocket received frame: opcode=a"  # answers to the server's pings (RFC 6455, section 5.5.3)
        until(lambda: server.log_text().count(pongs) >= 2, "two answered pings", 10)
        alice.sync()


def test_every_option_is_taken(new_server, unique_domain):
    server = new_server(extra={
        "ARCHIVE_RETENTION": "30d", "OFFLINE_QUOTA": "0", "UPLOAD_SIZE_LIMIT": "1000", "UPLOAD_DAILY_QUOTA": "2000",
        "UPLOAD_RETENTION": "3600", "RESUME_TIMEOUT": "30", "ROOM_CACHE_SIZE": "10", "CLIENT_RATE": "64kb/s",
        "TRUSTED_PROXIES": "127.0.0.1, 10.0.0.1", "SESSION_MAX_AGE": "60", "RESUME_LIMIT": "3",
        "ADHOC_ROOM_LIMIT": "0",
    }, admin_jid="boss@admin.test").start()
    with server.user(f"alice@{server.create_host(unique_domain())}") as alice, server.admin() as admin:
        assert admin.jid.startswith("boss@admin.test/")
        upload_slot(alice, 1000)
        with pytest.raises(StanzaError):
            upload_slot(alice, 1001)
        alice.send(E("enable", SM, resume="true"))
        assert alice.wait(lambda e: e.tag == f"{{{SM}}}enabled").get("max") == "30"
        alice.message(f"bob@{alice.domain}", "beyond the quota")
        assert error_condition(alice.wait_message()) is not None


# What there is not


@pytest.mark.parametrize("xmlns", [
    "jabber:iq:register", "http://jabber.org/protocol/commands", "jabber:iq:auth", "urn:xmpp:sasl:2",
])
def test_feature_is_absent(server, domain, xmlns):
    client = server.client(f"alice@{domain}", server.login_token(f"alice@{domain}")).open()
    assert xmlns not in {namespace(e) for e in client.features}
    client.close()
    with server.user(f"alice@{domain}") as alice:
        assert xmlns not in features(alice, domain)


def test_no_server_to_server(server, domain):
    with server.user(f"alice@{domain}") as alice:
        alice.message("bob@far.example", "hello")
        assert error_condition(alice.wait_message()) is not None


def test_http_is_the_only_listener(server):
    ports = set()
    inodes = {Path(f"/proc/{server.pid}/fd/{fd.name}").readlink().name
              for fd in Path(f"/proc/{server.pid}/fd").iterdir() if fd.is_symlink()}
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{server.pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in inodes and fields[3] in ("0A", "07"):  # listening, or UDP
                address, _, port = fields[1].partition(":")
                ports.add((address, int(port, 16)))
    assert ports == {("0100007F", server.settings.http_port)}


def test_oversized_stanza_ends_the_session_and_no_other(server, domain):
    with server.user(f"alice@{domain}") as alice, server.user(f"bob@{domain}") as bob:
        bob.presence()
        bob.sync()
        try:
            alice.message(bob.bare_jid, "x" * (256 * 1024))
        except XmppError:
            pass  # the server may close while the frame is still on its way, and then its stream error may be lost
        assert alice.wait_closed() is not None
        bob.sync()
        assert bob.messages() == []
        assert "stanza too large" in server.log_text()


def test_connection_that_is_not_xmpp(server):
    with socket.create_connection(("127.0.0.1", server.settings.http_port), timeout=5) as raw:
        raw.sendall(b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' to='static.example'>\r\n\r\n")
        answer = raw.recv(1000)
    assert b"stream:features" not in answer


def test_port_taken_is_not_taken_for_ready(new_server, server):
    second = new_server(http_port=server.settings.http_port)
    process = second.launch()
    try:
        ready = prosody.process(second.settings).ready
        assert ready() is False  # another server answers there, and refuses this one's token
    finally:
        process.kill()
        process.wait(10)


def test_ready_never_raises(tmp_path):
    settings = prosody.Settings(data=tmp_path, http_port=free_port(), admin_token="x" * 32)
    assert prosody.process(settings).ready() is False
    assert "x" * 32 not in repr(settings)


def test_modules_log_no_errors(server, log_before):
    """Last in this file: nothing in it must have made a module fail."""
    text = server.log_text()[log_before:]
    assert "Traceback" not in text
    errors = [line for line in text.splitlines() if "error\t" in line[:80]]
    assert errors == []
