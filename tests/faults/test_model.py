"""The model of the broker order says what events/asyncapi.yaml says, and the comparison sees what differs."""

from __future__ import annotations

import itertools
import random

from support.soak.model import Event, Model
from support.soak.traffic import Domains, Traffic
from support.soak.verdict import compare_bookmarks, compare_invited

ROOM = "room@conference.example.test"
DOMAINS = Domains(steady="example.test", fickle="tenant.test", guests="partner.test")


def model_of(*events: Event) -> Model:
    """A model of these events, one a second."""
    model = Model()
    for second, event in enumerate(events):
        model.apply(event, second)
    return model


def affiliations(*events: Event) -> dict[str, str]:
    return model_of(*events).rooms[ROOM].affiliations()


def created(*users: str, owner: str | None = None) -> Event:
    return Event("created", ROOM, users, owner)


def joined(*users: str) -> Event:
    return Event("joined", ROOM, users)


def left(*users: str) -> Event:
    return Event("left", ROOM, users)


DESTROYED = Event("destroyed", ROOM)


def test_what_precedes_a_creation_counts_unless_a_destruction_lies_between():
    assert affiliations(joined("a")) == {}
    assert affiliations(joined("a"), created("b")) == {"a": "member", "b": "member"}
    assert affiliations(joined("a"), left("a"), created("b")) == {"b": "member"}
    assert affiliations(joined("a"), DESTROYED, created("b")) == {"b": "member"}


def test_the_newest_word_decides_and_nothing_lowers_an_owner_but_leaving():
    assert affiliations(created("a", "b"), left("a"), joined("a"), left("b")) == {"a": "member"}
    assert affiliations(created(owner="o"), joined("o"), created("o", owner="p")) == {"o": "owner", "p": "owner"}
    assert affiliations(created(owner="o"), left("o"), joined("o")) == {"o": "member"}
    assert affiliations(created(owner="o"), DESTROYED, created("o")) == {"o": "member"}


def test_a_domains_deletion_ends_its_rooms():
    gone, back = Event("domain deleted", "example.test"), Event("domain created", "example.test")
    assert affiliations(created("a"), gone, back) == affiliations(joined("a"), gone, joined("b")) == {}
    assert affiliations(joined("a"), gone, joined("b"), back, created("c")) == {"b": "member", "c": "member"}
    assert affiliations(created("a"), Event("domain deleted", "test")) == {"a": "member"}
    assert model_of(created("a"), back).domains == {"example.test": True}


def test_who_must_have_been_invited_since_when():
    def invited(*events: Event) -> dict[str, float]:
        return model_of(*events).rooms[ROOM].invited()
    assert invited(created("a", owner="o"), joined("a", "b")) == {"a": 0, "b": 1}, "an owner as such is not"
    assert invited(created("a"), left("a"), joined("a"), created("a")) == {"a": 2}
    assert invited(created("a"), DESTROYED, created("a")) == {"a": 2}
    assert invited(joined("a")) == {}


def test_bookmarks_are_as_the_rooms_are():
    model = model_of(created("a", "b", owner="o"), left("b"), Event("created", "gone@x", ("a",)), Event("destroyed", "gone@x"))

    def wrong(user: str, **found: dict[str, str]) -> list[str]:
        bookmarks = {{"here": ROOM, "gone": "gone@x"}[name]: one for name, one in found.items()}
        return [one.kind for one in compare_bookmarks(model, user, bookmarks, {ROOM: "Team 7"})]
    member, owner = ({"affiliation": what, "name": "Team 7"} for what in ("member", "owner"))
    assert wrong("a", here=member) == wrong("o", here=owner) == wrong("b") == wrong("bystander") == []
    assert wrong("a") == ["bookmark lost"]
    assert wrong("b", here=member) == wrong("bystander", here=member) == ["bookmark superfluous"]
    assert wrong("o", here=member) == wrong("a", here=member | {"name": "Team 6"}) == wrong("a", here=owner) == ["bookmark"]
    assert wrong("a", here=member, gone=member) == ["bookmark superfluous"]


def test_an_event_published_twice_comes_to_the_same():
    """What the publisher relies on when a confirmation does not come."""
    model, twice = Model(), Model()
    traffic = Traffic(random.Random(5), model, DOMAINS, rooms=8, users=6)
    seen = set()
    stream = itertools.chain(traffic.opening(), (traffic.next() for _ in range(3000)))
    for second, event in enumerate(message.event for message in stream):
        seen.add(event.kind)
        model.apply(event, second)
        for _ in range(1 + second % 2):
            twice.apply(event, second)
    assert seen == {"created", "destroyed", "joined", "left", "domain created", "domain deleted"}
    assert twice.rooms == model.rooms


def test_an_invitation_of_an_earlier_spell_is_not_enough():
    def wrong(user: str, *stamps: float) -> list[str]:
        model = model_of(created("a"), left("a"), joined("a"), joined("b"), left("b"), left("c"))
        return [one.kind for one in compare_invited(model, user, {ROOM: list(stamps)} if stamps else {})]
    assert wrong("a") == wrong("a", 0.0, 1.0) == ["invitation lost"]
    assert wrong("a", 0.0, 2.0) == []
    assert wrong("b") == wrong("b", 3.0) == [], "who has left may have been invited, or not"
    assert wrong("c", 1.0) == ["invitation superfluous"]


def test_with_several_cells_each_steady_tenant_has_rooms_and_guests_of_its_own():
    guests_of = {"one.test": "friends.test", "two.test": "partner.test", "tenant.test": "friends.test"}
    domains = Domains("one.test", "tenant.test", "friends.test", ("two.test",), guests_of)
    model = Model()
    traffic = Traffic(random.Random(1), model, domains, 40, 3)
    for message in traffic.opening():
        model.apply(message.event, 0)
    for _ in range(2_000):
        model.apply(traffic.next().event, 0)
    homes = {jid.partition("@conference.")[2] for jid in model.rooms}
    assert homes == {"one.test", "two.test", "tenant.test"}
    for jid, room in model.rooms.items():
        others = {user.rpartition("@")[2] for user in room.spells} - {jid.partition("@conference.")[2]}
        assert others <= {guests_of[jid.partition("@conference.")[2]]}, jid
    assert {f"nochat@{domain}" for domain in homes} == domains.bystanders()
