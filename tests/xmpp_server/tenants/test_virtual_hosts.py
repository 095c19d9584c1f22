"""mod_quobis_virtualhosts: tenants come and survive (xmpp-server/README.md)."""

from __future__ import annotations

import http.client

import httpx
import pytest

from support.prosody import Server
from support.tenants import serves
from support.wait import until
from support.xmpp import AuthFailed, E, XmppError

ITEMS = "http://jabber.org/protocol/disco#items"


# The API


def test_create_answers_when_both_hosts_serve(server, unique_domain):
    domain = unique_domain()
    answer = server.hosts_api("POST", json={"domain": domain})
    assert (answer.status_code, answer.json()) == (201, {"domain": domain})
    assert answer.headers["content-type"] == "application/json"
    assert serves(server, domain)
    again = server.hosts_api("POST", json={"domain": domain})
    assert (again.status_code, again.json()) == (200, {"domain": domain})
    server.delete_host(domain)


def test_delete(server, domain):
    answer = server.hosts_api("DELETE", f"/{domain}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert not serves(server, domain)
    with pytest.raises(XmppError) as failure:
        server.user(f"alice@{domain}")
    assert failure.value.condition == "host-unknown"
    again = server.hosts_api("DELETE", f"/{domain}")
    assert again.status_code == 404 and "error" in again.json()


def test_list_is_sorted(new_server):
    server = new_server().start()
    assert server.hosts_api("GET").text == "[]"
    for domain in ("b.example", "a.example", "c.a.example"):
        server.create_host(domain)
    assert server.hosts_api("GET").json() == [
        {"domain": "a.example"}, {"domain": "b.example"}, {"domain": "c.a.example"}]


@pytest.mark.parametrize("spelling", ["xn--bcher-kva.{}", "XN--Bcher-KVA.{}", "BÜCHER.{}", "bu\u0308cher.{}", "bücher\u3002{}"])
def test_both_spellings_of_a_domain_are_one_tenant(server, unique_domain, spelling):
    tail = unique_domain()
    domain, other = f"bücher.{tail}", spelling.format(tail)
    for name, status in ((other, 201), (domain, 200), (other, 200)):
        answer = server.hosts_api("POST", json={"domain": name})
        assert (answer.status_code, answer.json()) == (status, {"domain": domain})
    assert [name for name in server.hosts() if tail in name] == [domain]
    with server.user(f"alice@{domain}") as alice:
        assert alice.jid.startswith(f"alice@{domain}/")
        ascii_form = f"xn--bcher-kva.{tail}"
        with pytest.raises(XmppError) as failure:
            server.user(f"alice@{ascii_form}")
        assert failure.value.condition == "host-unknown"
        client = server.client(f"alice@{domain}", server.login_token(f"alice@{ascii_form}"))
        with pytest.raises(AuthFailed):
            client.connect()
        assert server.hosts_api("DELETE", f"/{other}").status_code == 204
        assert str(alice.wait_closed().condition) == "host-gone"
    assert domain not in server.hosts()


@pytest.mark.parametrize("name", ["xn--strae-oqa.example", "xn--abc.example", "a.xn--.example", "b.xn--a"])
def test_an_ascii_form_that_stands_for_no_other_is_refused(server, name):
    for answer in (server.hosts_api("POST", json={"domain": name}), server.hosts_api("DELETE", f"/{name}")):
        assert answer.status_code == 400 and "error" in answer.json()
    assert name not in server.hosts()


def test_a_tenant_of_before_under_its_ascii_form_can_be_deleted(new_server):
    """It was made when both spellings were tenants of their own."""
    own = new_server().start()
    own.create_host("bücher.example")
    own.stop()
    with own.database() as database:
        insert = ("INSERT INTO prosody (host, \"user\", store, key, type, value) SELECT host, 'xn--bcher-kva.example', store, key, type, "
                  "value FROM prosody WHERE store = 'virtualhosts' AND \"user\" = 'bücher.example'")
        assert database.execute(insert).rowcount > 0
    own.start()
    assert own.hosts() == ["bücher.example", "xn--bcher-kva.example"]
    own.delete_host("xn--bcher-kva.example")
    assert own.hosts() == ["bücher.example"]
    own.delete_host("xn--bcher-kva.example")
    assert own.hosts() == []


def test_name_comes_back_canonical(server, unique_domain):
    domain = unique_domain()
    answer = server.hosts_api("POST", json={"domain": domain.upper()})
    assert (answer.status_code, answer.json()) == (201, {"domain": domain})
    assert server.hosts_api("POST", json={"domain": domain}).status_code == 200
    server.delete_host(domain.title())
    assert domain not in server.hosts()


@pytest.mark.parametrize("name", [
    "", " ", "a b.example", "a..example", ".example", "example.", "-a.example", "a-.example", "a_b.example", "a/b",
    "user@a.example", "a.example/x", "a.example:5222", "*", "..", "../a", "a\u0000b", "a\nb", "<a>", "127.0.0.1", "::1",
    "a" * 64 + ".example", ".".join(["a" * 60] * 5), "conference.a.example", "CONFERENCE.a.example", "conference.",
    None, 1, True, ["a.example"], {"domain": "a.example"},
])
def test_bad_name(server, name):
    before = server.hosts()
    answer = server.hosts_api("POST", json={"domain": name})
    assert answer.status_code == 400 and answer.json()["error"]
    assert server.hosts() == before


@pytest.mark.parametrize("path, status", [
    ("/%2e%2e", 400), ("/%00", 400), ("/a%20b", 400), ("/conference.static.example", 400), ("/" + "a" * 300, 400),
    ("/a%2561", 400), ("/a%2Fb", 404), ("/%2e%2e%2Fstatic.example", 404),
])
def test_bad_name_to_delete(server, path, status):
    answer = server.hosts_api("DELETE", path)
    assert answer.status_code == status and answer.json()["error"]


def test_path_may_be_percent_encoded(server, domain):
    assert server.hosts_api("DELETE", "/" + domain.replace(".", "%2E")).status_code == 204


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b"1", b'"a.example"', b"{}", b'{"host":"a.example"}', b"\xff\xfe", b"[" * 4000,
    b'{"domain":"a.example"' + b" " * 5000 + b"}",
])
def test_bad_body(server, body):
    answer = server.hosts_api("POST", content=body)
    assert answer.status_code == 400 and answer.json()["error"]


