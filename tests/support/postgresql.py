"""A PostgreSQL of the tests' own: started, stopped and asked."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack.ports import free_port
from support.wait import until


def programs() -> Path | None:
    """The folder of PostgreSQL's newest programs here."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class PostgreSQL:
    """One cluster with the user `sippo` and the database `prosody`, on a free port."""

    password = "database-password-of-the-test"

    def __init__(self, *, durable: bool = False) -> None:
        """`durable`: a commit waits for the disk, as in earnest."""
        self._durable = durable
        programs_folder = programs()
        assert programs_folder is not None
        self._programs = programs_folder
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))  # its user must reach it, so not below target/
        self._log = self._folder / "log"
        self._as_user: dict[str, object] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self._as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self._folder, "postgres", "postgres")
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        password_file = self._folder / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o644)
        subprocess.run([self._programs / "initdb", "-D", self._folder / "db", "-U", "sippo", "-A", "scram-sha-256",
                        "--pwfile", password_file, "-E", "UTF8", "--no-sync"],
                       check=True, stdout=subprocess.DEVNULL, cwd="/", **self._as_user)  # type: ignore[call-overload]

    @property
    def url(self) -> str:
        """What SIPPO_XMPP_STORAGE says."""
        return self._url("prosody")

    @property
    def pid(self) -> int:
        """Of the process that all others of the cluster are below."""
        assert self._process is not None, "the cluster is not started"
        return self._process.pid

    def _url(self, database: str) -> str:
        return f"postgresql://sippo@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Creates another database beside `prosody`; returns what SIPPO_XMPP_STORAGE says."""
        self._databases += 1
        name = f"prosody_{self._databases}"
        subprocess.run([self._programs / "createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "sippo", name], check=True,
                       env=self._environment)
        return self._url(name)

    @property
    def _environment(self) -> dict[str, str]:
        return os.environ | {"PGPASSWORD": self.password}

    def start(self) -> PostgreSQL:
        """Starts it and waits until the database is there."""
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self._folder / "db", "-p", str(self.port), "-c",
             "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._folder}", *([] if self._durable else ["-F"])],
            stderr=self._log.open("ab"), cwd="/", **self._as_user)  # type: ignore[call-overload]
        until(self._has_database, "PostgreSQL's start", 30)
        return self

    def _has_database(self) -> bool:
        create = [self._programs / "createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "sippo", "prosody"]
        answer = subprocess.run(create, stderr=subprocess.PIPE, text=True, env=self._environment | {"LC_ALL": "C"})
        return answer.returncode == 0 or "already exists" in answer.stderr

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """The statements that it gets meanwhile from sessions that are open, the first line of each; known at the end."""
        found: list[str] = []
        self._set_logging("all")
        before = self._log.stat().st_size
        try:
            yield found
        finally:
            with self._log.open("rb") as log:
                log.seek(before)
                text = log.read().decode()
            self._set_logging("none")
        found += re.findall(r"LOG:  (?:statement|execute [^:]+): *\s*(.*)", text)

    def _set_logging(self, what: str) -> None:
        """Open sessions read it before their next statement: this one, begun afterwards, shows that it is there."""
        self.rows(f"ALTER SYSTEM SET log_statement = '{what}'")
        self.rows("SELECT pg_reload_conf()")
        until(lambda: self.rows("SHOW log_statement") == [what], "PostgreSQL's logging", 10)

    def stop(self) -> None:
        """Ends it and its connections."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(20)
            self._process = None

    def remove(self) -> None:
        """Ends it for good."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def rows(self, statement: str) -> list[str]:
        """What a statement returns, a line for each row."""
        command = [self._programs / "psql", "-XAtq", "-h", "127.0.0.1", "-p", str(self.port), "-U", "sippo", "-d",
                   "prosody", "-c", statement]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=self._environment)
        return answer.stdout.splitlines()
