"""mod_sippo_cells: who is refused as a cell, and what a cell may say. Mallory has a program of their own making."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from federation.conftest import Federation, set_routes
from stack import cells
from stack.authority import Authority
from support.prosody import Server
from support.bookmarks import bookmarks
from support.stanzas import error_shape, go_online, has_body, join
from support.wait import until
from support.xmpp import E

CELLS = "urn:quobis:sippo:cells:0"


class Link:
    """A connection to a cell's port, as far as it comes."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.heard = ""

    def send(self, text: str) -> None:
        """Sends text as it is."""
        self.connection.sendall(text.encode())

    def hear(self, *wanted: str) -> str:
        """Reads until one of these is there, which it returns; empty when the connection ends before."""
        while True:
            if found := next((one for one in wanted if one in self.heard), None):
                return found
            try:
                data = self.connection.recv(65536)
            except (OSError, ssl.SSLError):
                return ""
            if not data:
                return ""
            self.heard += data.decode()

    def open(self, speaker: str, to: str) -> str:
        """Opens a stream and authenticates as `speaker` if that is offered; `ready`, or what was answered."""
        header = ("<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
                  f"version='1.0' from='{speaker}' to='{to}'>")
        self.send(header)
        answer = self.hear("EXTERNAL", "stream:error")
        if answer != "EXTERNAL":
            return answer
        self.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{base64.b64encode(speaker.encode()).decode()}"
                  "</auth>")
        if self.hear("<success", "<failure") != "<success":
            return self.heard
        self.heard = ""
        self.send(header)
        return "ready" if self.hear("stream:features") else self.heard


@contextmanager
def linked_to(server: Server, authority: Authority, certificate: tuple[Path, Path] | None) -> Iterator[Link]:
    """A TLS connection to a cell's port; OSError when none comes to be."""
    context = ssl.create_default_context(cafile=str(authority.root))
    context.check_hostname = False
    if certificate:
        context.load_cert_chain(*certificate)
    with socket.create_connection(("127.0.0.1", server.settings.cell_port), timeout=10) as plain, \
            context.wrap_socket(plain) as connection:
        yield Link(connection)


def refused(server: Server, authority: Authority, certificate: tuple[Path, Path] | None, speaker: str, to: str) -> bool:
    """Whether nobody gets in so."""
    try:
        with linked_to(server, authority, certificate) as link:
            return link.open(speaker, to) != "ready"
    except OSError:
        return True


@pytest.fixture(scope="module")
def of_two(linked: tuple[Server, Server, Authority]) -> tuple[Path, Path]:
    """A certificate of the cell `two`."""
    return linked[2].issue(cells.host_of("two"))


def test_a_cell_speaks_for_its_tenants(federation: Federation, of_two):
    """Or else the refusals below would show nothing."""
    for speaker in (federation.away, f"conference.{federation.away}", cells.host_of("two")):
        assert not refused(federation.one, federation.authority, of_two, speaker, federation.home), speaker


def test_who_has_no_certificate_of_the_authority_is_refused(federation: Federation, tmp_path: Path):
    other = Authority(tmp_path / "other")
    for certificate in (None, other.issue(cells.host_of("two"))):
        assert refused(federation.one, federation.authority, certificate, federation.away, federation.home)


def test_a_cell_speaks_for_no_tenant_of_another(federation: Federation, of_two, unique_domain):
    third = unique_domain()
    set_routes(federation.one, "two", third)
    assert not refused(federation.one, federation.authority, of_two, third, federation.home)
    set_routes(federation.one, "one", third)
    for speaker in (third, federation.home, f"conference.{federation.home}", "nobody.example", cells.host_of("one"),
                    "sippo-admin.internal", f"sub.{federation.away}", f"conference.conference.{federation.away}"):
        for to in (federation.home, f"conference.{federation.home}", cells.host_of("one")):
            assert refused(federation.one, federation.authority, of_two, speaker, to), (speaker, to)


def test_a_certificate_of_the_authority_that_names_no_cell_is_refused(federation: Federation):
    for names in ((federation.away,), (cells.host_of("one"),), (cells.host_of("three"),), ("two",)):
        assert refused(federation.one, federation.authority, federation.authority.issue(*names), federation.away, federation.home), names


def test_the_admins_host_hears_nobody(federation: Federation, of_two):
    assert refused(federation.one, federation.authority, of_two, federation.away, "sippo-admin.internal")


def test_a_plain_connection_gets_nothing(federation: Federation):
    with socket.create_connection(("127.0.0.1", federation.one.settings.cell_port), timeout=10) as plain:
        plain.sendall(f"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' "
                      f"from='{federation.away}' to='{federation.home}'>".encode())
        heard = b""
        try:
            while data := plain.recv(4096):
                heard += data
        except OSError:
            pass
        assert b"stream" not in heard


def test_there_is_no_port_for_others_where_there_is_one_server(server: Server):
    assert server.settings.cell_port is None and "s2s" not in server.log_text()
    answer = server.hosts_api("PUT", "/../routes/two", json={"domains": ["a.example"]})
    assert answer.status_code == 409 and "SIPPO_XMPP_CELL" in answer.json()["error"]


