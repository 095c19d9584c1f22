"""ejabberd from Debian, as a process of the bench's own: free ports of loopback, its data in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from stack import http_probe
from stack.ports import free_port
from support.postgresql import PostgreSQL
from support.wait import until

SCHEMA = Path("/usr/share/ejabberd/sql/pg.sql")
FLAGS = ["+K", "true", "+P", "250000", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"]
"""As Debian starts it, but that schedulers do not spin while they wait: that would count as work."""
AT_ONCE = 8

MODULES = {
    "mod_blocking": {}, "mod_bosh": {}, "mod_caps": {}, "mod_carboncopy": {}, "mod_client_state": {}, "mod_disco": {},
    "mod_http_api": {}, "mod_last": {}, "mod_offline": {}, "mod_privacy": {}, "mod_private": {}, "mod_roster": {},
    "mod_stream_mgmt": {}, "mod_vcard": {"search": False}, "mod_admin_extra": {}, "mod_muc_admin": {},
    "mod_pubsub": {"plugins": ["flat", "pep"]},
    "mod_mam": {"default": "always"},
    "mod_muc": {"default_room_options": {"mam": True, "members_only": True, "persistent": True}, "max_users": 5000},
}
"""What our Prosody serves, too."""


@dataclass
class Ejabberd:
    """One server; with `database`, all is stored there, accounts too, and in Mnesia otherwise."""

    folder: Path
    domain: str
    database: PostgreSQL | None = None
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not started"
        return self._process.pid

    def configuration(self) -> dict[str, object]:
        """ejabberd.yml; JSON is YAML."""
        stored: dict[str, object] = {"auth_method": "internal", "default_db": "mnesia"}
        if self.database is not None:
            stored = {"auth_method": "sql", "default_db": "sql", "sql_type": "pgsql", "sql_server": "127.0.0.1",
                      "sql_port": self.database.port, "sql_database": "prosody", "sql_username": "sippo",
                      "sql_password": self.database.password}
        return {
            "hosts": [self.domain],
            "loglevel": "warning",
            "auth_password_format": "plain",  # what is measured is no hash
            # Where thousands of sessions end at once, each with a few statements for ten connections, more than 10,000
            # messages wait in queues; it would take that for a fault and kill whoever has many, clients' sessions too.
            "oom_killer": False,
            # Nobody ends sessions that are idle: they are looked at for longer than its five minutes.
            "websocket_timeout": "1 hour", "websocket_ping_interval": "1 hour",
            "listen": [{"port": self.port, "ip": "127.0.0.1", "module": "ejabberd_http", "backlog": 1024,
                        "request_handlers": {"/ws": "ejabberd_http_ws", "/api": "mod_http_api"}}],
            "api_permissions": {"loopback": {"from": ["mod_http_api"], "who": {"ip": "127.0.0.1/8"}, "what": "*"}},
            "modules": MODULES,
            **stored,
        }

    def start(self) -> Ejabberd:
        """Starts it and waits until it serves."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.database is not None:
            self.database.rows(SCHEMA.read_text())
        configuration = self.folder / "ejabberd.yml"
        configuration.write_text(json.dumps(self.configuration()))
        environment = os.environ | {
            "EJABBERD_CONFIG_PATH": str(configuration), "EJABBERD_LOG_PATH": str(self.folder / "ejabberd.log"),
            "ERL_LIBS": "/usr/lib/x86_64-linux-gnu", "ERL_CRASH_DUMP": str(self.folder / "crash"), "HOME": str(self.folder)}
        # Without a name it is no node: it needs no port mapper, and no other node finds it.
        command = ["erl", *FLAGS, "-noinput", "-mnesia", "dir", json.dumps(str(self.folder / "mnesia")), "-s", "ejabberd"]
        with (self.folder / "output.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                                             stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            until(lambda: self._process.poll() is not None or http_probe.status(self.port, "/api/status") == 200,
                  "ejabberd's start", 60)
            if self._process.poll() is not None:
                raise RuntimeError(f"ejabberd stopped at its start; look into {self.folder}")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Ends it and the helpers it has started."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(10)

    def _administrator(self) -> httpx.Client:
        # One for many commands: to make it takes longer than a command.
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}/api/", trust_env=False, timeout=60)

    @staticmethod
    def _call(administrator: httpx.Client, command: str, arguments: dict[str, object]) -> None:
        answer = administrator.post(command, json=arguments)
        if answer.status_code != 200:
            raise RuntimeError(f"ejabberd answers {command} with {answer.status_code}: {answer.text[:500]}")

    def register(self, users: dict[str, str]) -> None:
        """Accounts, by bare JID, with their passwords."""
        with self._administrator() as administrator, ThreadPoolExecutor(AT_ONCE) as pool:
            def one(user: tuple[str, str]) -> None:
                name, _, host = user[0].partition("@")
                self._call(administrator, "register", {"user": name, "host": host, "password": user[1]})

            list(pool.map(one, users.items()))

    def create_room(self, room: str, members: list[str]) -> None:
        """A room with an archive, for members only."""
        name, _, service = room.partition("@")
        room_name: dict[str, object] = {"name": name, "service": service}
        with self._administrator() as administrator:
            self._call(administrator, "create_room", room_name | {"host": self.domain})
            for member in members:
                self._call(administrator, "set_room_affiliation", room_name | {"jid": member, "affiliation": "member"})
