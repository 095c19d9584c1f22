"""Rooms through us and through peers, on one Prosody, in turn. Called by scripts/bench."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from actor import Actor
from peers_install import HERE, NODE_FOLDER, VENV
from scale import Scale
from whole import Whole

from stack.command_line import Progress


@dataclass
class Sitting:
    """One Prosody, and who makes rooms on it."""

    domain: str
    ours: Actor
    whole: Whole
    peers: list[Actor]
    count: Callable[[str], int]
    """How many members a room has, asked of the server."""
    scale: Scale
    prefix: str = "bench"
    """Of its rooms' names: no other sitting on this server has it."""
    _rooms: int = 0

    def room(self) -> str:
        """A new name."""
        self._rooms += 1
        return f"{self.prefix}{self._rooms}@conference.{self.domain}"

    def users(self, count: int, prefix: str = "u") -> list[str]:
        """Names of users."""
        return [f"{prefix}{number:05}@{self.domain}" for number in range(count)]

    def ways(self) -> list[tuple[str, Actor | Whole, int]]:
        """Everyone, each in every manner."""
        ours = [("sippo-xmpp", self.ours, 0), (self.whole.name, self.whole, 0)]
        return ours + [(f"{peer.name}, {window} in flight", peer, window) for window in self.scale.windows for peer in self.peers]

    def check(self, room: str, members: int) -> None:
        """Nobody is measured who left members out."""
        if (found := self.count(room)) != members:
            raise RuntimeError(f"{room} has {found} members, not {members}")


def report(title: str, seconds: dict[str, list[float]], show: Callable[[float], str]) -> None:
    """Medians, spread, and ratios to ours."""
    print(title)
    ours = statistics.median(seconds["sippo-xmpp"])
    for name, times in seconds.items():
        median = statistics.median(times)
        spread = f"{show(min(times))} … {show(max(times))}"
        print(f"  {name:36} {show(median):>12}   ({spread})   {median / ours:7.1f} ×", flush=True)


def groups(sitting: Sitting) -> None:
    """A room, its members, their invitations."""
    rounds, group = sitting.scale.rounds, sitting.scale.group
    members = sitting.users(group)
    there: dict[str, list[float]] = {}
    invited: dict[str, list[float]] = {}
    with Progress("groups created", rounds * len(sitting.ways())) as progress:
        for name, actor, window in sitting.ways() * rounds:
            room = sitting.room()
            for times, value in zip((there, invited), actor.run("group", room, members, window), strict=True):
                times.setdefault(name, []).append(value)
            sitting.check(room, group)
            progress.update()
    for title, times in (("until all are members", there), ("until all are invited as well", invited)):
        report(f"a group of {group:,}, {title}; median of {rounds}, in turn", times, lambda value: f"{value * 1e3:,.0f} ms")


def joins_into(sitting: Sitting, size: int, count: int) -> dict[str, list[float]]:
    """Affiliation and invitation of `count` users, one after the other, into rooms of `size`; seconds of each round, by way."""
    seconds: dict[str, list[float]] = {}
    with Progress(f"joins into rooms of {size:,}: runs", sitting.scale.rounds * len(sitting.ways())) as progress:
        for name, actor, window in sitting.ways() * sitting.scale.rounds:
            room = sitting.room()
            # The whole way knows of rooms that were published only.
            maker = sitting.whole if actor is sitting.whole else sitting.ours
            maker.run("group", room, sitting.users(size))
            seconds.setdefault(name, []).append(actor.run("joins", room, sitting.users(count, "j"), window)[1])
            sitting.check(room, size + count)
            progress.update()
    report(f"{count:,} joins into a room of {size:,}, each a second; median of {sitting.scale.rounds}, in turn", seconds,
           lambda value: f"{count / value:,.0f}/s")
    return seconds


@dataclass(frozen=True)
class Server:
    """The XMPP server that all make rooms on."""

    domain: str
    url: str
    tcp_port: int
    admin: str
    token: str = field(repr=False)


@contextlib.contextmanager
def sitting(server: Server, ours: list[str], environment: dict[str, str], count: Callable[[str], int], whole: Whole,
            peers: list[str], scale: Scale) -> Iterator[Sitting]:
    """With those of the peers that are there. They log in once, before the clock runs."""
    peer = {"PEER_JID": server.admin, "PEER_PASSWORD": server.token, "PEER_HOST": "127.0.0.1", "PEER_PORT": str(server.tcp_port)}
    node = ["node", "--experimental-websocket", str(NODE_FOLDER / "xmpp_client.mjs")]
    python = [str(VENV / "bin" / "python"), str(HERE / "slixmpp_client.py")]
    known = [Actor("@xmpp/client", node, peer | {"PEER_URL": server.url}), Actor("slixmpp", python, peer)]
    with contextlib.ExitStack() as running:
        us = running.enter_context(Actor("sippo-xmpp", ours, environment))
        others = [running.enter_context(one) for one in known if one.name in peers]
        yield Sitting(server.domain, us, whole, others, count, scale)


def measure(sitting: Sitting) -> None:
    """Groups, and joins into rooms of several sizes."""
    groups(sitting)
    for size in sitting.scale.sizes:
        joins_into(sitting, size, sitting.scale.joins)
