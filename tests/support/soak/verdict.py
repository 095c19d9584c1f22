"""The rooms on the XMPP server beside the model."""

from __future__ import annotations

import contextlib
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from stack import rabbitmq
from stack.dead_letters import DEAD
from stack.event_types import EVENT_FUNCTIONS
from support.bookmarks import rooms_of
from support.platform import BROKER_DEAD, Platform
from support.soak.model import Model, Room
from support.wait import until
from support.xmpp import CLIENT, Client, E, StanzaError, error_condition

DISCO_INFO = "http://jabber.org/protocol/disco#info"
MUC_ADMIN = "http://jabber.org/protocol/muc#admin"
DIRECT_INVITATION = "jabber:x:conference"
DELAY = "urn:xmpp:delay"
AFFILIATIONS = ("owner", "admin", "member", "outcast")
FEATURES = {"muc_persistent", "muc_membersonly", "muc_hidden"}


@dataclass(frozen=True)
class Divergence:
    """One difference between a room and the model."""

    kind: str
    """`lost`, `superfluous`, `affiliation`, `room missing`, `room superfluous`, `configuration`,
    `bookmark lost`, `bookmark superfluous`, `bookmark` (it says something else than the room does), `invitation lost`, `invitation superfluous`, `host` (then `room` is a domain)."""
    room: str
    user: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.room} {self.user} {self.detail}".rstrip()


@dataclass
class Verdict:
    """What was compared and what came of it."""

    rooms: int = 0
    existing: int = 0
    members: int = 0
    bookmarks: int = 0
    invitations: int = 0
    repeated: int = 0
    """Invitations that came more than once, by their stanza ids."""
    surplus: int = 0
    """Invitations with ids of their own beyond one for each spell of membership."""
    divergences: list[Divergence] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """Divergences of a kind."""
        return sum(one.kind == kind for one in self.divergences)


def waiting(platform: Platform) -> dict[str, int]:
    """What is on its way, by queue; empty when nothing is."""
    depths = {name: sum(platform.queues.depths(name)) for name in EVENT_FUNCTIONS}
    if found := {name: number for name, number in depths.items() if number}:
        return found
    # The second look takes a second, and tells also of what the bridge has taken and not acknowledged.
    with platform.broker() as broker:
        ready = broker.depth(rabbitmq.QUEUE) or 0
    if ready or (ready := _in_broker(platform.stack.rabbitmq)):
        return {"broker": ready}
    # The bridge may have passed it on between the two looks.
    return {name: number for name in EVENT_FUNCTIONS if (number := sum(platform.queues.depths(name)))}


def settle(platform: Platform, deadline: float) -> None:
    """Waits until nothing is on its way. What bridge or functions had in hand when they died comes again, and counts. Queues
    that are too busy to answer are not empty yet."""
    last: list[dict[str, int] | OSError] = [{}]

    def idle() -> bool:
        try:
            last[0] = waiting(platform)
        except OSError as error:
            last[0] = error
        return not last[0]
    try:
        until(idle, "empty queues", deadline)
    except TimeoutError as error:
        raise TimeoutError(f"{error}; left: {last[0]}") from None


