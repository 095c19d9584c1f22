"""The XMPP servers that `scripts/bench xmpp` measures: ours, and ejabberd beside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path

from ejabberd import Ejabberd

from support.postgresql import PostgreSQL
from support.prosody import Server
from support.stanzas import affiliate, create_room, ok

DOMAIN = "home.example"
ROOM = f"bench@conference.{DOMAIN}"
UNBOUNDED = {"CLIENT_RATE": "100mb/s", "USER_TIME_SHARE": "100", "OFFLINE_QUOTA": "1000000", "OFFLINE_BYTE_QUOTA": "1073741824"}
"""No user is held back: each of the few here sends as much as many would."""
PASSWORD = "of-every-account"
AT_ONCE = 100
"""Affiliations in one request."""


class Target(ABC):
    """A server that is started, with the tenant DOMAIN."""

    def __init__(self, name: str, url: str, pid: int, database: PostgreSQL | None) -> None:
        self.name, self.url, self.pid = name, url, pid
        self.database_pid = database.pid if database else None

    @abstractmethod
    def register(self, users: list[str]) -> None:
        """Makes accounts, where there are such."""

    @abstractmethod
    def passwords(self, users: list[str]) -> list[tuple[str, str]]:
        """What each logs in with, now."""

    @abstractmethod
    def create_room(self, members: list[str]) -> None:
        """Makes ROOM, with an archive, for these members only."""


class Ours(Target):
    """Prosody with our modules."""

    def __init__(self, name: str, server: Server, database: PostgreSQL | None) -> None:
        server.create_host(DOMAIN)
        super().__init__(name, server.ws_url, server.pid, database)
        self._server = server

    def register(self, users: list[str]) -> None:
        """There are no accounts."""

    def passwords(self, users: list[str]) -> list[tuple[str, str]]:
        return [(user, self._server.login_token(user)) for user in users]

    def create_room(self, members: list[str]) -> None:
        with self._server.admin() as admin:
            create_room(admin, ROOM, life="1.1/x")
            for start in range(0, len(members), AT_ONCE):
                ok(affiliate(admin, ROOM, *((member, "member") for member in members[start:start + AT_ONCE])))


class Peer(Target):
    """ejabberd."""

    def __init__(self, name: str, server: Ejabberd) -> None:
        super().__init__(name, server.ws_url, server.pid, server.database)
        self._server = server

    def register(self, users: list[str]) -> None:
        self._server.register(dict.fromkeys(users, PASSWORD))

    def passwords(self, users: list[str]) -> list[tuple[str, str]]:
        return [(user, PASSWORD) for user in users]

    def create_room(self, members: list[str]) -> None:
        self._server.create_room(ROOM, members)


def all_targets(folder: Path, running: ExitStack, *, postgresql: bool, peers: bool) -> list[Target]:
    """Starts them; `running` ends them. A commit waits for the disk at each, but for Mnesia's, which do not."""
    def database() -> PostgreSQL:
        cluster = PostgreSQL(durable=True)
        running.callback(cluster.remove)
        return cluster.start()

    def ours(name: str, cluster: PostgreSQL | None) -> Target:
        options = {"STORAGE": cluster.url, "STORAGE_PASSWORD": cluster.password} if cluster else {}
        server = Server(folder / name, log_level="info", storage=options.get("STORAGE"), extra=UNBOUNDED | options)
        running.callback(server.stop)
        return Ours(f"ours, {name}", server.start(), cluster)

    def peer(name: str, cluster: PostgreSQL | None) -> Target:
        server = Ejabberd(folder / f"ejabberd-{name}", DOMAIN, cluster)
        running.callback(server.stop)
        return Peer(f"ejabberd, {name}", server.start())

    targets = [ours("SQLite", None)]
    if postgresql:
        targets.append(ours("PostgreSQL", database()))
    if peers:
        targets += [peer("Mnesia", None), peer("PostgreSQL", database())]
    return targets
