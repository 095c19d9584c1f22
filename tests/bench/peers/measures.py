"""Rooms through us and through peers, on one Prosody, in turn. Called by scripts/bench."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stack.process import close
from whole import Whole

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
NODE_FOLDER = ROOT / "target" / "peers"
VENV = ROOT / "target" / "venv-peers"
HELLO = HERE / "hello"
"""The least that a function on Node can be: a package of its own, for its client of the Runtime API takes minutes to build."""
HELLO_FOLDER = ROOT / "target" / "peers-hello"
ROUNDS = 3
GROUP = 1_000
JOINS = 100
SIZES = (10, 500, 4_000)
WINDOWS = (1, 64)
"""Affiliations in flight: awaiting each, and pipelined."""


def install(source: Path = HERE, folder: Path = NODE_FOLDER) -> None:
    """The peers' packages, as pinned in `source`."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (source / "package-lock.json").read_text()
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        for name in ("package.json", "package-lock.json"):
            (folder / name).write_text((source / name).read_text())
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"bench: npm could not install the peers; see that Node 20 and npm work:\n{done.stderr[-2000:]}")
        stamp.write_text(wanted)
    # Where Node looks for a script's packages.
    for script in source.glob("*.mjs"):
        (folder / script.name).write_text(script.read_text())


@dataclass
class Actor:
    """A process that makes rooms: reads commands, answers with seconds."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(repr=False)

    def __enter__(self) -> Actor:
        self._process = subprocess.Popen(
            self.command, env=os.environ | self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()
        return self

    def __exit__(self, *_: object) -> None:
        close(self._process)

    def _read(self) -> dict:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "it ended"}
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {answer['error']}; look at what it printed")
        return answer

    def run(self, op: str, room: str, members: list[str], window: int = 1) -> tuple[float, float]:
        """Seconds until all were members, and until all were invited as well."""
        assert self._process.stdin is not None
        command = {"op": op, "room": room, "members": members, "window": window}
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        return answer["members"], answer["seconds"]


@dataclass
class Sitting:
    """One Prosody, and who makes rooms on it."""

    domain: str
    ours: Actor
    whole: Whole
    peers: list[Actor]
    count: Callable[[str], int]
    """How many members a room has, asked of the server."""
    _rooms: int = 0

    def room(self) -> str:
        """A new name."""
        self._rooms += 1
        return f"bench{self._rooms}@conference.{self.domain}"

    def users(self, count: int, prefix: str = "u") -> list[str]:
        """Names of users."""
        return [f"{prefix}{number:05}@{self.domain}" for number in range(count)]

    def ways(self) -> list[tuple[str, Actor | Whole, int]]:
        """Everyone, each in every manner."""
        ours = [("sippo-xmpp", self.ours, 0), (self.whole.name, self.whole, 0)]
        return ours + [(f"{peer.name}, {window} in flight", peer, window) for window in WINDOWS for peer in self.peers]

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
    members = sitting.users(GROUP)
    there: dict[str, list[float]] = {}
    invited: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, actor, window in sitting.ways():
            room = sitting.room()
            for times, value in zip((there, invited), actor.run("group", room, members, window), strict=True):
                times.setdefault(name, []).append(value)
            sitting.check(room, GROUP)
    for title, times in (("until all are members", there), ("until all are invited as well", invited)):
        report(f"a group of {GROUP:,}, {title}; median of {ROUNDS}, in turn", times, lambda value: f"{value * 1e3:,.0f} ms")


def joins(sitting: Sitting) -> None:
    """Affiliation and invitation of one after the other, in rooms of several sizes."""
    for size in SIZES:
        seconds: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for name, actor, window in sitting.ways():
                room = sitting.room()
                # The whole way knows of rooms that were published only.
                maker = sitting.whole if actor is sitting.whole else sitting.ours
                maker.run("group", room, sitting.users(size))
                seconds.setdefault(name, []).append(actor.run("joins", room, sitting.users(JOINS, "j"), window)[1])
                sitting.check(room, size + JOINS)
        report(f"{JOINS} joins into a room of {size:,}, each a second; median of {ROUNDS}, in turn", seconds,
               lambda value: f"{JOINS / value:,.0f}/s")


def measure(domain: str, url: str, tcp_port: int, admin: str, token: str, ours: list[str], environment: dict[str, str],
            count: Callable[[str], int], whole: Whole) -> None:
    """All of it. The peers log in once, before the clock runs."""
    peer = {"PEER_JID": admin, "PEER_PASSWORD": token, "PEER_HOST": "127.0.0.1", "PEER_PORT": str(tcp_port)}
    node = Actor("@xmpp/client", ["node", "--experimental-websocket", str(NODE_FOLDER / "xmpp_client.mjs")], peer | {"PEER_URL": url})
    slixmpp = Actor("slixmpp", [str(VENV / "bin" / "python"), str(HERE / "slixmpp_client.py")], peer)
    with Actor("sippo-xmpp", ours, environment) as us, node, slixmpp:
        sitting = Sitting(domain, us, whole, [node, slixmpp], count)
        groups(sitting)
        joins(sitting)
