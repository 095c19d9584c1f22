"""How much the server takes by HTTP before it knows from whom: little, and uploads as they come."""

from __future__ import annotations

import socket

import httpx
import pytest

from support.wait import until
from support.xmpp import E

UPLOAD = "urn:xmpp:http:upload:0"


def upload_slot(client, size: int) -> tuple[str, dict[str, str], str]:
    request = E("request", UPLOAD, filename="a.bin", size=str(size))
    slot = client.iq("get", request, to=client.domain)
    put = slot.find(f".//{{{UPLOAD}}}put")
    headers = {h.get("name"): h.text for h in put.iter(f"{{{UPLOAD}}}header")}
    return put.get("url"), headers, slot.find(f".//{{{UPLOAD}}}get").get("url")


@pytest.mark.parametrize("size", [1, 8 * 1024, 8 * 1024 + 1, 300 * 1024, 10 * 1024 * 1024])
def test_uploads_of_any_size_up_to_the_limit(server, domain, size):
    content = bytes(range(256)) * (size // 256 + 1)
    with server.user(f"alice@{domain}") as alice:
        put, headers, get = upload_slot(alice, size)
        assert httpx.put(put, content=content[:size], headers=headers, trust_env=False, timeout=60).status_code == 201
        assert httpx.get(get, trust_env=False, timeout=60).content == content[:size]


def begin_upload(server, put: str, headers: dict[str, str], size: int, piece: bytes) -> socket.socket:
    """Sends the first piece of an upload; the connection, when that is on the disk."""
    head = [f"PUT {httpx.URL(put).path} HTTP/1.1", "Host: x", f"Content-Length: {size}"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    raw = socket.create_connection(("127.0.0.1", server.settings.http_port), timeout=10)
    raw.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + piece)
    until(lambda: list(server.data.rglob("*.bin~")), "the first piece on the disk", 10)
    return raw


def ended(raw: socket.socket) -> bool:
    """Whether the server ends the connection without an answer."""
    try:
        return raw.recv(1) == b""
    except ConnectionResetError:
        return True


def test_an_upload_that_broke_off_is_repeated(server, domain):
    content = b"x" * (1024 * 1024)
    with server.user(f"alice@{domain}") as alice:
        put, headers, get = upload_slot(alice, len(content))
    begin_upload(server, put, headers, len(content), content[:500_000]).close()
    until(lambda: not list(server.data.rglob("*.bin~")), "its removal", 10)
    assert httpx.put(put, content=content, headers=headers, trust_env=False, timeout=60).status_code == 201
    assert httpx.get(get, trust_env=False, timeout=60).content == content


def test_an_upload_is_repeated_before_the_server_knows_that_it_broke_off(server, domain):
    content = b"x" * (1024 * 1024)
    with server.user(f"alice@{domain}") as alice:
        put, headers, get = upload_slot(alice, len(content))
    with begin_upload(server, put, headers, len(content), b"y" * 500_000) as first:
        assert httpx.put(put, content=content, headers=headers, trust_env=False, timeout=60).status_code == 201
        assert httpx.get(get, trust_env=False, timeout=60).content == content
        assert ended(first)
    assert httpx.get(get, trust_env=False, timeout=60).content == content
    assert not list(server.data.rglob("*.bin~"))


def test_one_without_its_token_ends_no_upload(server, domain):
    content = b"x" * (1024 * 1024)
    with server.user(f"alice@{domain}") as alice:
        put, headers, get = upload_slot(alice, len(content))
        _, others, _ = upload_slot(alice, len(content))
    with begin_upload(server, put, headers, len(content), content[:500_000]) as first:
        # Prosody 13 tells a token that is not good for this slot (403) from none (401).
        no_slots, no_token = (400, 401) if server.series == "0.12" else (403, 403)
        for wrong, status in ((others, no_slots), ({"Authorization": "Bearer x"}, no_token), ({}, 401)):
            assert httpx.put(put, content=b"small", headers=wrong, trust_env=False).status_code == status
        first.sendall(content[500_000:])
        assert first.recv(100).startswith(b"HTTP/1.1 201")
    assert httpx.get(get, trust_env=False, timeout=60).content == content


@pytest.mark.parametrize("method, path", [
    ("POST", "/"), ("POST", "/xmpp-websocket"), ("POST", "/quobis_virtualhosts/virtualhost"),
    ("PUT", "/file_share/static.example/x/y"),
])
def test_a_large_body_is_refused_before_it_comes(server, method, path):
    with socket.create_connection(("127.0.0.1", server.settings.http_port), timeout=10) as raw:
        raw.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode())
        answer = b""
        while piece := raw.recv(10000):  # until the server closes
            answer += piece
    assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 404", b"HTTP/1.1 405"))


def test_a_stanza_may_be_larger_than_a_body(server, domain):
    text = "x" * (100 * 1024)
    with server.user(f"alice@{domain}") as alice, server.user(f"bob@{domain}") as bob:
        bob.presence()
        bob.sync()
        alice.message(bob.bare_jid, text)
        bob.wait_message(text)