def test_reserved_names(server):
    admin_host = server.admin_jid.partition("@")[2]
    for method, path, body in (("POST", "", {"domain": admin_host}), ("DELETE", f"/{admin_host}", None)):
        answer = server.hosts_api(method, path, json=body)
        assert answer.status_code == 409 and answer.json()["error"]
    assert admin_host not in server.hosts()


@pytest.mark.parametrize("name", ["sippo-cells.internal", "eu-1.sippo-cells.internal", "a.eu-1.Sippo-Cells.internal"])
def test_no_tenant_has_a_name_of_cells(server, name):
    answer = server.hosts_api("POST", json={"domain": name})
    assert answer.status_code == 400 and "sippo-cells.internal" in answer.json()["error"]
    assert name.lower() not in server.hosts()


def test_static_host_is_there_and_stays(server):
    assert "static.example" in server.hosts()
    assert server.hosts_api("POST", json={"domain": "static.example"}).status_code == 200
    answer = server.hosts_api("DELETE", "/static.example")
    assert answer.status_code == 409 and answer.json()["error"]
    assert serves(server, "static.example")


@pytest.mark.parametrize("header", [
    None, "", "Bearer", "Bearer wrong", "Basic {}", "Bearer {}x", "Bearer x{}", "{}", "Bearer {} {}",
    "Bearer {}, Bearer {}",
])
@pytest.mark.parametrize("method, path", [("GET", ""), ("POST", ""), ("DELETE", "/static.example"), ("PUT", "/x")])
def test_wrong_token(server, header, method, path):
    headers = {} if header is None else {"Authorization": header.replace("{}", server.admin_token)}
    body = b'{"domain":"intruder.example"}' if method == "POST" else None
    answer = httpx.request(method, server.hosts_url + path, headers=headers, content=body, trust_env=False)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["error"] and server.admin_token not in answer.text
    assert "intruder.example" not in server.hosts()


def test_two_authorization_headers_are_refused(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.settings.http_port, timeout=10)
    connection.putrequest("GET", "/quobis_virtualhosts/virtualhost")
    connection.putheader("Authorization", f"Bearer {server.admin_token}")
    connection.putheader("Authorization", "Bearer wrong")
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


