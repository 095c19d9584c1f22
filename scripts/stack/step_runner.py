"""Runs steps in lanes: those of one lane one after the other, the lanes beside each other.

Standard library only, as bootstrap.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NoReturn

from stack.command_line import StatusLine, duration, waiting
from stack.paths import ROOT

GRACE = 20.0
"""Seconds that running steps have to end when they are told to."""
PASSED, FAILED, NOT_RUN = "passed", "FAILED", "not run"


@dataclass(frozen=True)
class Step:
    """One command. It counts to the `parts` it is for, and only runs when the steps it needs have passed."""

    lane: str
    parts: tuple[str, ...]
    title: str
    command: list[str | Path]
    needs: tuple[str, ...] = ()
    """Titles. One that is not among the steps of this run is taken as passed."""
    env: dict[str, str] = field(default_factory=dict)
    good: tuple[int, ...] = (0,)
    """Exit codes."""


class StepRunner:
    """Runs all steps and prints what each has written when it ends. Only the main thread may make and run one:
    SIGINT, SIGTERM and SIGHUP end all steps, and then the program."""

    def __init__(self, steps: list[Step]) -> None:
        self._waiting = list(steps)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._outcome = {step.title: (NOT_RUN, 0.0) for step in steps}
        self._settled: set[str] = set()
        self._stopping = False
        self._changed = threading.Condition()
        self._began: dict[str, float] = {}
        self._line = StatusLine(sys.stdout)

    def run(self) -> bool:
        """Whether all steps passed."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        began = time.monotonic()
        lanes = dict.fromkeys(step.lane for step in self._waiting)
        threads = [threading.Thread(target=self._run_lane, args=[lane]) for lane in lanes]
        try:
            with waiting(self._under_way, self._line):
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        finally:
            self._stop()
            for thread in threads:
                thread.join()
        self._print("\n" + "\n".join(f"{state:8} {took:7.1f} s  {title}" for title, (state, took) in self._outcome.items()))
        self._print(f"all in {time.monotonic() - began:.0f} s")
        return all(state == PASSED for state, _ in self._outcome.values())

    def _under_way(self) -> str:
        """For the terminal: how far it is, and what runs for how long."""
        with self._changed:
            now = time.monotonic()
            running = [f"{title} ({duration(now - self._began[title])})" for title in self._running]
            return f"{len(self._settled)} of {len(self._outcome)} steps; {', '.join(running) or 'waiting'}; all"

    def _print(self, text: str) -> None:
        self._line.print(text, sys.stdout)

    # In the main thread

    def _on_signal(self, number: int, _: object) -> NoReturn:
        sys.exit(128 + number)  # through `finally` in `run`

    def _stop(self) -> None:
        """Ends what runs, and lets nothing more start."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # once is enough
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            processes = list(self._running.values())
        for process in processes:
            _signal_group(process, signal.SIGINT)
        deadline = time.monotonic() + GRACE
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            _signal_group(process, signal.SIGKILL)

    # In a lane's thread

    def _run_lane(self, lane: str) -> None:
        while (step := self._next(lane)) is not None:
            began = time.monotonic()
            state = self._run_step(step)
            with self._changed:
                self._settle(step, state, time.monotonic() - began)

    def _next(self, lane: str) -> Step | None:
        """The lane's first step whose needs are settled; waits for it. None when there is no more."""
        with self._changed:
            while True:
                mine = [step for step in self._waiting if step.lane == lane]
                if not mine or self._stopping:
                    return None
                ready = [step for step in mine if self._is_settled(step.needs)]
                for step in ready[:1]:
                    self._waiting.remove(step)
                    if all(self._outcome.get(title, (PASSED,))[0] == PASSED for title in step.needs):
                        return step
                    self._settle(step, NOT_RUN, 0.0)
                if not ready:
                    self._changed.wait()

    def _is_settled(self, titles: tuple[str, ...]) -> bool:
        return all(title in self._settled or title not in self._outcome for title in titles)

    def _settle(self, step: Step, state: str, took: float) -> None:
        self._outcome[step.title] = (state, took)
        self._settled.add(step.title)
        self._changed.notify_all()

    def _run_step(self, step: Step) -> str:
        """Runs a step, and prints its output in one piece."""
        with tempfile.TemporaryFile() as output:
            began = time.monotonic()
            try:
                process = self._launch(step, output)
            except OSError as error:
                self._print(f"\n=== {step.title}: {FAILED}: {error.strerror}: {error.filename}; install it and start again")
                return FAILED
            if process is None:
                return NOT_RUN
            code = process.wait()
            _signal_group(process, signal.SIGKILL)  # what a crashed test may have left
            with self._changed:
                del self._running[step.title]
                ended = "stopped" if self._stopping else PASSED if code in step.good else FAILED
            output.seek(0)
            text = output.read().decode(errors="replace").strip("\n")
            head = f"\n=== {step.title}\n{text}\n" if text else ""
            self._print(f"{head}=== {step.title}: {ended} in {time.monotonic() - began:.1f} s")
            return PASSED if code in step.good else FAILED

    def _launch(self, step: Step, output: IO[bytes]) -> subprocess.Popen[bytes] | None:
        with self._changed:
            if self._stopping:
                return None
            self._print(f"{time.strftime('%H:%M:%S')} {step.lane}: {step.title}")
            # A process group, not a session: the kernel's autogroups would make `nice` mean nothing between sessions.
            process = subprocess.Popen(
                [str(part) for part in step.command], cwd=ROOT, env={**os.environ, **step.env}, process_group=0,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            self._running[step.title] = process
            self._began[step.title] = time.monotonic()
            return process


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
