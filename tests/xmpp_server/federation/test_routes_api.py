"""What the service says of where tenants are, by the hosts API, and the environment of a cell."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from federation.conftest import Federation, set_routes
from stack import cells
from stack.authority import Authority
from support.prosody import Server
from support.stanzas import join
from support.wait import until


def routes(server: Server) -> dict[str, str]:
    """Where others' tenants are, as a server knows it."""
    return server.hosts_api("GET", "/../routes").raise_for_status().json()


def test_routes_are_kept_and_taken_back(strangers: Federation):
    one, away = strangers.one, strangers.away
    set_routes(one, "two", away, "b.example")
    assert routes(one).items() >= {away: "two", "b.example": "two"}.items()
    one.restart()
    assert routes(one)[away] == "two"
    set_routes(one, "one", away, "b.example", "never.example")
    assert {away, "b.example", "never.example"}.isdisjoint(routes(one))


@pytest.mark.parametrize("cell, body, status", [
    ("three", {"domains": ["a.example"]}, 409), ("two", {"domains": "a.example"}, 400), ("two", {}, 400),
    ("two", {"domains": ["not a domain"]}, 400), ("two", {"domains": ["A.example"]}, 400),
    ("two", {"domains": ["conference.a.example"]}, 400), ("two", {"domains": ["a.example", 7]}, 400),
    ("two", {"domains": [f"a{number}.example" for number in range(400)]}, 400),
])
def test_what_is_no_route_is_refused_whole(strangers: Federation, cell: str, body: object, status: int):
    before = routes(strangers.one)
    answer = strangers.one.hosts_api("PUT", f"/../routes/{cell}", json=body)
    assert answer.status_code == status and answer.json()["error"], answer.text
    assert routes(strangers.one) == before
    for method, path in (("DELETE", "/../routes/two"), ("POST", "/../routes"), ("GET", "/../routes/two")):
        assert strangers.one.hosts_api(method, path).status_code == 405
    assert strangers.one.hosts_api("PUT", "/../routes/two", token="x" * 32, json={"domains": []}).status_code == 401


def test_a_tenant_that_is_elsewhere_now_is_not_spoken_with_at_the_old_place(federation: Federation):
    room = federation.create_room(federation.alice, federation.guest)
    guest = federation.online(federation.guest)
    join(guest, room, "guest")
    set_routes(federation.one, "one", federation.away)
    until(lambda: "The domain is on another cell now" in federation.two.log_text(), "the end of the streams")
    id = guest.message(room, "too late", type="groupchat")
    guest.wait(lambda e: e.get("id") == id and e.get("type") == "error", 30)
    federation.introduce()
    assert join(guest, room, "guest", 30).get("type") is None


@pytest.mark.parametrize("changes, said", [
    ({"CELL_KEY": ""}, "SIPPO_XMPP_CELL needs SIPPO_XMPP_CELL_KEY"),
    ({"CELLS": "one"}, "SIPPO_XMPP_CELLS: one is no cell"),
    ({"CELLS": "one=127.0.0.1:0"}, "SIPPO_XMPP_CELLS: one=127.0.0.1:0 is no cell"),
    ({"CELLS": "one=127.0.0.1:1,one=127.0.0.1:2"}, "SIPPO_XMPP_CELLS: one is there twice"),
    ({"CELLS": "two=127.0.0.1:1"}, "SIPPO_XMPP_CELLS: SIPPO_XMPP_CELL names one, which is not there"),
    ({"CELL_AUTHORITY": "/nowhere.pem"}, "SIPPO_XMPP_CELL_AUTHORITY cannot be read"),
    ({"CELL_PORT": "0"}, "SIPPO_XMPP_CELL_PORT is not a whole number"),
])
def test_what_is_wrong_with_a_cells_environment_stops_its_start(new_server, tmp_path, changes: dict[str, str], said: str):
    server = new_server()
    server.data.mkdir(parents=True)
    settings = cells.linked({"one": server.settings}, Authority(tmp_path))["one"]
    settings.extra.update(changes)
    server.settings = settings
    process = server.launch()
    assert process.wait(20) != 0
    assert said in server.log_text() and "raceback" not in server.log_text()


def test_renewed_certificates_count_from_a_reload_on(federation: Federation):
    """A cell whose certificate is renewed, at both ends of its connections."""
    two = federation.two
    certificate, key = (Path(two.settings.extra[name]) for name in ("CELL_CERTIFICATE", "CELL_KEY"))
    before = presented(federation)
    for old, new in zip((certificate, key), federation.authority.issue(cells.host_of("two")), strict=True):
        new.replace(old)
    two.reload()
    until(lambda: presented(federation) != before, "the new certificate")
    room = federation.create_room(federation.guest)
    assert join(federation.online(federation.guest), room, "guest", 30).get("type") is None


def presented(federation: Federation) -> bytes | None:
    """The certificate that `two` shows."""
    context = ssl.create_default_context(cafile=str(federation.authority.root))
    context.check_hostname = False
    context.load_cert_chain(*federation.authority.issue(cells.host_of("one")))
    with socket.create_connection(("127.0.0.1", federation.two.settings.cell_port), timeout=10) as plain, \
            context.wrap_socket(plain) as connection:
        return connection.getpeercert(binary_form=True)
