"""What the ledger of the running stack says of rooms and domains (core/src/ledger/dynamo), for people to read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stack import aws

ROOM, DOMAIN, CREATION, MEMBER, REGISTERS, PLACE, END = "room#", "domain#", "creation#", "member#", "registers", "place", "end"
Item = dict[str, Any]


def read(port: int, table: str, partition: str | None = None) -> list[Item]:
    """The items of a partition, or all, as plain values."""
    if partition is None:
        action, parameters = "Scan", {}
    else:
        action, parameters = "Query", {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": partition}}}
    found: list[Item] = []
    start: dict[str, Any] = {}
    while True:
        page = aws.call(port, "dynamodb", action, TableName=table, ConsistentRead=True, **parameters, **start)
        found += [{name: next(iter(value.values())) for name, value in item.items()} for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            return found
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def is_created(port: int, table: str, domain: str) -> bool:
    """Whether a domain's newest event is its creation: then it should be on the XMPP server."""
    registers = next((item for item in read(port, table, f"{DOMAIN}{domain}") if item["sk"] == REGISTERS), {})
    return registers.get("created", "") > registers.get("deleted", "")


def ordinal(text: str) -> str:
    """An event's place in the order, without its padding: its version and id."""
    version, _, event = text.partition("/")
    return f"{'.'.join(part.lstrip('0') or '0' for part in version.split('.'))} by event {event}"


@dataclass
class RoomRecord:
    """What is recorded of a room. Ordinals are as they are stored: they compare as text."""

    jid: str
    ended: str | None = None
    creations: dict[str, set[str]] = field(default_factory=dict)
    """Participants and owner, as bare JIDs, by ordinal."""
    joined: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    invited: dict[str, str] = field(default_factory=dict)
    """For which joining each was invited last."""
    announced: set[str] = field(default_factory=set)
    """The creations whose users have been invited."""
    kind: str = ""
    names: dict[str, str] = field(default_factory=dict)
    """By the creation that gave it."""

    @property
    def name(self) -> str:
        """What its newest creation calls it."""
        return self.names[max(self.names)] if self.names else ""

    @property
    def tenant(self) -> str:
        """The domain that the room belongs to."""
        return self.jid.partition("@conference.")[2]

    @property
    def lives(self) -> dict[str, set[str]]:
        """The creations since it ended last."""
        return {at: users for at, users in self.creations.items() if self.ended is None or at > self.ended}

    def users(self) -> set[str]:
        """All who are named."""
        return {*self.joined, *self.left, *(user for users in self.creations.values() for user in users)}

    def verdict(self, user: str) -> tuple[bool, str]:
        """Whether a user should belong to the room, and which event says so (core/src/rooms/desired.rs)."""
        if not self.lives:
            return False, f"the room ended: {ordinal(self.ended)}" if self.ended else "no event has created the room"
        says = [(at, True, "listed in the creation") for at, users in self.lives.items() if user in users]
        says += [(at, False, "left") for at in [self.left.get(user)] if at]
        says += [(at, True, "joined") for at in [self.joined.get(user)] if at]
        says = [one for one in says if self.ended is None or one[0] > self.ended]
        if not says:
            return False, "no event of this life names them"
        at, belongs, how = max(says)
        return belongs, f"{how}: {ordinal(at)}"

    def is_invited(self, user: str) -> bool:
        """Whether whoever belongs to the room has been sent the invitation to it."""
        at = self.joined.get(user)
        if at is not None and self.invited.get(user) == at:
            return True
        return any(user in users and creation in self.announced for creation, users in self.lives.items())


def rooms(items: list[Item]) -> dict[str, RoomRecord]:
    """The rooms that these items are of, with the ends of their domains."""
    found: dict[str, RoomRecord] = {}
    deleted = {item["pk"].removeprefix(DOMAIN): item.get("deleted") for item in items if item["pk"].startswith(DOMAIN)}
    for item in items:
        if item["pk"].startswith(ROOM):
            jid = item["pk"].removeprefix(ROOM)
            _take(found.setdefault(jid, RoomRecord(jid)), item)
    for room in found.values():
        ends = [end for end in (room.ended, deleted.get(room.tenant)) if end]
        room.ended = max(ends, default=None)
    return found


def _take(room: RoomRecord, item: Item) -> None:
    kind = item["sk"]
    if kind == END:
        room.ended = item.get("destroyed")
    elif kind.startswith(MEMBER):
        user = _long(kind.removeprefix(MEMBER), room)
        if "joined" in item:
            room.joined[user] = item["joined"]
        if "parted" in item:
            room.left[user] = item["parted"]
        if "invited" in item:
            room.invited[user] = item["invited"]
    elif kind.startswith(CREATION):
        at = kind.removeprefix(CREATION).rpartition("#")[0]
        users = [*item.get("participants", []), *([item["owner"]] if "owner" in item else [])]
        room.creations.setdefault(at, set()).update(_long(user, room) for user in users)
        if "announced" in item:
            room.announced.add(at)
        if item.get("name"):
            room.names[at] = item["name"]
        room.kind = item.get("kind", room.kind)


def _long(user: str, room: RoomRecord) -> str:
    return user if "@" in user else f"{user}@{room.tenant}"
