"""A room from both sides: the events that concern it, and what a server admin sees of it."""

from __future__ import annotations

from typing import Any

from support.platform import Platform
from support.stanzas import affiliated, ask, configuration, room_features
from support.wait import until
from support.xmpp import CLIENT, Client, Element

DOMAIN = "example.test"
DIRECT_INVITATION = "jabber:x:conference"
KEYS = {
    "usersGroup": ("usersGroup.created", "usersGroup.deleted", "usersGroup.participants.joined",
                   "usersGroup.participants.left"),
    "conference": ("conference.created", "conference.destroyed", "conference.participant.joined",
                   "conference.participant.left"),
}


class Room:
    """One room; `family` is usersGroup or conference."""

    def __init__(self, platform: Platform, id: str, family: str, domain: str = DOMAIN) -> None:
        self.platform, self.id, self.family, self.domain = platform, id, family, domain
        self.created, self.deleted, self.joined, self.left = KEYS[family]
        self.jid = f"{id}@conference.{domain}"

    def payload(self, **fields: Any) -> dict[str, Any]:
        """An event's payload."""
        return {"id": self.id, "domain": self.domain, **fields}

    def of(self, users: list[Any]) -> dict[str, Any]:
        """The payload of a join or leave; a conference's names one user."""
        if self.family == "usersGroup":
            return self.payload(participants=users)
        [user] = users
        return self.payload(participant=user)

    def publish(self, routing_key: str, payload: dict[str, Any], **options: Any) -> str:
        """Publishes an event about the room."""
        return self.platform.publish(routing_key, payload, **options)

    def create(self, owner: str | None = None, participants: list[Any] | None = None, **options: Any) -> str:
        """Publishes its creation."""
        fields = {"owner": owner, "participants": participants}
        return self.publish(self.created, self.payload(**{k: v for k, v in fields.items() if v is not None}), **options)

    def jid_of(self, name: str) -> str:
        """The bare JID of a user of the room's domain."""
        return f"{name}@{self.domain}"

    # As a server admin sees it

    def exists(self, admin: Client) -> bool:
        """Whether the room is there."""
        reply = ask(admin, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", self.jid)
        return reply.get("type") == "result"

    def wait_exists(self, admin: Client) -> None:
        """Waits until it is there."""
        until(lambda: self.exists(admin), f"room {self.jid}")

    def wait_gone(self, admin: Client) -> None:
        """Waits until it is not."""
        until(lambda: not self.exists(admin), f"the end of room {self.jid}")

    def affiliated(self, admin: Client, affiliation: str) -> set[str]:
        """Who has an affiliation; nobody where there is no room."""
        return affiliated(admin, self.jid, affiliation) if self.exists(admin) else set()

    def wait_affiliated(self, admin: Client, affiliation: str, names: list[str]) -> None:
        """Waits until exactly these users of the room's domain have an affiliation."""
        wanted = {self.jid_of(name) for name in names}
        until(lambda: self.affiliated(admin, affiliation) == wanted, f"{affiliation}s of {self.jid}: {wanted}")

    def features(self, admin: Client) -> set[str]:
        """What service discovery tells of it."""
        return room_features(admin, self.jid)

    def configuration(self, admin: Client) -> dict[str, str]:
        """Its configuration."""
        return configuration(admin, self.jid)

    # As a user sees it

    def is_invitation(self, message: Element) -> bool:
        """Whether this is a direct invitation (XEP-0249) to the room."""
        x = message.find(f"{{{DIRECT_INVITATION}}}x")
        return message.tag == f"{{{CLIENT}}}message" and x is not None and x.get("jid") == self.jid

    def wait_invitation(self, client: Client) -> Element:
        """Takes the invitation to the room; its `x` element."""
        message = client.wait(self.is_invitation, 30)
        x = message.find(f"{{{DIRECT_INVITATION}}}x")
        assert x is not None
        return x

    def invitations(self, client: Client) -> int:
        """How many invitations to the room have come and were not taken."""
        client.sync()
        return len(client.received(self.is_invitation))
