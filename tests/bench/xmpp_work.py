"""The work that `scripts/bench xmpp` has an XMPP server do, and what it takes of the server, its database and the clients."""

from __future__ import annotations

from dataclasses import dataclass, field

from actor import Actor
from targets import DOMAIN, ROOM, Target
from usage import cpu, memory

AT_ONCE = 20
"""Logins under way."""
WARM = [f"warm{number}@{DOMAIN}" for number in range(20)]


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    rounds: int
    sessions: tuple[int, ...]
    """Memory is looked at with this many."""
    batch: int
    """Logins of a round."""
    pairs: int
    messages: int
    """Of each pair, a round."""
    occupants: int
    speakers: int
    said: int
    """By each speaker, a round."""


FULL = Sizes(rounds=5, sessions=(1_000, 5_000), batch=250, pairs=100, messages=20, occupants=200, speakers=10, said=10)
SMOKE = Sizes(rounds=1, sessions=(4, 12), batch=4, pairs=2, messages=3, occupants=5, speakers=2, said=2)


def user_names(count: int) -> list[str]:
    """Names of users, always in the same order."""
    return [f"u{number:05}@{DOMAIN}" for number in range(count)]


@dataclass
class Samples:
    """Of one kind of work on one server: a number a round."""

    rate: list[float] = field(default_factory=list)
    """Done a second."""
    server: list[float] = field(default_factory=list)
    """Seconds of processor time each."""
    database: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    """Share of the time that the server was at work; above 1, on several processors."""
    client: list[float] = field(default_factory=list)
    """The same of the clients."""


@dataclass
class Measured:
    """One server with its clients."""

    target: Target
    clients: Actor
    logins: Samples = field(default_factory=Samples)
    chat: Samples = field(default_factory=Samples)
    talk: Samples = field(default_factory=Samples)
    sessions: dict[int, float] = field(default_factory=dict)
    """KiB a session, by how many there are."""

    def work(self, samples: Samples, count: int, **command: object) -> None:
        """Has the clients do something `count` times, and notes what that took."""
        server, database = cpu(self.target.pid), self._database()
        answer = self.clients.ask(**command)
        server, database = cpu(self.target.pid) - server, self._database() - database
        samples.rate.append(count / answer["seconds"])
        samples.server.append(server / count)
        samples.database.append(database / count)
        samples.busy.append(server / answer["seconds"])
        samples.client.append(answer["cpu"] / answer["seconds"])

    def _database(self) -> float:
        return cpu(self.target.database_pid, below=True) if self.target.database_pid else 0.0

    def log_in(self, samples: Samples, users: list[str]) -> None:
        self.work(samples, len(users), op="log_in", url=self.target.url, users=self.target.passwords(users), at_once=AT_ONCE)

    def open_sessions(self, sizes: Sizes) -> None:
        """Logs all users in, and notes what a session adds to the server's memory."""
        users = user_names(max(sizes.sessions))
        self.target.register([*users, *WARM])
        self.log_in(Samples(), WARM)  # what all sessions share is loaded
        self.clients.ask(op="keep", count=0)
        had = memory(self.target.pid)
        for start in range(0, len(users), sizes.batch):
            end = start + sizes.batch
            self.log_in(self.logins, users[start:end])
            if end in sizes.sessions:
                self.sessions[end] = (memory(self.target.pid) - had) / end
        self.clients.ask(op="keep", count=max(2 * sizes.pairs, sizes.occupants))

    def enter(self, sizes: Sizes) -> None:
        """Has the room's occupants in it, and all that they hear of each other read."""
        self.target.create_room(user_names(sizes.occupants))
        room = {"room": ROOM, "occupants": sizes.occupants}
        self.clients.ask(op="join", **room)
        self.clients.ask(op="talk", speakers=1, messages=1, window=1, **room)

    def round(self, sizes: Sizes, *, counts: bool = True) -> None:
        """Messages of pairs, then a room's."""
        chat, talk = (self.chat, self.talk) if counts else (Samples(), Samples())
        self.work(chat, sizes.pairs * sizes.messages, op="chat", pairs=sizes.pairs, messages=sizes.messages, window=1)
        said = sizes.speakers * sizes.said
        self.work(talk, said * sizes.occupants, op="talk", room=ROOM, occupants=sizes.occupants, speakers=sizes.speakers,
                  messages=sizes.said, window=1)

    def check(self, sizes: Sizes) -> None:
        """Nothing is measured that was not archived."""
        rounds = sizes.rounds + 1
        wanted = {user_names(1)[0]: rounds * sizes.messages, ROOM: rounds * sizes.speakers * sizes.said + 1}
        for archive, count in wanted.items():
            if (found := self.clients.ask(op="archived", archive=archive)["count"]) < count:
                raise RuntimeError(f"{self.target.name}: the archive of {archive} has {found} messages, not {count}")
