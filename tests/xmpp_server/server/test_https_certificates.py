"""mod_sippo_https_certificates: HTTPS and wss by any name that a certificate has, and by others (RFC 6066, section 3)."""

from __future__ import annotations

import shutil
import socket
import ssl

import httpx
import pytest

from stack.authority import Authority
from stack.ports import free_port
from support.wait import until

FIRST = ("127.0.0.1", "localhost", "chat.first.example", "*.wild.example")
SECOND = ("chat.second.example", "xn--bcher-kva.example")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(new_server, authority):
    """One with two certificates."""
    pairs = [authority.issue(*names) for names in (FIRST, SECOND)]
    made = new_server(https_port=free_port(), certificate=",".join(str(one) for one, _ in pairs),
                      key=", ".join(str(key) for _, key in pairs))
    made.pairs = pairs
    made.start()
    loaded(made, 1)
    return made


def loaded(server, times: int) -> None:
    """Waits until it has loaded its certificates so often."""
    until(lambda: server.log_text().count("HTTPS serves ") >= times, "certificates", 10)


def serial(server, authority, name: str | None, *, check: bool = True) -> int:
    """The serial number of the certificate that a client gets who asks for `name`; checked as the client would."""
    context = ssl.create_default_context(cafile=str(authority.root))
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # which Python 3.13 does by itself
    context.check_hostname = check and name is not None
    with socket.create_connection(("127.0.0.1", server.settings.https_port), timeout=10) as plain, \
            context.wrap_socket(plain, server_hostname=name) as secure:
        secure.sendall(b"GET / HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n")
        assert secure.recv(100).startswith(b"HTTP/1.1 ")
        return int(secure.getpeercert()["serialNumber"], 16)


@pytest.mark.parametrize("name", ["localhost", "chat.first.example", "a.wild.example", "b.wild.example", "CHAT.FIRST.example",
                                  *SECOND])
def test_a_name_gets_the_certificate_that_has_it(server, authority, name):
    assert serial(server, authority, name)


def test_another_name_and_none_get_the_first(server, authority):
    first = serial(server, authority, "chat.first.example")
    assert serial(server, authority, None) == first
    assert serial(server, authority, "elsewhere.example", check=False) == first
    assert serial(server, authority, "a.b.wild.example", check=False) == first
    assert serial(server, authority, "chat.second.example") != first


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_https_and_wss(server, authority, host):
    domain = server.create_host("tls.example")
    context = ssl.create_default_context(cafile=str(authority.root))
    url = f"https://{host}:{server.settings.https_port}"
    listed = httpx.get(f"{url}/quobis_virtualhosts/virtualhost", verify=context, trust_env=False,
                       headers={"Authorization": f"Bearer {server.admin_token}"})
    assert listed.json() == [{"domain": domain}]
    jid = f"alice@{domain}"
    alice = server.client(jid, server.login_token(jid), ssl=context)
    alice.url = url.replace("https", "wss") + "/xmpp-websocket"
    with alice.connect():
        alice.sync()


def test_tenants_that_come_and_go_change_nothing(server, authority):
    before = [serial(server, authority, name) for name in (None, "localhost", "chat.second.example")]
    domain = server.create_host("comes.example")
    server.delete_host(domain)
    assert [serial(server, authority, name) for name in (None, "localhost", "chat.second.example")] == before
    assert serial(server, authority, domain, check=False) == before[0]


def test_renewed_certificates_are_served_after_a_reload(server, authority):
    names = (None, "localhost", "chat.second.example")
    before = [serial(server, authority, name) for name in names]
    for (certificate, key), all_names in zip(server.pairs, (FIRST, SECOND), strict=True):
        new_certificate, new_key = authority.issue(*all_names)
        shutil.copy(new_certificate, certificate)
        shutil.copy(new_key, key)
    server.reload()
    loaded(server, 2)
    after = [serial(server, authority, name) for name in names]
    assert not set(before) & set(after) and after[0] == after[1] != after[2]


@pytest.mark.provokes("There was an error parsing the configuration file")
def test_a_renewal_that_cannot_be_read_leaves_the_old_ones(server, authority):
    before = serial(server, authority, "localhost")
    server.pairs[1][0].write_text("half a certificate")
    server.reload()
    assert serial(server, authority, "localhost") == before
    assert serial(server, authority, "chat.second.example")
    [problem] = server.health().json()["problems"]
    assert "SIPPO_XMPP_CERTIFICATE" in problem
