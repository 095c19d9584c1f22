"""mod_quobis_virtualhosts: tenants go, with all that was theirs (xmpp-server/README.md)."""

from __future__ import annotations

import http.client
import re
from pathlib import Path

import httpx
import pytest

from support.prosody import Server
from support.stanzas import bounced, deliver, go_online, has_body
from support.tenants import serves
from support.wait import until
from support.xmpp import AuthFailed, E, StreamError, XmppError, local

ROSTER = "jabber:iq:roster"
PUBSUB = "http://jabber.org/protocol/pubsub"
PRIVATE = "jabber:iq:private"
BLOCKING = "urn:xmpp:blocking"
UPLOAD = "urn:xmpp:http:upload:0"
MAM = "urn:xmpp:mam:2"
SM = "urn:xmpp:sm:3"
VCARD = "vcard-temp"
DATA = "jabber:x:data"
MUC_OWNER = "http://jabber.org/protocol/muc#owner"


def test_delete_closes_every_session(server, domain, other_domain):
    online = server.user(f"alice@{domain}")
    online.presence()
    unbound = server.client(f"bob@{domain}", server.login_token(f"bob@{domain}")).open()
    unbound.authenticate()
    unauthenticated = server.client(f"carol@{domain}", "x").open()
    sleeper = server.user(f"dave@{domain}", "phone")
    sleeper.send(E("enable", SM, resume="true"))
    previd = sleeper.wait(lambda e: e.tag == f"{{{SM}}}enabled").get("id")
    sleeper.abort()
    elsewhere = server.user(f"erin@{other_domain}")
    server.delete_host(domain)
    for client in (online, unbound, unauthenticated):
        end = client.wait_closed()
        assert isinstance(end, StreamError) and end.condition == "host-gone"
    elsewhere.sync()
    elsewhere.close()
    server.create_host(domain)
    again = server.client(sleeper.bare_jid, server.login_token(sleeper.bare_jid)).open()
    again.authenticate()
    again.send(E("resume", SM, previd=previd, h="0"))
    assert local(again.wait(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"))) == "failed"
    again.close()


@pytest.mark.provokes("disk trouble")
def test_delete_goes_on_when_the_end_of_a_session_cannot_be_stored(server, domain):
    sleeper = server.user(f"dave@{domain}", "phone")
    go_online(sleeper)
    sleeper.send(E("enable", SM, resume="true"))
    sleeper.wait(lambda e: e.tag == f"{{{SM}}}enabled")
    before = server.log_text().count("going into hibernation")
    sleeper.abort()
    until(lambda: server.log_text().count("going into hibernation") > before, "the session to wait", 10)
    with server.user(f"alice@{domain}") as alice:
        alice.message(sleeper.jid, "goes to the offline store when the session ends")
        alice.sync()
    with server.disk_trouble("prosodyarchive", f"NEW.host='{domain}' AND NEW.store='offline'"):
        assert server.hosts_api("DELETE", f"/{domain}").status_code == 204
    assert "its deletion goes on" in server.log_text()
    assert not serves(server, domain)
    assert rows_of(server, domain, f"conference.{domain}") == []


def test_delete_tells_occupants_from_other_domains(server, domain, other_domain):
    room = f"group@conference.{domain}"
    guest_jid = f"guest@{other_domain}"
    with server.admin() as admin:
        admin.join_room(room, "service")
        form = E("x", DATA, E("field", DATA, E("value", DATA, "http://jabber.org/protocol/muc#roomconfig"),
                              var="FORM_TYPE"), type="submit")
        admin.iq("set", E("query", MUC_OWNER, form), to=room)
        admin.iq("set", E("query", "http://jabber.org/protocol/muc#admin",
                          E("item", "http://jabber.org/protocol/muc#admin", jid=guest_jid, affiliation="member")),
                 to=room)
    guest = server.user(guest_jid)
    guest.join_room(room)
    server.delete_host(domain)
    left = guest.wait(lambda e: local(e) == "presence" and e.get("type") == "unavailable")
    assert left.get("from") == f"{room}/guest"
    guest.close()


def archive_size(client, to: str | None = None) -> int:
    """How many messages an archive (XEP-0313) returns."""
    query_id = client.next_id()
    client.iq("set", E("query", MAM, queryid=query_id), to=to)
    found = client.received(lambda e: e.find(f"{{{MAM}}}result[@queryid='{query_id}']") is not None)
    return len(found)


def fill(server: Server, domain: str) -> dict[str, str]:
    """Has Prosody store something of every kind for a tenant; returns what `leftovers` needs."""
    alice, bob, room = f"alice@{domain}", f"bob@{domain}", f"adhoc-room@conference.{domain}"
    with server.user(alice) as client:
        client.presence()
        client.iq("set", E("query", ROSTER, E("item", ROSTER, E("group", ROSTER, "friends"), jid=bob, name="Bob")))
        client.iq("set", E("query", PRIVATE, E("note", "urn:example:note", "private")))
        client.iq("set", E("vCard", VCARD, E("FN", VCARD, "Alice")))
        client.iq("set", E("block", BLOCKING, E("item", BLOCKING, jid=f"mallory@{domain}")))
        item = E("item", PUBSUB, E("note", "urn:example:note", "pep"), id="current")
        client.iq("set", E("pubsub", PUBSUB, E("publish", PUBSUB, item, node="urn:example:note")))
        client.message(bob, "for the offline store")  # Bob has never logged in
        client.join_room(room)
        form = E("x", DATA, E("field", DATA, E("value", DATA, "http://jabber.org/protocol/muc#roomconfig"),
                              var="FORM_TYPE"),
                 E("field", DATA, E("value", DATA, "1"), var="muc#roomconfig_persistentroom"), type="submit")
        client.iq("set", E("query", MUC_OWNER, form), to=room)
        client.message(room, "for the room's archive", type="groupchat")
        client.wait_message("for the room's archive")
        slot = client.iq("get", E("request", UPLOAD, filename="a.txt", size="5", **{"content-type": "text/plain"}),
                         to=domain)
        put = slot.find(f".//{{{UPLOAD}}}put")
        headers = {h.get("name"): h.text for h in put.iter(f"{{{UPLOAD}}}header")}
        get_url = slot.find(f".//{{{UPLOAD}}}get").get("url")
        headers["Content-Type"] = "text/plain"
        upload = httpx.put(put.get("url"), content=b"hello", headers=headers, trust_env=False)
        assert upload.status_code == 201, upload.text
        assert httpx.get(get_url, trust_env=False).content == b"hello"
        assert archive_size(client) == 1
        assert archive_size(client, room) == 1
    return {"get_url": get_url}


def assert_empty(server: Server, domain: str, filled: dict[str, str]) -> None:
    """Whether a tenant that bears the name of a deleted one begins with nothing."""
    alice, room = f"alice@{domain}", f"adhoc-room@conference.{domain}"
    assert httpx.get(filled["get_url"], trust_env=False).status_code == 404
    with server.user(alice) as client, server.user(f"bob@{domain}") as bob:
        bob.presence()
        bob.sync()
        assert bob.messages() == [], "an offline message outlived its host"
        assert archive_size(client) == 0
        assert len(client.iq("get", E("query", ROSTER))[0]) == 0
        assert len(client.iq("get", E("query", PRIVATE, E("note", "urn:example:note")))[0][0]) == 0
        assert client.iq("get", E("query", PRIVATE, E("note", "urn:example:note")))[0][0].text is None
        vcard = client.iq("get", E("vCard", VCARD), check=False)
        assert vcard.get("type") == "error" or vcard.find(f".//{{{VCARD}}}FN") is None
        assert len(client.iq("get", E("blocklist", BLOCKING))[0]) == 0
        node = client.iq("get", E("pubsub", PUBSUB, E("items", PUBSUB, node="urn:example:note")), check=False)
        assert node.get("type") == "error"
        info = client.iq("get", E("query", "http://jabber.org/protocol/disco#info"), to=room, check=False)
        assert info.get("type") == "error"
        client.join_room(room)
        assert archive_size(client, room) == 0


def rows_of(server: Server, *names: str) -> list[tuple]:
    """Rows of the database in which a name stands as the host (or as the entry of the list of hosts)."""
    marks = ",".join("?" * len(names))
    rows = []
    with server.database() as database:
        for table in ("prosody", "prosodyarchive"):
            rows += database.execute(
                f'SELECT host, "user", store FROM {table} WHERE host IN ({marks}) OR "user" IN ({marks})', names * 2
            ).fetchall()
    return rows


def files(server: Server, domain: str) -> list[Path]:
    """Files below Prosody's folders of a tenant."""
    encoded = domain.replace(".", "%2e").replace("-", "%2d")
    return [path for name in (encoded, f"conference%2e{encoded}") for path in (server.data / name).rglob("*")
            if path.is_file()]


def test_delete_purges_everything_in_sql(server, domain, other_domain):
    filled, kept = fill(server, domain), fill(server, other_domain)
    names = (domain, f"conference.{domain}")
    stores = {store for _, _, store in rows_of(server, *names)}
    assert {"roster", "archive", "offline", "muc_log", "config", "persistent", "uploads", "blocklist", "private"} <= stores
    assert files(server, domain), "the upload is nowhere"
    server.delete_host(domain)
    assert rows_of(server, *names) == []
    assert files(server, domain) == []
    server.create_host(domain)
    assert_empty(server, domain, filled)
    assert httpx.get(kept["get_url"], trust_env=False).content == b"hello"  # the neighbour keeps theirs
    with server.user(f"alice@{other_domain}") as neighbour:
        assert archive_size(neighbour) == 1
    fill_again = fill(server, f"{domain}")  # in the directories of its predecessor
    assert httpx.get(fill_again["get_url"], trust_env=False).content == b"hello"


def test_delete_purges_everything_in_files(new_server, unique_domain):
    server = new_server(storage="internal").start()
    domain = server.create_host(unique_domain())
    filled = fill(server, domain)
    assert len(files(server, domain)) > 8
    server.delete_host(domain)
    assert files(server, domain) == []
    server.create_host(domain)
    assert_empty(server, domain, filled)
    fill(server, domain)
    server.restart()
    assert server.hosts() == [domain]
    server.delete_host(domain)
    assert files(server, domain) == []


def test_deletion_that_a_crash_cut_short_is_finished(new_server, unique_domain):
    server = new_server().start()
    domain, names = server.create_host(unique_domain()), None
    fill(server, domain)
    names = (domain, f"conference.{domain}")
    server.stop()
    with server.database() as database:  # as it is between the first and the last write
        changed = database.execute(
            "UPDATE prosody SET key='deleted' WHERE host=? AND \"user\"=? AND store='virtualhosts' AND key='created'",
            (server.admin_jid.partition("@")[2], domain)).rowcount
    assert changed == 1
    server.start()
    assert server.hosts() == []
    assert rows_of(server, *names) == []
    assert files(server, domain) == []


# PostgreSQL


@pytest.mark.provokes("mod_cloud_notify")
def test_storage_in_postgresql(postgresql, new_server, unique_domain):
    server = new_server(storage=postgresql.url, extra={"STORAGE_PASSWORD": postgresql.password}).start()
    domain = server.create_host(unique_domain())
    filled = fill(server, domain)
    users = [f"u{n}@{domain}" for n in range(20)]
    with server.admin() as admin:
        assert bounced(deliver(admin, domain, *users)) == {}
        bad = f"bad@{domain}"  # mod_cloud_notify throws, as in test_storage.py
        postgresql.rows("INSERT INTO prosody (host, \"user\", store, key, type, value) "
                        f"VALUES ('{domain}', 'bad', 'cloud_notify', 'damaged', 'number', '1')")
        reply = deliver(admin, domain, f"before@{domain}", bad, f"after@{domain}")
        assert bounced(reply) == {bad: "internal-server-error"}
        waiting = "SELECT DISTINCT \"user\" FROM prosodyarchive WHERE \"user\" IN ('before', 'bad', 'after') ORDER BY 1"
        assert postgresql.rows(waiting) == ["after", "before"]
    server.kill()
    server.start()
    assert server.hosts() == [domain]
    with server.user(users[-1]) as user:
        go_online(user)
        user.wait(has_body("for u19"), 10)
    server.delete_host(domain)
    server.create_host(domain)
    assert_empty(server, domain, filled)
    assert postgresql.password not in server.log_text()
    assert not list(server.data.glob("prosody.sqlite*"))
    # Prosody 13 tells at debug level, for any database, that it has looked for another Lua module for SQLite.
    assert "SQLite" not in re.sub(r"Could not load LuaSQLite3: .*\n(\t.*\n)*", "", server.log_text())


def test_login_token_of_a_deleted_tenant_is_for_the_name(server, domain):
    token = server.login_token(f"alice@{domain}")
    server.delete_host(domain)
    with pytest.raises(XmppError):
        server.client(f"alice@{domain}", token).connect()
    server.create_host(domain)
    server.client(f"alice@{domain}", token).connect().close()
    with pytest.raises(AuthFailed):
        server.client(f"bob@{domain}", token).connect()
