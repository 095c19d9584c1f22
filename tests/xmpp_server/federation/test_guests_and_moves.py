"""A tenant moves, and rooms have guests: before, meanwhile and afterwards they are what their rooms say, wherever each is."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from federation.conftest import CONFERENCE, INVITATION, is_invitation, set_routes
from stack import cells
from stack.authority import Authority
from support.bookmarks import bookmarks, is_gone, listen, rooms_of
from support.moves import Move
from support.prosody import Server
from support.stanzas import (
    MESSAGES,
    MUC_OWNER,
    affiliate,
    archived_bodies,
    ask,
    assert_absent,
    bounced,
    configure,
    create_room,
    has_body,
    join,
    ok,
    settle,
    statuses,
)
from support.wait import until
from support.xmpp import CLIENT, Client, body

EARLIER = [f"earlier {number}" for number in range(5)]


@pytest.fixture(scope="module")
def three(server_folder: Callable[[], Path]) -> Iterator[dict[str, Server]]:
    """Three servers as cells."""
    folder = server_folder()
    servers = {name: Server(folder / name) for name in ("one", "two", "three")}
    settings = cells.linked({name: server.settings for name, server in servers.items()}, Authority(folder / "authority"))
    for name, server in servers.items():
        server.settings = settings[name]
        server.start()
    yield servers
    for server in servers.values():
        server.stop()


@dataclass
class World:
    """A room of the tenant `home`, and guests of the tenant `away`, wherever both are; and what the service would ask of the cells."""

    servers: dict[str, Server]
    cell: dict[str, str]
    """Where each tenant is."""
    home: str
    away: str
    tail: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def __post_init__(self) -> None:
        self.room = f"team-{self.tail}@conference.{self.home}"
        self.alice = f"alice-{self.tail}@{self.home}"

    def guest(self, name: str) -> str:
        """A guest's address."""
        return f"{name}-{self.tail}@{self.away}"

    def at(self, domain: str) -> Server:
        """The server that a tenant is on."""
        return self.servers[self.cell[domain]]

    def online(self, user: str) -> Client:
        """A session, available, and told of bookmarks."""
        client = self.at(user.partition("@")[2]).user(user)
        listen(client)
        return client

    def ask_room(self, of: Callable[[Client], object]) -> None:
        """What the service asks the room."""
        with self.at(self.home).admin() as admin:
            of(admin)

    def affiliate(self, *changes: tuple[str, str]) -> None:
        """Changes who belongs to the room."""
        self.ask_room(lambda admin: ok(affiliate(admin, self.room, *changes)))

    def invite(self, guest: str) -> None:
        """Invites a guest where they are."""
        message = (f"<message xmlns='{CLIENT}' id='{guest}' to='{guest}'><x xmlns='{CONFERENCE}' jid='{self.room}'/>"
                   f"<store xmlns='urn:xmpp:hints'/><membership xmlns='{INVITATION}' since='2.1/65'/></message>")
        with self.at(self.away).admin() as admin:
            reply = ask(admin, "set", f"<messages xmlns='{MESSAGES}'>{message}</messages>", f"conference.{self.away}", 30)
            assert bounced(reply) == {}

    def rooms(self, guest: str) -> set[str]:
        """What the guest's cell has them belong to."""
        with self.at(self.away).admin() as admin:
            return set(rooms_of(admin, guest))

    def announce(self, *tenants: str) -> None:
        """Tells all cells where tenants are, and theirs where all others are, as the service does."""
        for tenant in tenants:
            for name, server in self.servers.items():
                set_routes(server, self.cell[tenant], tenant)
                others = [other for other, cell in self.cell.items() if cell == name and other != tenant]
                set_routes(self.at(tenant), name, *others)

    def move(self, domain: str, to: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Moves a tenant; `meanwhile` is called when it is served nowhere."""
        move = Move(domain, self.at(domain), self.servers[to])
        move.freeze()
        meanwhile()
        self.finish(move, to)

    def finish(self, move: Move, to: str) -> None:
        """What follows when a tenant is closed."""
        move.expect()
        move.copy()
        assert move.count(move.source) == move.count(move.target)
        move.open()
        self.cell[move.domain] = to
        self.announce(move.domain)
        move.leave()

    def assert_guest(self, name: str, *, earlier: list[str]) -> Client:
        """A guest is a member: bookmark, archive, entering, messages both ways and once, and the end of it all."""
        guest = self.online(self.guest(name))
        until(lambda: self.room in self.rooms(self.guest(name)), f"the bookmark of {name}", 30)
        assert self.room in bookmarks(guest)
        assert archived_bodies(guest, self.room) == earlier
        alice = self.online(self.alice)
        assert join(alice, self.room, "alice", 30).get("type") is None
        assert join(guest, self.room, name, 30).get("type") is None
        back = [f"{name} says {number}" for number in range(8)]
        there, end = [f"to {text}" for text in back], f"to {name}: end"
        for one, other in zip(there, back, strict=True):
            alice.message(self.room, one, type="groupchat")
            guest.message(self.room, other, type="groupchat")
        until(lambda: len(spoken(alice, back)) >= len(back), "what the guest said", 30)
        alice.message(self.room, end, type="groupchat")
        for client in (alice, guest):
            client.wait(has_body(end), 30)
            assert sorted(spoken(client, there + back)) == sorted(there + back), "all, once"
        with self.at(self.away).user(self.guest(name)) as reader:
            assert sorted(archived_bodies(reader, self.room)) == sorted([*earlier, *there, *back, end])
        self.affiliate((self.guest(name), "none"))
        kicked = guest.wait(lambda e: e.get("type") == "unavailable" and e.get("from") == f"{self.room}/{name}")
        assert "321" in statuses(kicked)
        guest.wait(is_gone(self.room))
        self.assert_stranger(guest)
        return guest

    def assert_stranger(self, guest: Client) -> None:
        """Somebody has nothing of the room."""
        assert join(guest, self.room, "stranger").get("type") == "error"
        reply = ask(guest, "set", "<query xmlns='urn:xmpp:mam:2' queryid='q'/>", self.room)
        assert reply.get("type") == "error"


def spoken(client: Client, texts: list[str]) -> list[str]:
    """Which of these a client has got, in their order."""
    return [text for message in client.received(lambda e: e.tag == f"{{{CLIENT}}}message") if (text := body(message)) in texts]


@pytest.fixture
def world(three: dict[str, Server], unique_domain: Callable[[], str]) -> Iterator[Callable[..., World]]:
    """Makes one whose tenants are on these cells."""
    made: list[World] = []

    def make(home: str, away: str) -> World:
        domains = {three[cell].create_host(unique_domain()): cell for cell in (home, away)}
        world = World(three, domains, *domains)
        made.append(world)
        world.announce(*domains)
        return world
    yield make
    for server in three.values():
        if not server.running:
            server.start()
    for one in made:
        for domain in one.cell:
            one.at(domain).delete_host(domain)


def fill(world: World) -> Client:
    """Has the room with members `guest`, `gone` and `late`, all invited, the first of them inside; that one's session."""
    members = [world.guest(name) for name in ("guest", "gone", "late")]
    world.ask_room(lambda admin: create_room(admin, world.room, life="1.1/65"))
    world.affiliate((world.alice, "member"), *((member, "member") for member in members))
    for member in members:
        until(lambda member=member: world.room in world.rooms(member), f"the bookmark of {member}", 30)  # its cell may have been away
        world.invite(member)
    alice, guest = world.online(world.alice), world.online(members[0])
    assert join(alice, world.room, "alice").get("type") is None
    assert join(guest, world.room, "guest").get("type") is None
    for text in EARLIER:
        alice.message(world.room, text, type="groupchat")
    guest.wait(has_body(EARLIER[-1]))
    return guest


def assert_as_before(world: World, *, new: bool = False) -> None:
    """`gone` is nobody any more, all others are what they were."""
    assert_nothing(world, "gone")
    late = world.online(world.guest("late"))
    late.wait(is_invitation(world.room))
    assert world.room in bookmarks(late)
    world.assert_guest("guest", earlier=EARLIER)
    if new:
        world.assert_guest("new", earlier=EARLIER + sorted_in_archive(world))


def assert_nothing(world: World, name: str) -> None:
    """Somebody who was away has nothing left of the room."""
    until(lambda: world.room not in world.rooms(world.guest(name)), f"the end of the bookmark of {name}", 30)
    client = world.online(world.guest(name))
    assert_absent(client, is_invitation(world.room))
    world.assert_stranger(client)


def sorted_in_archive(world: World) -> list[str]:
    """What was said since."""
    alice = world.online(world.alice)
    return [text for text in archived_bodies(alice, world.room) if text not in EARLIER]


@pytest.mark.parametrize("home, away, to", [("one", "two", "three"), ("one", "two", "two"), ("one", "one", "three")])
def test_the_rooms_tenant_moves(world: Callable[..., World], home: str, away: str, to: str):
    world = world(home, away)
    guest = fill(world)
    world.affiliate((world.guest("gone"), "none"))

    def meanwhile() -> None:
        out = guest.wait(lambda e: e.get("type") == "unavailable" and e.get("from") == f"{world.room}/guest", 30)
        assert "332" in statuses(out)
        assert join(guest, world.room, "guest", 30).get("type") == "error"
    world.move(world.home, to, meanwhile)
    assert_as_before(world)


@pytest.mark.parametrize("home, away, to", [("one", "two", "three"), ("one", "two", "one"), ("one", "one", "three")])
def test_the_guests_tenant_moves(world: Callable[..., World], home: str, away: str, to: str):
    world = world(home, away)
    fill(world)
    world.move(world.away, to, lambda: world.affiliate((world.guest("gone"), "none"), (world.guest("new"), "member")))
    assert_as_before(world, new=True)


@pytest.mark.parametrize("home, away", [("one", "two"), ("one", "one")])
def test_the_move_of_the_guests_tenant_is_taken_back(world: Callable[..., World], home: str, away: str):
    world = world(home, away)
    fill(world)
    move = Move(world.away, world.at(world.away), world.servers["three"])
    move.freeze()
    world.affiliate((world.guest("gone"), "none"), (world.guest("new"), "member"))
    move.bring(move.source, "served")
    assert_as_before(world, new=True)


@pytest.mark.parametrize("away, to", [("two", "three"), ("two", "one"), ("one", "three")])
def test_a_room_ends_while_the_guests_tenant_moves(world: Callable[..., World], away: str, to: str):
    world = world("one", away)
    fill(world)
    world.move(world.away, to, lambda: world.ask_room(
        lambda admin: ok(ask(admin, "set", f"<query xmlns='{MUC_OWNER}'><destroy/></query>", world.room))))
    assert_nothing(world, "late")


@pytest.mark.parametrize("away, to", [("one", "three")])
def test_the_rooms_tenant_is_deleted_while_the_guests_moves(world: Callable[..., World], away: str, to: str):
    world = world("one", away)
    fill(world)
    world.move(world.away, to, lambda: world.at(world.home).delete_host(world.home))
    world.at(world.home).create_host(world.home)
    assert_nothing(world, "late")


@pytest.mark.parametrize("to", ["three", "two", "one"])
def test_what_the_guests_cell_was_not_told_yet_goes_along(world: Callable[..., World], to: str):
    """Their cell hangs when the room's tenant is closed, and goes on before it knows of the move. `one`: it is taken back."""
    world = world("one", "two")
    fill(world)
    one, two = world.servers["one"], world.servers["two"]
    two.signal(signal.SIGSTOP)
    move = Move(world.home, one, world.servers[to])
    try:
        world.affiliate((world.guest("first"), "member"))  # is on its way; the others wait for its answer
        world.affiliate((world.guest("gone"), "none"), (world.guest("new"), "member"))
        world.ask_room(lambda admin: ok(configure(admin, world.room, {"muc#roomconfig_roomname": "renamed"})))
        until(lambda: due(one, world.guest("late")), "what is due to all")
        move.freeze()
    finally:
        two.signal(signal.SIGCONT)
    until(lambda: world.room in world.rooms(world.guest("first")), "what was on its way")
    if to == "one":
        move.bring(one, "served")
    else:
        world.finish(move, to)
    assert_as_before(world, new=True)
    assert world.rooms(world.guest("late")) == {world.room}


def due(server: Server, user: str) -> bool:
    """Whether a cell has to tell something of a user."""
    with server.database() as database:
        rows = database.execute('SELECT "key" FROM "prosody" WHERE "store"=?', ("sippo_cell_due",)).fetchall()
    return any(row[0].endswith(f" {user}") for row in rows)


@pytest.mark.parametrize("crash", [False, True])
def test_a_guests_cell_that_is_away_all_the_time_is_told_by_the_new_one(world: Callable[..., World], crash: bool):
    world = world("one", "two")
    fill(world)
    one, two, three = (world.servers[name] for name in ("one", "two", "three"))
    two.kill()
    world.affiliate((world.guest("gone"), "none"), (world.guest("new"), "member"))
    move = Move(world.home, one, three)
    move.freeze()
    if crash:
        one.kill()
        one.start()
    move.expect()
    move.copy()
    move.open()
    world.cell[world.home] = "three"
    if crash:
        three.kill()
        three.start()
    two.start()
    world.announce(world.home)
    move.leave()
    assert_as_before(world, new=True)
    until(lambda: not due(one, world.guest("new")) and not due(three, world.guest("new")), "nothing that is due")


def test_what_was_under_way_to_a_guests_cell_that_hangs_comes_once_and_is_in_the_archive(world: Callable[..., World]):
    world = world("one", "two")
    guest = fill(world)
    one, two = world.servers["one"], world.servers["two"]
    texts = [f"under way {number}" for number in range(30)]
    with world.online(world.alice) as alice:
        assert join(alice, world.room, "again").get("type") is None
        two.signal(signal.SIGSTOP)
        move = Move(world.home, one, world.servers["three"])
        try:
            for text in texts:
                alice.message(world.room, text, type="groupchat")
            alice.wait(has_body(texts[-1]))
            move.freeze()
        finally:
            two.signal(signal.SIGCONT)
    world.finish(move, "three")
    assert join(guest, world.room, "guest", 30).get("type") is None
    with world.at(world.away).user(world.guest("guest")) as reader:
        assert archived_bodies(reader, world.room) == EARLIER + texts
    with world.online(world.alice) as alice:
        assert join(alice, world.room, "alice", 30).get("type") is None
        alice.message(world.room, "afterwards", type="groupchat")
        guest.wait(has_body("afterwards"), 30)
    live = [message for message in guest.received(lambda e: e.tag == f"{{{CLIENT}}}message" and e.find("{urn:xmpp:delay}delay") is None)]
    said = [text for message in live if (text := body(message)) in texts]
    assert said == texts[:len(said)], "in their order, none twice"