def _in_broker(settings: rabbitmq.Settings) -> int:
    """Messages of the bridge's queue, given out or not."""
    done = subprocess.run(
        rabbitmq.ctl(settings, "--quiet", "--node", rabbitmq.NODE, "list_queues", "--no-table-headers", "name", "messages"),
        env=settings.environment() | {"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise OSError(f"rabbitmqctl failed: {done.stderr.strip()}")
    depths = dict(line.split() for line in done.stdout.splitlines() if line.strip())
    return int(depths[rabbitmq.QUEUE])


def dead_letters(platform: Platform) -> dict[str, int]:
    """How many there are, by queue."""
    found = {name + DEAD: sum(platform.queues.depths(name + DEAD)) for name in EVENT_FUNCTIONS}
    with platform.broker() as broker:
        found[BROKER_DEAD] = broker.depth(BROKER_DEAD) or 0
    return {name: number for name, number in found.items() if number}


def compare(platform: Platform, model: Model, bystanders: set[str] = frozenset()) -> Verdict:
    """Rooms, affiliations and bookmarks, as the server admin sees them. `bystanders` must not have any. Changes nothing."""
    verdict = Verdict(rooms=len(model.rooms))
    cells, hosts = platform.hosts_by_cell(), platform.hosts()
    verdict.divergences += [Divergence("host", domain, detail=f"is on several cells: {', '.join(on)}")
                            for domain in model.domains if len(on := [cell for cell in cells if domain in cells[cell]]) > 1]
    verdict.divergences += [Divergence("host", domain, detail=f"should be there: {should_be}")
                            for domain, should_be in model.domains.items() if (domain in hosts) != should_be]
    with contextlib.ExitStack() as sessions:
        admins = {cell: sessions.enter_context(platform.admin(cell)) for cell in cells}

        def admin_of(jid: str) -> Client:
            domain = jid.rpartition("@")[2].removeprefix("conference.")
            return admins[next((cell for cell in cells if domain in cells[cell]), "prosody")]
        for jid, room in model.rooms.items():
            verdict.existing += room.exists
            verdict.members += len(room.affiliations())
            verdict.divergences += _compare_room(admin_of(jid), platform.stack.prosody.admin_jid, jid, room)
        names = {jid: _name(admin_of(jid), jid) for jid, room in model.rooms.items() if room.exists}
        for user in sorted(model.users() | bystanders):
            if user.rpartition("@")[2] in hosts:
                found = rooms_of(admin_of(user), user)
                verdict.bookmarks += len(found)
                verdict.divergences += compare_bookmarks(model, user, found, names)
    return verdict


def _name(admin: Client, jid: str) -> str:
    """A room's name as it tells everybody (XEP-0030): its localpart if it has none, which only Prosody 13 says itself."""
    identity = admin.iq("get", E("query", DISCO_INFO), jid, check=False).find(f".//{{{DISCO_INFO}}}identity")
    return (None if identity is None else identity.get("name")) or jid.partition("@")[0]


def compare_bookmarks(model: Model, user: str, found: dict[str, dict[str, str]], names: dict[str, str]) -> list[Divergence]:
    """What is wrong with a user's bookmarks of the service's rooms, given the rooms' own names."""
    wanted = {jid: room.affiliations()[user] for jid, room in model.rooms.items() if user in room.affiliations()}
    divergences = [Divergence("bookmark lost", jid, user) for jid in wanted.keys() - found.keys()]
    divergences += [Divergence("bookmark superfluous", jid, user) for jid in found.keys() - wanted.keys()]
    for jid in wanted.keys() & found.keys():
        says = found[jid].get("affiliation"), found[jid].get("name") or jid.partition("@")[0]
        if says != (wanted[jid], names.get(jid)):
            divergences.append(Divergence("bookmark", jid, user, f"should say {(wanted[jid], names.get(jid))}, says {says}"))
    return sorted(divergences, key=str)


def _compare_room(admin: Client, admin_jid: str, jid: str, room: Room) -> list[Divergence]:
    info = admin.iq("get", E("query", DISCO_INFO), jid, check=False)
    condition = error_condition(info)
    if not room.exists:
        return [] if condition in ("item-not-found", "gone") else [Divergence("room superfluous", jid, detail=str(condition))]
    if condition is not None:
        return [Divergence("room missing", jid, detail=condition)]
    found: list[Divergence] = []
    features = {one.get("var", "") for one in info.iter(f"{{{DISCO_INFO}}}feature")}
    if missing := FEATURES - features:
        found.append(Divergence("configuration", jid, detail=f"lacks {' '.join(sorted(missing))}"))
    wanted, actual = room.affiliations(), _affiliations(admin, jid)
    actual.pop(admin_jid, None)
    for user in sorted(wanted.keys() | actual.keys()):
        should, does = wanted.get(user), actual.get(user)
        if should != does:
            kind = "lost" if does is None else "superfluous" if should is None else "affiliation"
            found.append(Divergence(kind, jid, user, f"should be {should}, is {does}"))
    return found


def _affiliations(admin: Client, jid: str) -> dict[str, str]:
    found = {}
    for affiliation in AFFILIATIONS:
        try:
            reply = admin.iq("get", E("query", MUC_ADMIN, E("item", MUC_ADMIN, affiliation=affiliation)), jid)
        except StanzaError as error:
            raise AssertionError(f"{jid} does not list its {affiliation}s: {error}") from error
        found |= {item.get("jid", ""): affiliation for item in reply.iter(f"{{{MUC_ADMIN}}}item")}
    return found


def compare_invitations(platform: Platform, model: Model, bystanders: set[str], verdict: Verdict) -> None:
    """Has everyone ever named come online for the first time, and looks at the invitations that waited for them.
    `bystanders` must not have any."""
    for user in sorted(model.users() | bystanders):
        times: dict[str, list[float]] = {}
        ids: Counter[str] = Counter()
        with platform.online(user) as client:
            # What waits is sent before the presence that calls for it is answered for; a ping comes after it.
            client.sync()
            for message in client.received(lambda e: e.find(f"{{{DIRECT_INVITATION}}}x") is not None):
                x, delay = message.find(f"{{{DIRECT_INVITATION}}}x"), message.find(f"{{{DELAY}}}delay")
                assert message.tag == f"{{{CLIENT}}}message" and x is not None and delay is not None
                ids[message.get("id", "")] += 1
                times.setdefault(x.get("jid", ""), []).append(_seconds(delay.get("stamp", "")))
        verdict.invitations += ids.total()
        verdict.repeated += ids.total() - len(ids)
        verdict.divergences += compare_invited(model, user, times)
        verdict.surplus += max(0, len(ids) - sum(room.spells.get(user, 0) for room in model.rooms.values()))


def compare_invited(model: Model, user: str, times: dict[str, list[float]]) -> list[Divergence]:
    """What is wrong with the invitations of one user, given when those to each room were stored."""
    found = [Divergence("invitation superfluous", jid, user, "was never a member")
             for jid in times if jid not in model.rooms or not model.rooms[jid].spells.get(user)]
    for jid, room in model.rooms.items():
        since = room.invited().get(user)
        # Stamps are whole seconds.
        if since is not None and not any(stamp >= int(since) for stamp in times.get(jid, [])):
            newest = max(times.get(jid, []), default=None)
            detail = f"due since {since:.1f}, newest " + ("never" if newest is None else f"{newest:.0f}")
            found.append(Divergence("invitation lost", jid, user, detail))
    return found


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
