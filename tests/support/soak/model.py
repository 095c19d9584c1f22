"""What rooms should be: the events applied one after the other, in the order in which the broker took them.

Written from events/asyncapi.yaml alone; it shares no thought with the service's ledger,
which never sees that order.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    """An event as far as it matters to a room."""

    kind: str
    """`created`, `destroyed`, `joined` or `left`; `domain created` or `domain deleted`."""
    room: str
    """Its bare JID; in an event about a domain, that domain."""
    users: tuple[str, ...] = ()
    """Bare JIDs of the participants who have the `chat` capability."""
    owner: str | None = None


@dataclass
class Spell:
    """Someone's membership from its first event to what ends it."""

    begun: float
    """When that event was first published: seconds since 1970."""


@dataclass
class Room:
    """One room. Before its creation it has members, too: their joining counts once it is created."""

    exists: bool = False
    owners: set[str] = field(default_factory=set)
    members: dict[str, Spell] = field(default_factory=dict)
    spells: dict[str, int] = field(default_factory=dict)
    """How many spells of membership everyone ever named has had."""

    def apply(self, event: Event, now: float) -> None:
        """The next event in the broker's order."""
        match event.kind:
            case "created":
                self.exists = True
                self._add(event.users, now)
                if event.owner is not None:
                    self.spells.setdefault(event.owner, 0)
                    self.owners.add(event.owner)
            case "destroyed":
                self.exists = False
                self.owners.clear()
                self.members.clear()
            case "joined":
                self._add(event.users, now)
            case "left":
                for user in event.users:
                    self.spells.setdefault(user, 0)
                    self.owners.discard(user)
                    self.members.pop(user, None)
            case other:
                raise ValueError(f"there is no event {other}")

    def _add(self, users: tuple[str, ...], now: float) -> None:
        for user in users:
            if user not in self.members:
                self.members[user] = Spell(now)
                self.spells[user] = self.spells.get(user, 0) + 1

    def affiliations(self) -> dict[str, str]:
        """Who should have which affiliation; nobody where there should be no room."""
        if not self.exists:
            return {}
        return dict.fromkeys(self.members, "member") | dict.fromkeys(self.owners, "owner")

    def invited(self) -> dict[str, float]:
        """Who must have an invitation, and since when. An owner as such is not invited."""
        return {user: spell.begun for user, spell in self.members.items()} if self.exists else {}


class Model:
    """All rooms by their bare JIDs, and the domains that events have named."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self.domains: dict[str, bool] = {}

    def apply(self, event: Event, now: float) -> None:
        """The next event in the broker's order, whose publishing began at `now`."""
        match event.kind:
            case "domain created":
                self.domains[event.room] = True
            case "domain deleted":
                self.domains[event.room] = False
                for jid, room in self.rooms.items():
                    if jid.endswith(f"@conference.{event.room}"):
                        room.apply(Event("destroyed", jid), now)
            case _:
                self.rooms.setdefault(event.room, Room()).apply(event, now)

    def users(self) -> set[str]:
        """Everyone ever named."""
        return {user for room in self.rooms.values() for user in room.spells}