def test_a_cell_says_nothing_of_others_rooms(federation: Federation, of_two):
    """What mod_sippo_cell_link is told of a room that is not on the speaker's cell changes nothing."""
    fake = f"<membership room='r@conference.{federation.home}' user='{federation.alice}' kind='usersGroup' affiliation='member'/>"
    with linked_to(federation.one, federation.authority, of_two) as link:
        assert link.open(cells.host_of("two"), cells.host_of("one")) == "ready"
        link.send(f"<iq type='set' id='x' from='{cells.host_of('two')}' to='{cells.host_of('one')}'>"
                  f"<memberships xmlns='{CELLS}'>{fake}</memberships></iq>")
        # The answer goes to the real cell. What comes behind it on the stream is handled when it is done.
        link.send("<iq type='get' id='y' from='nobody.example' to='nobody.example'/>")
        link.hear("</stream:stream>")
    assert bookmarks(federation.online(federation.alice)) == {}


# Tenants ------------------------------------------------------------------------


def test_a_guest_reaches_the_room_and_nothing_else_of_its_tenant(federation: Federation):
    room = federation.create_room(federation.alice, federation.guest)
    alice, guest = federation.online(federation.alice), federation.online(federation.guest)
    join(alice, room, "alice")
    join(guest, room, "guest")
    guest.message(federation.alice, "to the user")
    guest.message(f"other-{federation.tail}@conference.{federation.home}", "to another room", type="groupchat")
    guest.message(f"{room}/alice", "to the occupant")  # passes, as in any room
    alice.wait(has_body("to the occupant"))
    assert not alice.received(has_body("to the user"))
    for to in (federation.alice, alice.jid, federation.home, f"conference.{federation.home}",
               f"other-{federation.tail}@conference.{federation.home}", f"{room}/alice", cells.host_of("one"), cells.host_of("two")):
        for query in ("http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items", "vcard-temp"):
            reply = guest.iq("get", _query(query), to, check=False)
            assert reply.get("type") == "error", (to, query)
    for kind in (None, "subscribe", "probe"):
        guest.presence(to=federation.alice, type=kind)
        guest.wait(lambda e: e.get("type") == "error" and e.get("from") == federation.alice)
    guest.message(room, "last", type="groupchat")
    alice.wait(has_body("last"))
    assert not alice.received(lambda e: (e.get("from") or "").startswith(federation.guest))


def test_who_does_not_belong_to_a_room_cannot_tell_it_from_none(federation: Federation):
    room = federation.create_room(federation.alice)
    stranger = federation.online(federation.guest)
    answers = [error_shape(join(stranger, to, "stranger")).replace(to, "ROOM")
               for to in (room, f"never-{federation.tail}@conference.{federation.home}")]
    assert answers[0] == answers[1] and "forbidden" in answers[0]
    assert stranger.user not in federation.one.log_text(), "their own cell refuses, and asks nobody"


def test_a_cell_that_forges_its_users_reaches_members_rooms_alone(federation: Federation, of_two):
    """The other end judges as well: whatever a cell lets its users say."""
    room = federation.create_room(federation.alice)
    alice = federation.online(federation.alice)
    join(alice, room, "alice")
    with linked_to(federation.one, federation.authority, of_two) as link:
        assert link.open(federation.away, federation.home) == "ready"
        link.send(f"<message from='{federation.guest}' to='{federation.alice}' type='chat'><body>forged</body></message>"
                  f"<presence from='{federation.guest}' to='{federation.alice}' type='subscribe'/>")
        until(lambda: f"Dropped presence from {federation.guest}" in federation.one.log_text(), "its refusal")
    with linked_to(federation.one, federation.authority, of_two) as link:
        assert link.open(federation.away, f"conference.{federation.home}") == "ready"
        link.send(f"<message from='{federation.guest}' to='{room}' type='groupchat'><body>forged</body></message>"
                  f"<presence from='{federation.guest}/x' to='{room}/x'/>")
        until(lambda: f"Dropped presence from {federation.guest}/x" in federation.one.log_text(), "its refusal")
    with linked_to(federation.one, federation.authority, of_two) as link:
        assert link.open(f"conference.{federation.away}", federation.home) == "ready"
        link.send(f"<message from='r@conference.{federation.away}/x' to='{alice.jid}' type='groupchat'><body>forged</body></message>")
        until(lambda: f"Dropped message from r@conference.{federation.away}/x" in federation.one.log_text(), "its refusal")
    go_online(alice)
    assert not alice.received(has_body("forged"))


def test_a_cell_that_forges_its_rooms_farewells_reaches_those_alone_who_were_there(federation: Federation, of_two):
    """A room's errors, answers and farewells also go to who belongs to it no longer, and to nobody who never did."""
    federation.create_room(federation.alice)
    alice = federation.online(federation.alice)
    forger = f"r@conference.{federation.away}/x"
    with linked_to(federation.one, federation.authority, of_two) as link:
        assert link.open(f"conference.{federation.away}", federation.home) == "ready"
        for to in (alice.jid, alice.bare_jid):
            link.send(f"<message from='{forger}' to='{to}' type='error'><body>forged</body></message>"
                      f"<presence from='{forger}' to='{to}' type='unavailable'><status>forged</status></presence>"
                      f"<iq from='{forger}' to='{to}' type='result' id='forged'/><iq from='{forger}' to='{to}' type='error' id='forged'/>")
        last = f"{forger}/last"
        link.send(f"<message from='{last}' to='{alice.jid}'><body>forged</body></message>")
        until(lambda: f"Dropped message from {last} to {alice.jid}" in federation.one.log_text(), "the last one's refusal")
    alice.sync()
    assert not alice.received(lambda e: (e.get("from") or "").startswith(forger))


def _query(xmlns: str):
    return E("vCard" if xmlns == "vcard-temp" else "query", xmlns)
