"""mod_sippo_guest_share: a guest's stanzas wait in the room's cell, and nobody else's do."""

from __future__ import annotations

import signal
from pathlib import Path

from federation.conftest import Federation
from federation.test_federation_refusals import linked_to
from stack import cells
from support.prosody import Server
from support.stanzas import archived_bodies, has_body, join, request, settle
from support.wait import until

PAGE = "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>50</max></set></query>"


def memory(server: Server) -> int:
    """What a server has in memory, in MiB."""
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def fill(federation: Federation, room: str) -> None:
    """Has the room's archive have a page of 200 KiB."""
    alice = federation.online(federation.alice)
    join(alice, room, "alice")
    for number in range(50):
        alice.message(room, f"{number} {'x' * 4000}", type="groupchat")
    settle(alice)
    alice.close()


def test_answers_to_a_cell_that_does_not_read_are_not_made_before_it_does(federation: Federation):
    """80 MiB of them would lie in the server's memory, which is all its tenants'."""
    room = federation.create_room(federation.alice, federation.guest)
    fill(federation, room)
    assert len(archived_bodies(federation.online(federation.guest), room)) == 50
    before = memory(federation.one)
    federation.two.signal(signal.SIGSTOP)
    try:
        with linked_to(federation.one, federation.authority, federation.authority.issue(cells.host_of("two"))) as link:
            assert link.open(federation.away, f"conference.{federation.home}") == "ready"
            for number in range(400):
                link.send(request("set", PAGE, room, f"q{number}").replace("<iq xmlns='jabber:client'", f"<iq from='{federation.guest}'"))
            link.send(f"<message from='nobody@{federation.away}' to='{room}'><body>last</body></message>")
            until(lambda: f"Dropped message from nobody@{federation.away}" in federation.one.log_text(), "the last one's refusal")
        assert memory(federation.one) < before + 60
    finally:
        federation.two.signal(signal.SIGCONT)


def test_all_that_a_guest_asks_for_is_answered_in_its_order(federation: Federation):
    room = federation.create_room(federation.alice, federation.guest)
    fill(federation, room)
    alice, guest = federation.online(federation.alice), federation.online(federation.guest)
    join(alice, room, "alice")
    join(guest, room, "guest")
    numbers = [str(number) for number in range(20)]
    for number in numbers:
        guest.send(request("set", PAGE, room, f"q{number}"))
        guest.message(room, number, type="groupchat")
    alice.wait(has_body(numbers[-1]), 60)
    until(lambda: len(guest.received(is_answer)) == len(numbers), "all answers", 60)
    assert [e.get("id") for e in guest.received(is_answer)] == [f"q{number}" for number in numbers]
    said = [e.findtext("{*}body") for e in alice.received(lambda e: e.tag.endswith("}message") and e.findtext("{*}body") in numbers)]
    assert said == numbers[:-1], "all, once, in their order"


def is_answer(e) -> bool:
    """Whether it is a result of one of the queries."""
    return e.tag.endswith("}iq") and e.get("type") == "result" and (e.get("id") or "").startswith("q")
