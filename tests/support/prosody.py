"""A Prosody of the tests' own: started, restarted, killed and looked into."""

from __future__ import annotations

import os
import re
import secrets
import signal
import ssl
import subprocess
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import httpx

from stack import prosody, prosody_program
from stack.ports import free_port
from stack.supervisor import taken_port
from support import storage
from support.login_tokens import mint
from support.wait import until
from support.xmpp import Client

START_TIMEOUT = 30.0
COMPLAINT = re.compile(r"^\S+ +\S+\s+(error\t|warn\t.*(deprecated|legacy|Configuration warning|non-existent global)).*", re.MULTILINE)
"""A line of Prosody's log that no sound server writes: an error, or that something is outdated, or read and not there."""

AT_SHUTDOWN = re.compile(r"(?:modules/mod_smacks\.lua:504|core/sessionmanager\.lua:114|net/server_epoll\.lua:696): attempt to ")
"""Errors of stock Prosody 0.12 when SIGTERM meets a connection that is being opened or closed: signals are handled in the middle
of other code, and what they take away is missed (xmpp-server/UPSTREAM.md)."""


class Server:
    """One Prosody with the repository's configuration, on free ports, its data in `folder`."""

    made: ClassVar[list[Server]] = []
    """All of this run."""

    def __init__(self, folder: Path, **settings: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log_file = folder / "prosody.log"
        if "storage" not in settings:  # the test does not say where
            settings["extra"] = storage.new_options() | dict(settings.get("extra", {}))  # type: ignore[call-overload]
        self.settings = prosody.Settings(**{  # type: ignore[arg-type]
            "data": folder / "data",
            "http_port": free_port(),
            "admin_token": secrets.token_hex(32),
            "log_level": "debug",
            **settings,
        })
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[Client] = []
        self._looked_through = 0
        self.made.append(self)

    ws_url = property(lambda self: self.settings.ws_url)
    wss_url = property(lambda self: self.settings.wss_url)
    hosts_url = property(lambda self: self.settings.hosts_url)
    admin_token = property(lambda self: self.settings.admin_token)
    admin_jid = property(lambda self: self.settings.admin_jid)
    data = property(lambda self: self.settings.data)
    series = property(lambda self: prosody_program.program(self.settings.series).series)

    # Process

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> subprocess.Popen[bytes]:
        """Starts the process without waiting until it serves."""
        assert not self.running
        spec = prosody.process(self.settings)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SIPPO_XMPP_")}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                spec.argv, env=environment | dict(spec.env), cwd=spec.cwd,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        return self._process

    def start(self) -> Server:
        """Starts the process and waits until it serves."""
        process = self.launch()
        ready = prosody.process(self.settings).ready
        try:
            until(lambda: process.poll() is not None or ready(), "Prosody's start", START_TIMEOUT)
        except TimeoutError:
            self.kill()
            raise
        if process.poll() is not None:
            raise RuntimeError(f"Prosody stopped at start ({taken_port(prosody.process(self.settings)) or 'its ports are free'}):\n"
                               f"{self.log_text()[-3000:]}")
        return self

    def stop(self) -> None:
        """Ends the clients made here, then the process in order."""
        for client in self._clients:
            client.abort()
        self._clients.clear()
        if self.running:
            self.signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Ends the process as a crash does."""
        if self.running:
            self.signal(signal.SIGKILL)
            self._process.wait(10)

    def restart(self, **settings: object) -> None:
        """Stops and starts it, with other settings if given."""
        self.stop()
        self.settings = replace(self.settings, **settings)
        self.start()

    def signal(self, number: int) -> None:
        """Sends a signal to the process."""
        os.kill(self.pid, number)

    def reload(self) -> None:
        """Has Prosody read its configuration again (SIGHUP) and waits until it has."""
        before = self.log_text().count("Reloading configuration file")
        self.signal(signal.SIGHUP)
        until(lambda: self.log_text().count("Reloading configuration file") > before, "reload", 10)

    def log_text(self) -> str:
        """All that Prosody has logged so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def new_complaints(self) -> list[str]:
        """The errors, and what is deprecated, that it has logged since the last call."""
        if not self.log_file.exists():
            return []
        with self.log_file.open("rb") as log:
            log.seek(self._looked_through)
            new = log.read()
        new = new[:new.rfind(b"\n") + 1]
        self._looked_through += len(new)
        found = [match.group() for match in COMPLAINT.finditer(new.decode(errors="replace"))]
        return [line for line in found if not AT_SHUTDOWN.search(line)]

    # Database

    def database(self) -> AbstractContextManager[storage.Database]:
        """Its database, beside it; what is written is committed at the end."""
        return storage.database(self.settings)

    def locked_database(self) -> AbstractContextManager[None]:
        """Meanwhile the server cannot write."""
        return storage.locked(self.settings)

    def add_trigger(self, name: str, table: str, condition: str, statement: str) -> None:
        """Has the database execute a statement after each insert of a row that meets a condition (`NEW.…`)."""
        storage.add_trigger(self.settings, name, table, condition, statement)

    def disk_trouble(self, table: str, condition: str) -> AbstractContextManager[None]:
        """Meanwhile no row that meets a condition (`NEW.…`) can be inserted: the database says `disk trouble`."""
        return storage.disk_trouble(self.settings, table, condition)

    # Hosts API

    def hosts_api(self, method: str, path: str = "", *, token: str | None = None, **request: object) -> httpx.Response:
        """A call of the hosts API; `path` is appended to its URL, the admin token sent unless another is given."""
        headers = {"Authorization": f"Bearer {token or self.admin_token}", **request.pop("headers", {})}
        return httpx.request(method, self.hosts_url + path, headers=headers, timeout=30, trust_env=False, **request)

    def health(self, token: str | None = None) -> httpx.Response:
        """What the hosts API says of the server's health."""
        url = self.hosts_url.rpartition("/")[0] + "/health"
        return httpx.get(url, headers={"Authorization": f"Bearer {token or self.admin_token}"}, timeout=30, trust_env=False)

    def create_host(self, domain: str) -> str:
        """Creates a tenant and returns its domain."""
        self.hosts_api("POST", json={"domain": domain}).raise_for_status()
        return domain

    def delete_host(self, domain: str) -> None:
        """Deletes a tenant."""
        self.hosts_api("DELETE", f"/{domain}").raise_for_status()

    def hosts(self) -> list[str]:
        """The tenants' domains."""
        return [entry["domain"] for entry in self.hosts_api("GET").raise_for_status().json()]

    # XMPP

    def client(self, jid: str, password: str, resource: str | None = None, **options: object) -> Client:
        """A client that is not connected yet; the server's end is its end."""
        client = Client(self.ws_url, jid, password, resource, **options)  # type: ignore[arg-type]
        self._clients.append(client)
        return client

    def admin(self, resource: str | None = None) -> Client:
        """A connected session of the server admin."""
        return self.client(self.admin_jid, self.admin_token, resource).connect()

    def user(self, jid: str, resource: str | None = None, **claims: object) -> Client:
        """A connected session of `jid`, by a fresh login token."""
        return self.client(jid, self.login_token(jid, **claims), resource).connect()

    def login_token(self, jid: str, **options: object) -> str:
        """A login token for `jid` under this server's admin token; see login_tokens.mint."""
        return mint(self.admin_token, jid, **options)  # type: ignore[arg-type]

    def tls_context(self) -> ssl.SSLContext:
        """Trusts this server's certificate and nothing else."""
        return ssl.create_default_context(cafile=str(self.settings.certificate))
