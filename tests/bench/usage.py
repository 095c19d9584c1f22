"""What a process has taken, by /proc."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")


def memory(pid: int) -> int:
    """KiB that the process has (VmRSS)."""
    status = (PROC / str(pid) / "status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def cpu(pid: int, *, below: bool = False) -> float:
    """Seconds of processor time of a process, all its threads that run; with those of all processes below it, too."""
    taken = 0
    for process in [pid, *(_below(pid) if below else ())]:
        for thread in (PROC / str(process) / "task").glob("*/schedstat"):
            try:
                taken += int(thread.read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                continue
    return taken / 1e9


def _below(pid: int) -> list[int]:
    """Processes that this one, or one below it, has started."""
    children: dict[int, list[int]] = {}
    for file in PROC.glob("[0-9]*/stat"):
        try:
            # Behind the name, which may have anything in it: state, parent.
            parent = int(file.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(file.parent.name))
    found, left = [], [pid]
    while left:
        new = children.get(left.pop(), [])
        found += new
        left += new
    return found
