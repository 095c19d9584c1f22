"""Rooms as docs/CLIENTS.md has them."""

import pytest

from support.wait import until


@pytest.fixture
def in_room(person, room, admin):
    """Makes a group with an owner and members, who are logged in and in its room."""
    def make(*names):
        people = [person(name).log_in() for name in names]
        room.create(owner=people[0].name, participants=[one.name for one in people[1:]], id=None)
        room.wait_exists(admin)
        for one in people[1:]:
            one.wait("stanzas.some((one) => guide.readMessage(one, session.bareJid)?.invitation === room)", room=room.jid)
        for one in people:
            one.run("await guide.enterRoom(session, room)", room=room.jid)
        return people
    return make


def test_a_room_is_found_by_its_invitation(in_room, room):
    owner, member = in_room("olga", "bob")
    invitation = member.run("""
        const stanza = stanzas.find((one) => guide.readMessage(one, session.bareJid)?.invitation === room);
        return stanza.outerHTML;
    """, room=room.jid)
    assert "reason=\"usersGroup\"" in invitation
    pages = member.run("""
        const rooms = [];
        for await (const page of guide.history(session)) rooms.push(...page.map((one) => one.invitation).filter(Boolean));
        return rooms;
    """)
    assert pages == [room.jid]
    assert owner.run("return guide.roomMembers(session, room)", room=room.jid) \
        == [owner.jid, member.jid]


def test_an_invitation_says_the_rooms_name(person, room, admin):
    bob = person("bob").log_in()
    room.publish(room.created, room.payload(name="Team <&> 7", participants=[bob.name]))
    subject = bob.wait("""stanzas.filter((one) => guide.readMessage(one, session.bareJid)?.invitation === room)
        .map((one) => guide.child(one, "subject")?.textContent)[0]""", room=room.jid)
    assert subject == "Team <&> 7"


def test_rooms_on_a_second_device(person, room, admin):
    """An owner who is no participant, and a member: each finds the room on a device that has never heard of it."""
    olga, bob = person("olga"), person("bob")
    room.publish(room.created, room.payload(name="Team 7", owner=olga.name, participants=[bob.name]))
    room.wait_affiliated(admin, "member", [bob.name])
    for one, affiliation in ((olga, "owner"), (bob, "member")):
        one.log_in()
        found = one.run("return guide.findRooms(session)")
        assert found == [{"room": room.jid, "name": "Team 7", "kind": room.family, "affiliation": affiliation,
                          "autojoin": True}]
        listed = one.run("""
            const answer = await fetch(`${url}/sapi/xmpp/rooms`, { headers: { Authorization: `Bearer ${token}` } });
            return answer.json();
        """, url=one.platform.stack.functions.url)
        assert listed == [{"jid": room.jid, "name": "Team 7", "kind": room.family, "affiliation": affiliation}]


def test_a_device_outside_of_the_room_is_told_of_what_comes_changes_and_goes(person, room, admin):
    bob = person("bob").log_in()
    assert bob.run("return guide.findRooms(session)") == []
    changes = """stanzas.map((one) => guide.roomChanges(one, session))
        .find(({ rooms, gone }) => rooms.some((one) => one.room === room && one.name === name)
            || name === null && gone.includes(room))"""
    room.publish(room.created, room.payload(name="Team 7", participants=[bob.name]))
    bob.wait(changes, room=room.jid, name="Team 7")
    room.publish(room.created, room.payload(name="Team 8", participants=[bob.name]))
    bob.wait(changes, room=room.jid, name="Team 8")
    room.publish(room.left, room.of([bob.name]))
    bob.wait(changes, room=room.jid, name=None)
    assert bob.run("return guide.findRooms(session)") == []


