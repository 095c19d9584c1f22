"""Random events of groups and conferences: many changes of the same members in few rooms at a time, rooms that are
destroyed and made again, joins that precede creations, duplicates, every spelling of a participant, both envelopes."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Message:
    """An event as it is published."""

    event: Event
    routing_key: str
    id: str
    body: bytes


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

    def __init__(self, random: random.Random, model: Model, domain: str, guests: str, rooms: int, users: int) -> None:
        self._random, self._model, self._domain = random, model, domain
        self._people = [(f"user{number}", domain) for number in range(users)]
        self._people += [("guest", guests), ("at\\40home", domain)]
        self._without_chat = ("nochat", domain)
        self._rooms = [self._room(number) for number in range(rooms)]
        self._hot = self._rooms[:HOT]
        self._count = 0
        self._echo: Message | None = None

    def _room(self, number: int) -> _Room:
        family = ("usersGroup", "conference")[number % 2]
        chat = f"chat-{number}" if number % 4 == 0 else None
        return _Room(f"{family.lower()}-{number}", family, self._domain, chat)

    def creations(self) -> list[Message]:
        """One creation for each room, to begin with."""
        return [self._created(room) for room in self._rooms]

    def next(self) -> Message:
        """The next event. Now and then the last one again, as a broker's client repeats what was not confirmed."""
        if self._echo is not None:
            echo, self._echo = self._echo, None
            return echo
        self._count += 1
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
        people = self._random.sample(self._people, self._random.randint(0, 5))
        owner = self._random.choice([None, *self._people[:3]])
        fields: dict[str, Any] = {"name": f"Room {room.id}"} if self._random.random() < 0.5 else {}
        if owner is not None:
            fields["owner"] = self._spelled(owner)
        participants = [self._spelled(one) for one in people]
        if self._random.random() < 0.2:
            participants.append(self._chatless())
        if participants or self._random.random() < 0.5:
            fields["participants"] = participants
        return self._message(room, "created", fields, people, owner)

    def _changed(self, room: _Room) -> Message:
        kind = self._random.choice(["joined", "joined", "left"])
        if room.family == "conference":
            if kind == "joined" and self._random.random() < 0.05:
                return self._message(room, kind, {"participant": self._chatless()})
            one = self._random.choice(self._people)
            return self._message(room, kind, {"participant": self._spelled(one)}, [one])
        people = self._random.sample(self._people, self._random.choice([1, 1, 1, 2, 3]))
        participants = [self._spelled(one) for one in people]
        if self._random.random() < 0.1:
            participants.append(self._chatless())
        return self._message(room, kind, {"participants": participants}, people)

    def _message(self, room: _Room, kind: str, fields: dict[str, Any], people: list[tuple[str, str]] = [],
                 owner: tuple[str, str] | None = None) -> Message:
        payload = {"id": room.id, "domain": room.domain, **({"chatId": room.chat_id} if room.chat_id else {}), **fields}
        event = Event(kind, room.jid, tuple("@".join(one) for one in people), "@".join(owner) if owner else None)
        key, id = KEYS[room.family][kind], str(uuid.UUID(int=self._random.getrandbits(128)))
        body: Any = payload if self._random.random() < 0.5 else {
            "specversion": "1.0", "id": id, "source": "/soak", "type": key, "datacontenttype": "application/json",
            "data": payload}
        return Message(event, key, id, json.dumps(body).encode())

    def _spelled(self, person: tuple[str, str]) -> Any:
        """A participant in one of the ways the contract allows."""
        local, domain = person
        username = local.replace("\\40", "@")
        ways: list[Any] = [f"{local}@{domain}", {"username": username, "domain": domain},
                           {"username": username, "domain": domain, "capabilities": ["voice", "chat"]}]
        if domain == self._domain:
            ways.append({"username": username})
            if username == local:
                ways.append(username)
        return self._random.choice(ways)

    def _chatless(self) -> dict[str, Any]:
        local, domain = self._without_chat
        return {"username": local, "domain": domain, "capabilities": ["voice"]}
