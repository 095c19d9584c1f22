"""Another tenant's client that pings its server all the time, as a program of its own: nothing else here holds it up.

A wait is measured by the processor's time that the server takes meanwhile, so that it does not depend on what else the
machine does: while the server works for others, or for nobody, its own clock runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

REPORT = 0.1
"""Seconds; shorter waits are not told."""
PAUSE = 0.01
ROOT = Path(__file__).resolve().parents[3]


def processor_time(pid: int) -> float:
    """Seconds that the process has run by now."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


class Pinger:
    """The program, seen from outside."""

    def __init__(self, url: str, jid: str, token: str, pid: int) -> None:
        environment = os.environ | {"PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT / 'tests'}"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fuzz.stanzas.pinger", url, jid, str(pid)], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.longest = self.longest_by_clock = 0.0
        self.pings, self.ended = 0, ""
        assert self._process.stdin is not None
        self._process.stdin.write(token + "\n")
        self._process.stdin.flush()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            self.longest, self.longest_by_clock = max(self.longest, told["took"]), max(self.longest_by_clock, told["clock"])
            self.pings, self.ended = told["pings"], told.get("ended", "")

    def end(self) -> None:
        """Ends the program; its figures are whole then."""
        if self._process.poll() is None:
            assert self._process.stdin is not None
            with suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(120)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._thread.join(10)


def main() -> None:
    """The program: arguments URL, JID, the server's process; the login token comes as a line."""
    from support.xmpp import Client, E, XmppError
    url, jid, pid = sys.argv[1], sys.argv[2], int(sys.argv[3])
    over = threading.Event()
    client = Client(url, jid, sys.stdin.readline().strip(), timeout=600).connect()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    pings, longest = 0, 0.0

    def tell(took: float, clock: float, **more: str) -> None:
        print(json.dumps({"took": took, "clock": clock, "pings": pings} | more), flush=True)

    try:
        while not over.wait(PAUSE):
            before, began = processor_time(pid), time.monotonic()
            client.iq("get", E("ping", "urn:xmpp:ping"), check=False)
            took, clock = processor_time(pid) - before, time.monotonic() - began
            pings += 1
            if took > max(longest, REPORT) or pings % 100 == 0:
                longest = max(longest, took)
                tell(took, clock)
        tell(0, 0)
    except (XmppError, TimeoutError, OSError) as error:
        tell(0, 0, ended=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
