"""What one cell's users may send, the stream to another cell carries, with all that a room and an archive put around it."""

from __future__ import annotations

import pytest

from federation.conftest import Federation
from support.stanzas import CLIENT, has_body, join, request

PAGE = "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>50</max></set></query>"
LARGEST = {
    "bytes that take six each": "'" * 240_000,
    "elements": "<e/>" * 9_997,
    "levels": "<e>" * 98 + "</e>" * 98,
}


@pytest.mark.parametrize("what", list(LARGEST))
def test_the_largest_message_reaches_a_guest_and_holds_up_none_behind_it(federation: Federation, what: str):
    room = federation.create_room(federation.alice, federation.guest)
    alice, guest = federation.online(federation.alice), federation.online(federation.guest)
    join(alice, room, "alice")
    join(guest, room, "guest")
    alice.send(f"<message xmlns='{CLIENT}' type='groupchat' id='large' to='{room}'><x xmlns='urn:test'>{LARGEST[what]}</x><body>large</body></message>")
    alice.message(room, "behind it", type="groupchat")
    alice.wait(has_body("behind it"))
    guest.wait(has_body("large"))
    guest.wait(has_body("behind it"))
    guest.send(request("set", PAGE, room, "page"))
    guest.wait(lambda e: e.get("id") == "page" and e.get("type") == "result", 20)


def test_what_becomes_larger_than_a_stream_carries_is_left_out_alone(federation: Federation):
    """A namespace that is said once is written out with each attribute that is of it."""
    room = federation.create_room(federation.alice, federation.guest)
    alice, guest = federation.online(federation.alice), federation.online(federation.guest)
    join(alice, room, "alice")
    join(guest, room, "guest")
    alice.send(f"<message xmlns='{CLIENT}' type='groupchat' to='{room}'><x xmlns='urn:test' xmlns:n='urn:{'n' * 4000}'>"
               + "<e n:a=''/>" * 1000 + "</x><body>swells</body></message>")
    alice.message(room, "behind it", type="groupchat")
    guest.wait(has_body("behind it"))
    assert not guest.received(has_body("swells"))
    alice.message(room, "after it", type="groupchat")
    guest.wait(has_body("after it"))
