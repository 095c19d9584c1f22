"""Random events of groups and conferences: many changes of the same members in few rooms at a time, rooms that are
destroyed and made again, joins that precede creations, duplicates, every spelling of a participant, both envelopes. And a
tenant who is deleted and comes back again and again, with events of its rooms before, between and after."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from support.soak.model import Event, Model

KEYS = {
    "usersGroup": {"created": "usersGroup.created", "destroyed": "usersGroup.deleted",
                   "joined": "usersGroup.participants.joined", "left": "usersGroup.participants.left"},
    "conference": {"created": "conference.created", "destroyed": "conference.destroyed",
                   "joined": "conference.participant.joined", "left": "conference.participant.left"},
}
HOT = 6
"""Rooms that get most of the events for a while."""
WHILE = 150
"""Events until other rooms are hot."""
TENANCY = (150, 400)
"""Events until the fickle tenant goes."""
ABSENCE = (0, 20)
"""Events until it is back: what is about its rooms meanwhile cannot be done before that."""
BYSTANDER = "nochat"


@dataclass(frozen=True)
class Message:
    """An event as it is published."""

    event: Event
    routing_key: str
    id: str
    body: bytes


@dataclass(frozen=True)
class Domains:
    """Who takes part."""

    steady: str
    """Is always there."""
    fickle: str
    """Is deleted and created by events."""
    guests: str
    """Always there; a user of it is a guest in others' rooms."""
    further: tuple[str, ...] = ()
    """Others that are always there."""
    guests_of: Mapping[str, str] = field(default_factory=dict)
    """Whose users are the guests in the rooms of a domain, if others."""

    def bystanders(self) -> set[str]:
        """Who is named in events but lacks the `chat` capability."""
        return {f"{BYSTANDER}@{domain}" for domain in (self.steady, self.fickle, *self.further)}


@dataclass(frozen=True)
class _Room:
    id: str
    family: str
    domain: str
    chat_id: str | None

    @property
    def jid(self) -> str:
        return f"{self.chat_id or self.id}@conference.{self.domain}"


