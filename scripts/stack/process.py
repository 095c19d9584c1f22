"""What a process of the stack is, for who keeps it running."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


class StackError(Exception):
    """The stack cannot run; the message says why and what to do."""


@dataclass(frozen=True)
class Process:
    """One process of the local stack, as the supervisor starts, watches and stops it."""

    name: str
    """Short name: `<name>.pid` in PID_DIR, `<name>.log` in LOG_DIR."""
    argv: list[str]
    """Program and arguments; the program stays in the foreground."""
    ready: Callable[[], bool]
    """True once the process serves. Must return within a second and never raise."""
    ports: tuple[int, ...] = ()
    """Of loopback, that it listens on: who has one of them is told when the process does not come up."""
    env: dict[str, str] = field(default_factory=dict)
    """Added to the supervisor's own environment."""
    cwd: Path | None = None
    log: str | None = None
    """File name in LOG_DIR when it is not `<name>.log` (several processes may share one)."""
    critical: bool = True
    """Started again within two seconds when it dies."""
    loss_hint: str = ""
    """What the loss of a process that is not critical means, and what to do."""


def close(process: subprocess.Popen, timeout: float = 10.0) -> None:
    """Ends a program that goes on until its standard input ends; kills it when it does not."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout)
