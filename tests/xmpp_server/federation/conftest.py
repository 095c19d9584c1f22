"""Two XMPP servers as cells: one has a room, the other its guests."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stack import cells
from stack.authority import Authority
from support.prosody import Server
from support.stanzas import MESSAGES, affiliate, ask, bounced, create_room, go_online, ok
from support.xmpp import CLIENT, Client

CONFERENCE = "jabber:x:conference"
INVITATION = "urn:quobis:sippo:invitation:0"
SINCE = "2.1/65"
"""What began a guest's membership, as the service names it."""


def set_routes(server: Server, cell: str, *domains: str) -> None:
    """Has a server know that domains are on a cell."""
    answer = server.hosts_api("PUT", f"/../routes/{cell}", json={"domains": list(domains)})
    assert answer.status_code == 204, answer.text


@dataclass
class Federation:
    """The cells `one` and `two`, a tenant on each, and what the service would ask of them."""

    one: Server
    two: Server
    authority: Authority
    home: str
    """The room's tenant, on `one`."""
    away: str
    """The guests' tenant, on `two`."""

    def __post_init__(self) -> None:
        tail = uuid.uuid4().hex[:8]
        self.tail = tail
        self.room = f"team-{tail}@conference.{self.home}"
        self.alice = f"alice-{tail}@{self.home}"
        self.guest = f"guest-{tail}@{self.away}"

    def introduce(self) -> None:
        """Has each cell know the other's tenant."""
        set_routes(self.one, "two", self.away)
        set_routes(self.two, "one", self.home)

    def create_room(self, *members: str, **fields: str) -> str:
        """A room of the service's with these members, who have bookmarks of it then."""
        with self.one.admin() as admin:
            create_room(admin, self.room, life="1.1/65", **fields)
            ok(affiliate(admin, self.room, *((member, "member") for member in members)))
        return self.room

    def affiliate(self, *changes: tuple[str, str]) -> None:
        """Changes who belongs to the room."""
        with self.one.admin() as admin:
            ok(affiliate(admin, self.room, *changes))

    def invite(self, *guests: str, since: str = SINCE) -> None:
        """Invites guests where they are."""
        messages = "".join(
            f"<message xmlns='{CLIENT}' id='{guest}{since}' to='{guest}'><x xmlns='{CONFERENCE}' jid='{self.room}'/>"
            f"<store xmlns='urn:xmpp:hints'/><membership xmlns='{INVITATION}' since='{since}'/></message>" for guest in guests)
        with self.two.admin() as admin:
            reply = ask(admin, "set", f"<messages xmlns='{MESSAGES}'>{messages}</messages>", f"conference.{self.away}", 30)
            assert bounced(reply) == {}

    def online(self, user: str, resource: str | None = None) -> Client:
        """A session, available."""
        server = self.one if user.endswith(f"@{self.home}") else self.two
        client = server.user(user, resource)
        go_online(client)
        return client


def is_invitation(room: str) -> Callable:
    """Whether an element invites to a room."""
    def is_it(element) -> bool:
        x = element.find(f"{{{CONFERENCE}}}x")
        return element.tag == f"{{{CLIENT}}}message" and x is not None and x.get("jid") == room
    return is_it


@pytest.fixture(scope="module")
def linked(server_folder: Callable[[], Path]) -> Iterator[tuple[Server, Server, Authority]]:
    """Both servers, and the authority of their certificates."""
    folder = server_folder()
    servers = {name: Server(folder / name) for name in ("one", "two")}
    authority = Authority(folder / "authority")
    settings = cells.linked({name: server.settings for name, server in servers.items()}, authority)
    for name, server in servers.items():
        server.settings = settings[name]
        server.start()
    yield servers["one"], servers["two"], authority
    for server in servers.values():
        server.stop()


@pytest.fixture
def strangers(linked: tuple[Server, Server, Authority], unique_domain: Callable[[], str]) -> Iterator[Federation]:
    """Both cells with a tenant each, of which the other one knows nothing."""
    one, two, authority = linked
    federation = Federation(one, two, authority, one.create_host(unique_domain()), two.create_host(unique_domain()))
    yield federation
    for server in (one, two):
        if not server.running:
            server.start()
    one.delete_host(federation.home)
    two.delete_host(federation.away)


@pytest.fixture
def federation(strangers: Federation) -> Federation:
    """The same, introduced to each other."""
    strangers.introduce()
    return strangers
