"""The model of the broker order says what the contract (section 4) says, and the comparison sees what differs."""

from __future__ import annotations

import random

from support.soak.model import Event, Model
from support.soak.traffic import Traffic

ROOM = "room@conference.example.test"


def told(*events: Event) -> Model:
    """A model of these events, one a second."""
    model = Model()
    for second, event in enumerate(events):
        model.apply(event, second)
    return model


def affiliations(*events: Event) -> dict[str, str]:
    return told(*events).rooms[ROOM].affiliations()


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


def test_who_must_have_been_invited_since_when():
    def invited(*events: Event) -> dict[str, float]:
        return told(*events).rooms[ROOM].invited()
    assert invited(created("a", owner="o"), joined("a", "b")) == {"a": 0, "b": 1}, "an owner as such is not"
    assert invited(created("a"), left("a"), joined("a"), created("a")) == {"a": 2}
    assert invited(created("a"), DESTROYED, created("a")) == {"a": 2}
    assert invited(joined("a")) == {}


def test_an_event_published_twice_comes_to_the_same():
    """What the publisher relies on when a confirmation does not come."""
    model, twice = Model(), Model()
    traffic = Traffic(random.Random(5), model, "example.test", "partner.test", rooms=8, users=6)
    seen = set()
    for second in range(3000):
        event = traffic.next().event
        seen.add(event.kind)
        model.apply(event, second)
        for _ in range(1 + second % 2):
            twice.apply(event, second)
    assert seen == {"created", "destroyed", "joined", "left"}
    assert twice.rooms == model.rooms
