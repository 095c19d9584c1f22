"""mod_sippo_cell_link: what is told of a tenant that moves, and what means nothing, keeps nobody else's from them."""

from __future__ import annotations

import pytest

from federation.conftest import Federation, set_routes
from federation.test_federation_refusals import CELLS, linked_to
from stack import cells
from support.bookmarks import rooms_of
from support.moves import Move
from support.stanzas import configure, ok
from support.wait import until


def test_who_is_made_a_member_while_their_tenant_moves_has_a_bookmark_when_it_is_back(federation: Federation, unique_domain):
    """Also more of them than are told at once hold up no other tenant of their cell."""
    other = federation.two.create_host(unique_domain())
    set_routes(federation.one, "two", other)
    move = Move(federation.away, federation.two, federation.one)
    room = federation.create_room(federation.alice)
    move.freeze()
    federation.affiliate(*((f"g{number}-{federation.tail}@{federation.away}", "member") for number in range(60)))
    neighbour = f"neighbour@{other}"
    federation.affiliate((neighbour, "member"))
    with federation.two.admin() as admin:
        until(lambda: room in rooms_of(admin, neighbour), "the other tenant's bookmark")
        move.bring(federation.two, "served")
        for number in range(60):
            guest = f"g{number}-{federation.tail}@{federation.away}"
            until(lambda guest=guest: room in rooms_of(admin, guest), f"the bookmark of {guest}")
    federation.two.delete_host(other)


def test_who_is_a_guest_on_the_same_cell_while_their_tenant_moves_has_a_bookmark_when_it_is_back(federation: Federation, unique_domain):
    beside = federation.one.create_host(unique_domain())
    guest = f"guest@{beside}"
    room = federation.create_room(guest)
    move = Move(beside, federation.one, federation.two)
    move.freeze()
    with federation.one.admin() as admin:
        ok(configure(admin, room, {"muc#roomconfig_roomname": "new"}))
        move.bring(federation.one, "served")
        until(lambda: rooms_of(admin, guest).get(room, {}).get("name") == "new", "the room's new name in the bookmark")
    federation.one.delete_host(beside)


@pytest.mark.parametrize("nonsense", [
    "<membership user='{user}' kind='usersGroup' affiliation='member'/>",
    "<membership room='{room}' kind='usersGroup' affiliation='member'/>",
    "<membership room='@@' user='@@' kind='usersGroup' affiliation='member'/>",
    "<membership room='{host}' user='{user}' kind='usersGroup' affiliation='member'/>",
    "<membership room='{room}/x' user='{user}' kind='usersGroup' affiliation='member'/>",
    "<membership room='{room}' user='{user}' kind='usersGroup' affiliation='outcast'/>",
    "<membership room='{room}' user='{user}' kind='usersGroup' affiliation='emperor'/>",
    "<membership room='{room}' user='{user}' ended='2.1/65'/><membership room='{room}' user='{user}' ended='tomorrow'/>",
    "<membership/><else/>text",
])
def test_what_means_nothing_is_left_out_alone(federation: Federation, nonsense: str):
    host = f"conference.{federation.away}"
    room, later = f"r@{host}", f"s@{host}"
    told = nonsense.format(user=federation.alice, room=room, host=host)
    with linked_to(federation.one, federation.authority, federation.authority.issue(cells.host_of("two"))) as link:
        assert link.open(cells.host_of("two"), cells.host_of("one")) == "ready"
        link.send(f"<iq type='set' id='x' from='{cells.host_of('two')}' to='{cells.host_of('one')}'><memberships xmlns='{CELLS}'>"
                  f"{told}<membership room='{later}' user='{federation.alice}' kind='usersGroup' affiliation='member'/>"
                  "</memberships></iq>")
        with federation.one.admin() as admin:
            until(lambda: later in rooms_of(admin, federation.alice), "the bookmark of the one that means something")
            assert set(rooms_of(admin, federation.alice)) == {later}
