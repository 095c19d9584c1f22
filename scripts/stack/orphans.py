"""Finds and ends what a stack that was killed has left behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

MARK = "SIPPO_STACK_STATE"
"""Environment variable that every process of a stack carries; its value is the stack's state folder."""


def stack_processes(state: Path) -> list[int]:
    """Processes of the stack with this state folder; never this process itself."""
    mark = f"{MARK}={state.resolve()}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # it is gone, or somebody else's
    return found


def kill_orphans(state: Path, timeout: float = 5.0) -> int:
    """Kills them all and returns how many there were. Only for the holder of the stack's lock."""
    killed: set[int] = set()
    deadline = time.monotonic() + timeout
    while (left := stack_processes(state)) and time.monotonic() < deadline:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            except ProcessLookupError:
                pass
        time.sleep(0.02)
    return len(killed)