@pytest.mark.parametrize("method, path, status, allow", [
    ("PUT", "", 405, "GET, HEAD, POST"), ("PATCH", "", 405, "GET, HEAD, POST"), ("DELETE", "", 405, "GET, HEAD, POST"),
    ("GET", "/a.example", 405, "DELETE"), ("POST", "/a.example", 405, "DELETE"),
    ("DELETE", "/a.example/b", 404, None), ("GET", "/../x", 404, None), ("GET", "x", 404, None),
])
def test_other_methods_and_paths(server, method, path, status, allow):
    answer = server.hosts_api(method, path)
    assert answer.status_code == status and answer.headers.get("allow") == allow
    assert answer.json()["error"]


@pytest.mark.parametrize("host", ["127.0.0.1", "prosody:5280", "web.sippo", "static.example", "localhost"])
def test_host_header_does_not_matter(server, host):
    assert server.hosts_api("GET", headers={"Host": host}).status_code == 200
    connection = http.client.HTTPConnection("127.0.0.1", server.settings.http_port, timeout=10)
    connection.request("GET", "/xmpp-websocket", headers={"Host": host})
    assert connection.getresponse().status == 200
    connection.close()


def test_api_is_not_for_browsers(server):
    answer = server.hosts_api("GET", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


# Survival


@pytest.fixture
def own(new_server) -> Server:
    """A server that the test may kill."""
    return new_server(extra={"STATIC_HOSTS": "static.example"}).start()


def test_hosts_survive_a_restart_and_a_crash(own):
    own.create_host("kept.example")
    own.create_host("gone.example")
    own.delete_host("gone.example")
    own.restart()
    assert own.hosts() == ["kept.example", "static.example"] and serves(own, "kept.example")
    own.create_host("late.example")
    own.kill()
    own.start()
    assert own.hosts() == ["kept.example", "late.example", "static.example"]
    assert serves(own, "late.example") and serves(own, "kept.example")
    own.delete_host("kept.example")
    own.kill()
    own.start()
    assert own.hosts() == ["late.example", "static.example"]


def test_hosts_survive_a_reload_of_the_configuration(own):
    own.create_host("kept.example")
    alice = own.user("alice@kept.example")
    own.reload()
    alice.sync()
    assert own.hosts() == ["kept.example", "static.example"] and serves(own, "kept.example")
    alice.join_room("adhoc-x@conference.kept.example")
    assert own.hosts_api("DELETE", "/static.example").status_code == 409
    own.create_host("new.example")
    assert serves(own, "new.example")
    own.delete_host("kept.example")
    own.reload()
    assert own.hosts() == ["new.example", "static.example"]


def test_dynamic_host_that_the_configuration_takes_over(own):
    own.create_host("moved.example")
    own.restart(extra={"STATIC_HOSTS": "static.example,moved.example"})
    assert own.hosts_api("DELETE", "/moved.example").status_code == 409
    assert serves(own, "moved.example")


def test_tenants_are_not_listed_under_the_names_above_theirs(server, domain):
    below = server.create_host(f"secret.{domain}")
    with server.user(f"alice@{domain}") as alice, server.user(f"bob@{below}") as bob:
        for client, own in ((alice, domain), (bob, below)):
            items = client.iq("get", E("query", ITEMS), to=own)
            assert {e.get("jid") for e in items.iter(f"{{{ITEMS}}}item")} == {f"conference.{own}"}
    server.delete_host(below)


@pytest.mark.provokes("mod_storage_sql.lua", "Host b.example could not be started")
def test_an_entry_that_cannot_be_read_keeps_no_other_tenant_away(own):
    domains = [own.create_host(name) for name in ("a.example", "b.example", "c.example")]
    admin_host = own.admin_jid.partition("@")[2]
    own.stop()
    with own.database() as db:
        change = "UPDATE prosody SET type='json', value='damaged' WHERE host=? AND \"user\"='b.example' AND store='virtualhosts'"
        assert db.execute(change, (admin_host,)).rowcount == 1
    own.start()
    until(lambda: serves(own, "c.example"), "the third tenant", 10)
    assert [name for name in domains if serves(own, name)] == ["a.example", "c.example"]
    own.reload()
    until(lambda: own.log_text().count("Host b.example could not be started") == 2, "the error after the reload", 10)
    assert "then send SIGHUP" in own.log_text()
