"""The ports of a stack, all of the loopback interface."""

from __future__ import annotations

from dataclasses import dataclass, fields

from stack.paths import free_port, is_free
from stack.supervisor import StackError

DEFAULT_BASE = 5280


@dataclass(frozen=True)
class Ports:
    """One for each listener; in this order from `--port-base` on."""

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

    @classmethod
    def count(cls) -> int:
        """How many there are."""
        return len(fields(cls))

    @classmethod
    def choose(cls, base: int | None) -> Ports:
        """Those from `base` on, which must be free then; else the usual ones, or any where those are taken."""
        if base is not None:
            ports = range(base, base + cls.count())
            if taken := [port for port in ports if not is_free(port)]:
                raise StackError(f"port {taken[0]} is taken; choose another --port-base, or leave it out")
            return cls(*ports)
        usual = range(DEFAULT_BASE, DEFAULT_BASE + cls.count())
        return cls._distinct([port if is_free(port) else None for port in usual])

    @classmethod
    def any_free(cls) -> Ports:
        """Ports that are free now."""
        return cls._distinct([None] * cls.count())

    @classmethod
    def _distinct(cls, wanted: list[int | None]) -> Ports:
        taken = {port for port in wanted if port is not None}
        ports = []
        for port in wanted:
            if port is None:
                while (port := free_port()) in taken:
                    pass
                taken.add(port)
            ports.append(port)
        return cls(*ports)
