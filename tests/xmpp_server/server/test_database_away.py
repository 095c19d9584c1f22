"""The database is not there: at start, while the configuration is read again, at the end."""

from __future__ import annotations

import secrets
import signal
from dataclasses import replace

import pytest

from support.stanzas import settle
from support.wait import until
from support.xmpp import AuthFailed


@pytest.fixture
def server(postgresql, new_server):
    """One whose token stands in a file, its data in PostgreSQL."""
    server = new_server(storage=postgresql.url)
    path = server.folder / "token"
    path.write_text(server.admin_token)
    server.settings = replace(server.settings, extra={
        "ADMIN_TOKEN": "", "ADMIN_TOKEN_FILE": str(path), "STORAGE_PASSWORD": postgresql.password})
    return server


def ends(server) -> bool:
    server.signal(signal.SIGTERM)
    until(lambda: not server.running, "the end", 15)
    return True


def change_token(server) -> str:
    """Puts a new admin token into the file and has it read."""
    new = secrets.token_hex(32)
    (server.folder / "token").write_text(new)
    server.reload()
    return new


@pytest.mark.provokes("no connection to the server")
def test_a_reload_without_the_database_stops_no_later_signal(server, postgresql):
    server.start()
    domain = server.create_host("away.example")
    postgresql.stop()
    server.reload()
    server.reload()
    postgresql.start()
    old, new = server.admin_token, change_token(server)
    until(lambda: server.hosts_api("GET", token=new).status_code == 200, "the new token", 10)
    assert server.hosts_api("GET", token=old).status_code == 401
    server.settings = replace(server.settings, admin_token=new)
    with server.user(f"alice@{domain}") as alice:
        settle(alice)
    assert "The list of hosts cannot be read" in server.log_text()
    assert ends(server)


@pytest.mark.provokes("no connection to the server")
def test_tenants_keep_their_options_over_a_reload_without_the_database(server, postgresql):
    server.start()
    domain = server.create_host("away.example")
    postgresql.stop()
    server.reload()
    server.reload()
    # a module that is loaded anew asks for its options anew; the host's own are gone when a login is taken for another's
    with pytest.raises(AuthFailed):
        server.client(f"alice@{domain}", "x").connect()
    assert server.hosts_api("GET").json() == [{"domain": domain}]


def test_it_ends_without_the_database(server, postgresql):
    server.start()
    domain = server.create_host("away.example")
    alice = server.user(f"alice@{domain}")
    settle(alice)
    postgresql.stop()
    assert ends(server)


def test_it_waits_for_its_database(server, postgresql):
    postgresql.stop()
    server.launch()
    until(lambda: "Prosody starts as soon as it is" in server.log_text(), "the line in the log", 10)
    assert server.running
    postgresql.start()
    until(lambda: server.running and is_there(server), "Prosody's start", 30)
    assert server.create_host("away.example") in server.hosts()
    assert ends(server)


def is_there(server) -> bool:
    try:
        return server.hosts_api("GET").status_code == 200
    except OSError:
        return False
    except Exception as error:  # httpx has its own
        return "onnect" not in str(error)


def test_it_ends_while_it_waits_for_its_database(server, postgresql):
    postgresql.stop()
    server.launch()
    until(lambda: "Prosody starts as soon as it is" in server.log_text(), "the line in the log", 10)
    assert ends(server)


@pytest.mark.parametrize("wrong", ["password", "user", "database"])
def test_what_the_database_refuses_stops_the_start(server, postgresql, wrong):
    if wrong == "password":
        server.settings = replace(server.settings, extra=server.settings.extra | {"STORAGE_PASSWORD": "wrong"})
    else:
        old, new = ("sippo@", "nobody@") if wrong == "user" else ("/prosody", "/none")
        server.settings = replace(server.settings, storage=postgresql.url.replace(old, new))
    process = server.launch()
    assert process.wait(20) != 0
    log = server.log_text()
    assert "SIPPO_XMPP_STORAGE: PostgreSQL refuses the user" in log and "SIPPO_XMPP_STORAGE_PASSWORD" in log
    assert "Traceback" not in log and "traceback" not in log
