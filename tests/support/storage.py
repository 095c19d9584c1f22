"""What the XMPP servers of the tests store in: SQLite's file, or with pytest's `--storage postgresql` a PostgreSQL of the run's own."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import psycopg

from stack import prosody
from support.postgresql import PostgreSQL, programs

OPTION = "--storage"
POSTGRESQL = "postgresql"

FAIL = "fail"
FAIL_SQLITE = "SELECT RAISE(ABORT, 'disk trouble')"
FAIL_POSTGRESQL = "RAISE EXCEPTION 'disk trouble'"

_cluster: PostgreSQL | None = None
_wanted = False


class Database(Protocol):
    """What both kinds of connection understand: SQL with `?` for each value."""

    def execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor | psycopg.Cursor: ...

    def executemany(self, statement: str, values: Iterable[Sequence[object]]) -> object: ...


class _PostgreSQL:
    """A connection to PostgreSQL that takes statements as SQLite does."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[object] = ()) -> psycopg.Cursor:
        if not values:
            return self._connection.execute(statement)
        return self._connection.execute(_with_their_marks(statement), values)

    def executemany(self, statement: str, values: Iterable[Sequence[object]]) -> None:
        self._connection.cursor().executemany(_with_their_marks(statement), values)


def _with_their_marks(statement: str) -> str:
    return statement.replace("%", "%%").replace("?", "%s")


def use(storage: str | None) -> None:
    """Has the servers of this run store there, but for those of which a test says otherwise. RuntimeError: it is not here."""
    global _wanted
    if storage == POSTGRESQL and programs() is None:
        raise RuntimeError(f"{OPTION} {POSTGRESQL} needs Debian's package postgresql: install it")
    _wanted = storage == POSTGRESQL


def name() -> str:
    """Where the servers of this run store: `sqlite` or `postgresql`."""
    return POSTGRESQL if _wanted else "sqlite"


def new_options() -> dict[str, str]:
    """The options, without the prefix SIPPO_XMPP_, by which a server gets an empty store of this run's kind."""
    global _cluster
    if not _wanted:
        return {}
    if _cluster is None:
        _cluster = PostgreSQL().start()
        _cluster.rows("ALTER ROLE sippo SET lock_timeout = '1s'")  # as xmpp-server/README.md has it; SQLite does not wait at all
    return {"STORAGE": _cluster.new_database(), "STORAGE_PASSWORD": PostgreSQL.password}


def end() -> None:
    """Ends what was started here."""
    global _cluster
    if _cluster is not None:
        _cluster.remove()
        _cluster = None


@contextmanager
def database(settings: prosody.Settings) -> Iterator[Database]:
    """A server's database, beside it; what is written is committed at the end."""
    if is_postgresql(settings):
        url = settings.storage or settings.extra["STORAGE"]
        with psycopg.connect(url, password=settings.extra["STORAGE_PASSWORD"], connect_timeout=10) as connection:
            yield _PostgreSQL(connection)
        return
    with closing(sqlite3.connect(_files(settings)[0], timeout=30)) as connection, connection:
        yield connection


def back_up(settings: prosody.Settings, file: Path) -> None:
    """Copies a server's database to a file, while it runs."""
    if is_postgresql(settings):
        _run_beside(settings, "pg_dump", "--format=custom", f"--file={file}")
    else:
        subprocess.run(["sqlite3", _files(settings)[0], f"VACUUM INTO '{file}'"], check=True)


def restore(settings: prosody.Settings, file: Path) -> None:
    """Puts such a copy in the place of the database; the server must not run."""
    if is_postgresql(settings):
        _run_beside(settings, "pg_restore", "--clean", "--if-exists", str(file))
        return
    lose(settings)
    shutil.copy(file, _files(settings)[0])


def lose(settings: prosody.Settings) -> None:
    """Leaves nothing of a server's database."""
    if is_postgresql(settings):
        with database(settings) as db:
            db.execute("DROP SCHEMA public CASCADE")
            db.execute("CREATE SCHEMA public")
        return
    for file in _files(settings):
        file.unlink(missing_ok=True)


def _files(settings: prosody.Settings) -> list[Path]:
    return [settings.data / f"prosody.sqlite{suffix}" for suffix in ("", "-wal", "-shm")]


def _run_beside(settings: prosody.Settings, program: str, *options: str) -> None:
    """Runs a program of PostgreSQL's on a server's database."""
    folder, url = programs(), settings.storage or settings.extra["STORAGE"]
    assert folder is not None
    subprocess.run([folder / program, f"--dbname={url}", *options], check=True, timeout=60,
                   env=os.environ | {"PGPASSWORD": settings.extra["STORAGE_PASSWORD"]})


def is_postgresql(settings: prosody.Settings) -> bool:
    """Whether this server stores there."""
    return (settings.storage or settings.extra.get("STORAGE", "")).startswith("postgresql://")


def add_trigger(settings: prosody.Settings, trigger: str, table: str, condition: str, action: str, *, when: str = "AFTER") -> None:
    """Has the database do something, an SQL statement or `fail`, at each insert of a row that meets a condition (`NEW.…`)."""
    with database(settings) as db:
        if not is_postgresql(settings):
            body = FAIL_SQLITE if action == FAIL else action
            db.execute(f"CREATE TRIGGER {trigger} {when} INSERT ON {table} WHEN {condition} BEGIN {body}; END")
            return
        body = FAIL_POSTGRESQL if action == FAIL else action
        db.execute(f"CREATE FUNCTION {trigger}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NEW; END $$")
        db.execute(f"CREATE TRIGGER {trigger} {when} INSERT ON {table} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION {trigger}()")


@contextmanager
def disk_trouble(settings: prosody.Settings, table: str, condition: str) -> Iterator[None]:
    """Meanwhile no row that meets a condition can be inserted: the database says `disk trouble`."""
    add_trigger(settings, "broken", table, condition, FAIL, when="BEFORE")
    try:
        yield
    finally:
        with database(settings) as db:
            db.execute("DROP FUNCTION broken CASCADE" if is_postgresql(settings) else "DROP TRIGGER broken")


@contextmanager
def locked(settings: prosody.Settings) -> Iterator[None]:
    """Meanwhile nobody else can write."""
    if is_postgresql(settings):
        with database(settings) as db:
            db.execute("LOCK TABLE prosody, prosodyarchive IN EXCLUSIVE MODE")
            yield
        return
    with closing(sqlite3.connect(_files(settings)[0], timeout=30, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        yield
        lock.execute("ROLLBACK")
