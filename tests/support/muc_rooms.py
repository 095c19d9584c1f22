"""Core's side of rooms (core/src/rooms/muc) as a process that does what it is told, one request at a time."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from pathlib import Path

from stack.process import close
from support import cargo

ROOT = Path(__file__).resolve().parents[2]


def build() -> Path:
    """Builds core/tests/muc and returns its program."""
    command = [*cargo.TEST, "--test", "muc", "--no-run",
               "--message-format", "json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        artifact = json.loads(line)
        if artifact.get("executable") and artifact["target"]["name"] == "muc":
            return Path(artifact["executable"])
    raise AssertionError("cargo named no program")


class MucRooms:
    """A running one, connected to `server` when first used."""

    def __init__(self, program: Path, server, folder: Path) -> None:
        pipe = folder / f"answers-{time.monotonic_ns()}"
        os.mkfifo(pipe)
        variables = {"XMPP_URL": server.ws_url, "ADMIN_JID": server.admin_jid, "ADMIN_TOKEN": server.admin_token,
                     "ANSWERS": str(pipe)}
        self._process = subprocess.Popen(
            [str(program), "--ignored", "--nocapture", "--exact", "serves_requests"], env=os.environ | variables,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
        # Open for writing, too, so that this neither waits for the other side nor sees an end before it comes.
        self._answers = os.open(pipe, os.O_RDWR)
        self._buffer = b""

    def start(self, do: str, **request: object) -> None:
        """Sends a request; `answer` waits for what comes of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self._process.stdin.flush()

    def answer(self, timeout: float = 60) -> dict:
        deadline = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], 0.2)
            if ready:
                self._buffer += os.read(self._answers, 1 << 20)
            assert self._process.poll() is None, "core's side has ended"
            assert time.monotonic() < deadline, "no answer in time"
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def ask(self, do: str, **request: object) -> dict:
        """What came of a request: `ok` and `refused`, or `error`."""
        self.start(do, **request)
        return self.answer()

    def do(self, do: str, **request: object) -> dict:
        """As `ask`, for what has to succeed; returns who was refused."""
        outcome = self.ask(do, **request)
        assert outcome["ok"], outcome
        return outcome["refused"]

    def close(self) -> None:
        close(self._process)
        os.close(self._answers)
