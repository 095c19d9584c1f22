"""Who and what there is. The grammar addresses all of it, the world makes it."""

from __future__ import annotations

HOME, GUEST, OTHER = "home.example", "guest.example", "other.example"
"""Tenants: of the fuzzing users, of one who is a guest in a room, and of others who must not notice any of it."""
ROOMS, OTHER_ROOMS = f"conference.{HOME}", f"conference.{OTHER}"

EVE, MAL, ZOE = f"eve@{HOME}", f"mal@{HOME}", f"zoe@{GUEST}"
"""The fuzzing users. Eve owns the team's room, Mal is a member of it, Zoe a member from another tenant."""
CAROL, DAVE = f"carol@{HOME}", f"dave@{HOME}"
"""Neighbours of the same tenant: Carol has secrets and is in the team's room; Dave never comes."""
VERA, PAT = f"vera@{OTHER}", f"pat@{OTHER}"
"""Another tenant: Vera has secrets, Pat pings."""

ACTORS = {"eve": (EVE, "phone"), "eve2": (EVE, "laptop"), "mal": (MAL, "pc"), "zoe": (ZOE, "pc")}
"""Sessions that fuzz."""

TEAM, SECRET = f"team@{ROOMS}", f"secret@{ROOMS}"
"""Rooms of the service: with the fuzzing users, and with Carol alone."""
OTHER_TEAM = f"team@{OTHER_ROOMS}"
"""A room of the service at the other tenant."""
ADHOC = [f"adhoc-{name}@{ROOMS}" for name in ("one", "two", "three")]
"""Rooms that the users make and destroy."""

FORGED = "forged"
"""Begins whatever a client must not be able to say of itself; see the oracle of this name."""


def name(jid: str) -> str:
    """The part before the @."""
    return jid.partition("@")[0]