def test_messages_in_a_room(in_room, room):
    alice, bob = in_room("alice", "bob")
    alice.run("await guide.sendText(session, room, 'to all', { type: 'groupchat' })", room=room.jid)
    for one in (alice, bob):
        one.wait_body("to all")
    texts = bob.run("""
        const texts = [];
        for await (const page of guide.history(session, { archive: room })) texts.push(...page.map((one) => one.text));
        return texts.filter(Boolean);
    """, room=room.jid)
    assert texts == ["to all"]
    own = bob.run("""
        const texts = [];
        for await (const page of guide.history(session)) texts.push(...page.map((one) => one.text));
        return texts;
    """)
    assert "to all" not in own
    assert bob.run("return guide.isInRoom(session, room, guide.ownNickname(session, room))", room=room.jid) is True


def test_who_leaves_and_enters_at_once_is_in(in_room, room):
    _, bob = in_room("alice", "bob")
    assert bob.run("""
        await guide.leaveRoom(session, room);
        const presence = await guide.enterRoom(session, room);
        return [presence.getAttribute("type"), await guide.isInRoom(session, room, guide.ownNickname(session, room))];
    """, room=room.jid) == [None, True]


def test_whose_membership_ends_is_told_why(in_room, room):
    alice, bob = in_room("alice", "bob")
    room.publish(room.left, room.of([bob.name]))
    end = "stanzas.map((one) => one.localName === 'presence' && guide.endOfStay(one)).find(Boolean)"
    assert bob.wait(end) == "no member any more"
    refused = bob.run("return guide.enterRoom(session, room).catch((error) => error.condition)", room=room.jid)
    assert refused == "item-not-found"
    assert bob.run("return guide.isInRoom(session, room, 'bob')", room=room.jid) is False
    assert alice.run("return guide.isInRoom(session, room, guide.ownNickname(session, room))", room=room.jid) is True


def test_who_is_in_a_room_that_ends_is_told_so(in_room, room):
    alice, bob = in_room("alice", "bob")
    room.publish(room.deleted, room.payload())
    end = "stanzas.map((one) => one.localName === 'presence' && guide.endOfStay(one)).find(Boolean)"
    for one in (alice, bob):
        assert one.wait(end) == "room ended"
        refused = one.run("return guide.enterRoom(session, room).catch((error) => error.condition)", room=room.jid)
        assert refused == "item-not-found"


def test_nobody_goes_by_another_members_name(in_room, room):
    alice, bob = in_room("alice", "bob")
    bob.run("await guide.leaveRoom(session, room); await ping()", room=room.jid)
    refused = bob.run("return guide.enterRoom(session, room, name).catch((error) => [error.condition, error.text])",
                      room=room.jid, name=alice.name)
    assert refused[0] == "conflict"
    assert bob.run("return (await guide.enterRoom(session, room, 'Bobby')).getAttribute('from')",
                   room=room.jid) == f"{room.jid}/Bobby"


def test_a_guest_of_another_domain(person, room, admin):
    guest = person(jid=f"gast-{room.id}@partner.test").log_in()
    room.create(owner="olga", participants=[{"username": guest.name, "domain": guest.domain}])
    guest.wait("stanzas.some((one) => guide.readMessage(one, session.bareJid)?.invitation === room)", room=room.jid)
    entered = guest.run("return (await guide.enterRoom(session, room)).getAttribute('from')", room=room.jid)
    assert entered == f"{room.jid}/{guest.jid}"
    guest.run("await guide.sendText(session, room, 'a guest speaks', { type: 'groupchat' })", room=room.jid)
    guest.wait_body("a guest speaks")


def test_rooms_are_entered_again_after_a_cut_that_ends_the_session(in_room, room):
    alice, bob = in_room("alice", "bob")
    alice.platform.kill("prosody")
    for one in (alice, bob):
        one.wait("counts.online === 2")
        assert one.run("return guide.isInRoom(session, room, guide.ownNickname(session, room))", room=room.jid) is False
        one.run("await guide.enterRoom(session, room)", room=room.jid)
    bob.run("await guide.sendText(session, room, 'here again', { type: 'groupchat' })", room=room.jid)
    until(lambda: "here again" in alice.run("return bodies()"), "the message")
