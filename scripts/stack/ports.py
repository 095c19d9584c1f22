"""Ports of the loopback interface: which are free, who has one, and those of a stack."""

from __future__ import annotations

import fcntl
import itertools
import os
import random
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from stack.process import StackError

FIRST = 10_000
"""Below are those of well-known services, and `DEFAULT_BASE`."""
FEWEST = 500
"""A test run takes as many."""
DEFAULT_BASE = 5280
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
TAKEN = Path(f"/tmp/sippo-xmpp-ports-{os.geteuid()}")
"""A byte for each port: whoever has taken it keeps that byte locked for as long as the program runs."""
UNSEEN = 0
LISTENING = "0A"
"""The state in /proc/net/tcp."""


def candidates() -> list[int]:
    """Ports that the system gives to no client.

    A service that is started again must find its port free. Within the ephemeral range any connection may have got it
    meanwhile, even one that looks for that very service and so is connected to itself.
    """
    low, high = (int(number) for number in EPHEMERAL.read_text().split())
    ports = [*range(FIRST, low), *range(max(high + 1, FIRST), 1 << 16)]
    if len(ports) < FEWEST:
        raise StackError(f"clients may get any port from {low} to {high}; leave some to servers: "
                         "sysctl -w net.ipv4.ip_local_port_range='32768 60999'")
    return ports


class _Reservations:
    """Ports that this program has taken, out of reach for other runs beside it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: set[int] = set()
        self._file: int | None = None
        self._next: Iterator[int] | None = None

    def take(self, port: int) -> bool:
        """Takes a port if nobody has it."""
        with self._lock:
            return self._take(port)

    def take_any(self) -> int:
        """Takes one that nobody has."""
        with self._lock:
            ports = candidates()
            if self._next is None:
                start = random.randrange(len(ports))
                self._next = itertools.cycle(ports[start:] + ports[:start])
            for port in itertools.islice(self._next, len(ports)):
                if self._take(port):
                    return port
        raise StackError(f"all {len(ports)} ports for servers are taken; end what listens there (ss -ltnp)")

    def _take(self, port: int) -> bool:
        if self._file is None:
            # Never closed: with any descriptor of the file all locks of the program would go.
            self._file = os.open(TAKEN, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if port in self._own:
            return False
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        if not is_free(port):
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, port)
            return False
        self._own.add(port)
        return True


_reservations = _Reservations()


def free_port() -> int:
    """A port of the loopback interface that is free, and this program's alone as long as it runs."""
    return _reservations.take_any()


def is_free(port: int) -> bool:
    """Whether `port` of the loopback interface can be listened on."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def holder(port: int) -> int | None:
    """The process that listens on `port`; `UNSEEN` when it is another user's, None when there is none.

    Unlike `is_free` it takes no notice of whoever only looks whether the port is free.
    """
    inodes = {f"socket:[{row[9]}]" for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]
              if (row := line.split())[3] == LISTENING and row[1].endswith(f":{port:04X}")}
    if not inodes:
        return None
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and any(os.readlink(one) in inodes for one in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue  # it is gone, or another user's
    return UNSEEN


@dataclass(frozen=True)
class Ports:
    """Those of a stack, one for each listener; in this order from `--port-base` on."""

    prosody: int
    api: int
    runtime: int
    """Where the functions fetch their invocations."""
    gateway: int
    """cargo lambda's own."""
    rabbitmq: int
    epmd: int
    """Erlang's port mapper."""
    distribution: int
    """Erlang's own protocol."""
    queue: int
    """The fake AWS."""
    bridge_health: int
    console: int

    @classmethod
    def count(cls) -> int:
        """How many there are."""
        return len(fields(cls))

    @classmethod
    def choose(cls, base: int | None) -> Ports:
        """Those from `base` on, which must be free then; else the usual ones, or any where those are taken."""
        if base is not None:
            ports = range(base, base + cls.count())
            if taken := [port for port in ports if not _reservations.take(port)]:
                raise StackError(f"port {taken[0]} is taken; choose another --port-base, or leave it out")
            return cls(*ports)
        usual = range(DEFAULT_BASE, DEFAULT_BASE + cls.count())
        return cls(*(port if _reservations.take(port) else free_port() for port in usual))

    @classmethod
    def any_free(cls) -> Ports:
        """Ports that nobody has."""
        return cls(*(free_port() for _ in fields(cls)))