class Traffic:
    """An endless, reproducible stream of events; it looks at the model so that rooms live rather than not."""

    def __init__(self, random: random.Random, model: Model, domains: Domains, rooms: int, users: int) -> None:
        self._random, self._model, self._domains = random, model, domains
        self._users = users
        self._rooms = [self._room(number) for number in range(rooms)]
        self._hot = self._rooms[:HOT]
        self._count = 0
        self._echo: Message | None = None
        self._turn = random.randint(*TENANCY)
        """The event at which the fickle tenant goes or comes."""

    def _room(self, number: int) -> _Room:
        family = ("usersGroup", "conference")[number % 2]
        chat = f"chat-{number}" if number % 4 == 0 else None
        steady = (self._domains.steady, *self._domains.further)
        domain = self._domains.fickle if number % 5 == 0 else steady[number % len(steady)]
        return _Room(f"{family.lower()}-{number}", family, domain, chat)

    def _people(self, room: _Room) -> list[tuple[str, str]]:
        """Who may belong to a room; those at the front may own it."""
        people = [(f"user{number}", room.domain) for number in range(self._users)]
        return [*people, ("guest", self._domains.guests_of.get(room.domain, self._domains.guests)), ("at\\40home", room.domain)]

    def opening(self) -> list[Message]:
        """To begin with: the fickle tenant, and half of the rooms. The others are joined and left before they are created."""
        return [self._tenant("created"), *(self._created(room) for room in self._rooms[::2])]

    def closing(self) -> list[Message]:
        """To end with: the fickle tenant, unless it is there."""
        return [] if self._model.domains[self._domains.fickle] else [self._tenant("created")]

    def next(self) -> Message:
        """The next event. Now and then the last one again, as a broker's client repeats what was not confirmed."""
        if self._echo is not None:
            echo, self._echo = self._echo, None
            return echo
        self._count += 1
        if self._count >= self._turn:
            is_there = self._model.domains[self._domains.fickle]
            self._turn = self._count + self._random.randint(*(ABSENCE if is_there else TENANCY))
            return self._tenant("deleted" if is_there else "created")
        if self._count % WHILE == 0:
            self._hot = self._random.sample(self._rooms, min(HOT, len(self._rooms)))
        room = self._random.choice(self._hot if self._random.random() < 0.8 else self._rooms)
        message = self._about(room)
        if self._random.random() < 0.05:
            self._echo = message
        return message

    def _about(self, room: _Room) -> Message:
        known = self._model.rooms.get(room.jid)
        chance = self._random.random()
        if known is None or not known.exists:
            return self._created(room) if chance < 0.3 else self._changed(room)
        if chance < 0.03:
            return self._message(room, "destroyed", {})
        return self._created(room) if chance < 0.06 else self._changed(room)

    def _created(self, room: _Room) -> Message:
        all = self._people(room)
        people = self._random.sample(all, self._random.randint(0, 5))
        owner = self._random.choice([None, *all[:3]])
        fields: dict[str, Any] = {"name": f"Room {room.id}"} if self._random.random() < 0.5 else {}
        if owner is not None:
            fields["owner"] = self._spelled(room, owner)
        participants = [self._spelled(room, one) for one in people]
        if self._random.random() < 0.2:
            participants.append(_chatless(room))
        if participants or self._random.random() < 0.5:
            fields["participants"] = participants
        return self._message(room, "created", fields, people, owner)

    def _changed(self, room: _Room) -> Message:
        kind = self._random.choice(["joined", "joined", "left"])
        if room.family == "conference":
            if kind == "joined" and self._random.random() < 0.05:
                return self._message(room, kind, {"participant": _chatless(room)})
            one = self._random.choice(self._people(room))
            return self._message(room, kind, {"participant": self._spelled(room, one)}, [one])
        people = self._random.sample(self._people(room), self._random.choice([1, 1, 1, 2, 3]))
        participants = [self._spelled(room, one) for one in people]
        if self._random.random() < 0.1:
            participants.append(_chatless(room))
        return self._message(room, kind, {"participants": participants}, people)

    def _message(self, room: _Room, kind: str, fields: dict[str, Any], people: Sequence[tuple[str, str]] = (),
                 owner: tuple[str, str] | None = None) -> Message:
        payload = {"id": room.id, "domain": room.domain, **({"chatId": room.chat_id} if room.chat_id else {}), **fields}
        event = Event(kind, room.jid, tuple("@".join(one) for one in people), "@".join(owner) if owner else None)
        return self._published(event, KEYS[room.family][kind], payload)

    def _tenant(self, kind: str) -> Message:
        domain = self._domains.fickle
        return self._published(Event(f"domain {kind}", domain), f"domain.{kind}", {"domain": domain})

    def _published(self, event: Event, key: str, payload: dict[str, Any]) -> Message:
        id = str(uuid.UUID(int=self._random.getrandbits(128)))
        body: Any = payload if self._random.random() < 0.5 else {
            "specversion": "1.0", "id": id, "source": "/soak", "type": key, "datacontenttype": "application/json",
            "data": payload}
        return Message(event, key, id, json.dumps(body).encode())

    def _spelled(self, room: _Room, person: tuple[str, str]) -> Any:
        """A participant in one of the ways that events/asyncapi.yaml allows."""
        local, domain = person
        username = local.replace("\\40", "@")
        ways: list[Any] = [{"username": username, "domain": domain},
                           {"username": username, "domain": domain, "capabilities": ["voice", "chat"]}]
        if domain == room.domain:
            ways += [{"username": username}, f"{local}@{domain}"]
            if username == local:
                ways.append(username)
        return self._random.choice(ways)


def _chatless(room: _Room) -> dict[str, Any]:
    """A participant whom no event may touch."""
    return {"username": BYSTANDER, "domain": room.domain, "capabilities": ["voice"]}
