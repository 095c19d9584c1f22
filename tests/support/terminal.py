"""A terminal, for what programs show only there."""

from __future__ import annotations

import os
import pty
import subprocess
import threading


def in_a_terminal(command: list[str], environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Runs a command in a terminal of its own: exit status, and all that it wrote."""
    leader, follower = pty.openpty()
    os.set_blocking(leader, True)
    written: list[bytes] = []

    def read() -> None:
        try:
            while chunk := os.read(leader, 4096):
                written.append(chunk)
        except OSError:
            pass  # nobody has it open any more

    reader = threading.Thread(target=read)
    reader.start()
    done = subprocess.run(command, stdin=follower, stdout=follower, stderr=follower, env={**(environment or os.environ), "TERM": "xterm", "COLUMNS": "200"}, timeout=120)
    os.close(follower)
    reader.join(10)
    os.close(leader)
    return done.returncode, b"".join(written).decode()
