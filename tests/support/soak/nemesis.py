"""What goes wrong: processes of the stack are killed, or stopped for some seconds, while events flow."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from stack.event_types import EVENT_FUNCTIONS
from stack.paths import BINARIES
from support.platform import Platform

KILLED = ("functions", "function", "poller", "prosody", "rabbitmq", "bridge")
"""`functions` are all of them at once, `function` is a single copy that is at work, perhaps."""
PAUSED = ("bridge paused", "prosody paused")
ALL = KILLED + PAUSED


def kinds(platform: Platform) -> tuple[str, ...]:
    """All that can be struck on this stack: of several XMPP servers each."""
    further = [name for name in platform.stack.prosodies if name != "prosody"]
    return (*ALL, *further, *(f"{name} paused" for name in further))


PAUSE = (1.0, 8.0)
"""Seconds that a process is stopped for."""
RESTART = 60.0
YOUNG = 3.0
"""A copy is no longer starting after so many seconds; one that ends at its start counts as misconfigured."""


class Nemesis:
    """Strikes from a thread of its own."""

    def __init__(self, platform: Platform, random: random.Random, record: Callable[..., None]) -> None:
        self._platform, self._random, self._record = platform, random, record
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self.strikes: Counter[str] = Counter()

    def start(self, strikes: Iterable[str], gap: tuple[float, float]) -> None:
        """Begins with `strikes`, so many seconds apart; each victim serves again before the next one."""
        self._thread = threading.Thread(target=self._run, args=(iter(strikes), gap), daemon=True)
        self._thread.start()

    def any(self) -> Iterable[str]:
        """All kinds in random order, again and again."""
        while True:
            yield from self._random.sample(kinds(self._platform), len(kinds(self._platform)))

    @property
    def busy(self) -> bool:
        """Whether there is more to come."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Returns when everything serves again; raises what kept it from doing so."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.check()

    def check(self) -> None:
        """Raises what has gone wrong beyond what was meant to."""
        if self._failure is not None:
            raise self._failure

    def _run(self, strikes: Iterable[str], gap: tuple[float, float]) -> None:
        try:
            for strike in strikes:
                if self._stop.wait(self._random.uniform(*gap)):
                    return
                began = time.monotonic()
                self._record(strike=strike, phase="begins")
                self._strike(strike)
                self.strikes[strike] += 1
                self._record(strike=strike, phase="over", took=round(time.monotonic() - began, 2))
        except BaseException as error:  # noqa: BLE001 - `check` raises it where it is seen
            self._failure = error

    def _strike(self, strike: str) -> None:
        name, _, paused = strike.partition(" ")
        if paused:
            self._pause(name)
        elif name == "function":
            self._kill_copy()
        else:
            self._platform.kill(name)

    def _pause(self, name: str) -> None:
        pid = self._platform.supervisor.pid(name)
        assert pid is not None, f"{name} does not run"
        os.kill(pid, signal.SIGSTOP)
        try:
            self._stop.wait(self._random.uniform(*PAUSE))
        finally:
            os.kill(pid, signal.SIGCONT)
        self._platform.supervisor.wait_ready(name, RESTART)

    def _kill_copy(self) -> None:
        copies = _copies(self._platform.supervisor.pid("functions"))
        if copies:
            os.kill(self._random.choice(copies), signal.SIGKILL)


def _copies(host: int | None) -> list[int]:
    """The event functions' processes that have been there for a while."""
    programs = {str(BINARIES / name) for name in EVENT_FUNCTIONS}
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    tick = os.sysconf("SC_CLK_TCK")
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            program = (entry / "cmdline").read_bytes().split(b"\0")[0].decode()
        except OSError:
            continue
        if int(fields[1]) == host and program in programs and now - int(fields[19]) / tick > YOUNG:
            found.append(int(entry.name))
    return found
