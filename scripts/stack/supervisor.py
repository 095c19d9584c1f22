"""Starts the processes of a stack, starts again what dies, and stops all of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stack.command_line import in_words
from stack.orphans import MARK, kill_orphans
from stack.paths import StackPaths
from stack.ports import UNSEEN, holder
from stack.process import Process, StackError

DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")
POLL = 0.05
START_TIMEOUT = 180.0
"""Seconds. RabbitMQ alone takes a minute and more on a machine that compiles or tests at the same time."""
STOP_TIMEOUT = 10.0
SETTLED = 5.0
"""A process that lived this many seconds is started again at once; one that did not waits for `RETRY`."""
RETRY = 1.0
PATIENCE = 3.0
"""Seconds until somebody looks who else may have the port of a process that is not ready."""


@dataclass
class _Child:
    process: Process
    popen: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    log_offset: int = 0
    restart_at: float | None = None
    starts: int = 0
    is_ready: bool = field(default=False)
    looked_at: float = 0.0
    """When it was looked who has its ports."""
    displaced: str | None = None
    """Who has its port, if it is being ended for that."""


class Supervisor:
    """Keeps processes running. One thread of its own starts them all, for the kernel ends a bound
    process with the thread that started it."""

    def __init__(self, paths: StackPaths, say: Callable[[str], None] = lambda _: None) -> None:
        self.paths = paths
        self._say = say
        self._children: dict[str, _Child] = {}
        self._changed = threading.Condition()
        self._pending: list[_Child] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    # For the owner

    def start(self, process: Process, timeout: float = START_TIMEOUT) -> None:
        """Starts a process and waits until it serves. One that ends before that is an error, with its last words."""
        child = _Child(process)
        with self._changed:
            if self._stopping:
                raise StackError(f"{process.name} is not started: the stack is being stopped")
            self._children[process.name] = child
            self._pending.append(child)
            self._changed.notify_all()
        deadline = time.monotonic() + timeout
        while True:
            if child.starts and child.popen is None and child.restart_at is None:
                raise StackError(f"{process.name} ended before it was ready; its last words:\n{self.log_tail(process.name)}")
            if child.popen is not None and process.ready():
                child.is_ready = True
                return
            if time.monotonic() > deadline:
                raise StackError(self._not_ready(child, timeout))
            self._restart_without_port(child)
            time.sleep(POLL)

    def _restart_without_port(self, child: _Child) -> None:
        """Ends a process that goes on without its port, which somebody else has: it is started again."""
        popen = child.popen
        now = time.monotonic()
        if popen is None or now < max(child.started + PATIENCE, child.looked_at + RETRY):
            return
        child.looked_at = now
        child.displaced = taken_port(child.process, popen.pid)
        if child.displaced:
            popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                popen.wait(STOP_TIMEOUT)

    def _not_ready(self, child: _Child, timeout: float) -> str:
        taken = taken_port(child.process, child.popen.pid if child.popen else None)
        why = f": {taken}" if taken else ""
        return f"{child.process.name} was not ready within {timeout:.0f} s{why}; look into {self.log_path(child.process)}"

    @property
    def starting(self) -> list[str]:
        """The processes that do not serve yet."""
        return [name for name, child in list(self._children.items()) if not child.is_ready]

    def pid(self, name: str) -> int | None:
        """The process's id, None while it is down."""
        child = self._children[name]
        return child.popen.pid if child.popen is not None else None

    def wait_ready(self, name: str, timeout: float = START_TIMEOUT) -> None:
        """Waits until the process, started again perhaps, serves."""
        child = self._children[name]
        deadline = time.monotonic() + timeout
        while child.popen is None or not child.process.ready():
            if time.monotonic() > deadline:
                raise StackError(self._not_ready(child, timeout))
            time.sleep(POLL)

    def stop_one(self, name: str) -> None:
        """Stops a process for good."""
        with self._changed:
            child = self._children.pop(name, None)
        if child is not None and child.popen is not None:
            self._end(child)

    def stop(self) -> None:
        """Stops everything, last started first. Returns when nothing runs any more."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()
        kill_orphans(self.paths.state)

    def log_path(self, process: Process) -> Path:
        """The file that the process's output goes to."""
        return self.paths.logs / (process.log or f"{process.name}.log")

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The end of what the process has written since it was started last."""
        child = self._children[name]
        with self.log_path(child.process).open("rb") as log:
            log.seek(child.log_offset)
            return "\n".join(log.read().decode(errors="replace").rstrip().splitlines()[-lines:]) or "(none)"

    # In the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopping:
                    children = list(self._children.values())
                    break
                for child in self._pending:
                    self._try_to_launch(child)
                self._pending.clear()
                for child in self._children.values():
                    self._look_after(child)
                self._changed.wait(POLL)
        for child in reversed(children):
            self._end(child)

    def _look_after(self, child: _Child) -> None:
        if child.popen is not None and child.popen.poll() is not None:
            self._on_exit(child)
        if child.popen is None and child.restart_at is not None and time.monotonic() >= child.restart_at:
            self._try_to_launch(child)

    def _on_exit(self, child: _Child) -> None:
        assert child.popen is not None
        code = child.popen.returncode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._pid_file(child.process).unlink(missing_ok=True)
        # Who had the port when the process was ended for that may be gone by now.
        taken = child.displaced or taken_port(child.process)
        child.displaced = None
        # Before `popen`: `start` gives up when neither is there.
        child.restart_at = time.monotonic() + RETRY if taken and not child.is_ready else None
        child.popen = None
        if not child.is_ready:
            if taken:
                self._say(f"{child.process.name} ended ({how}): {taken}; trying again")
            return  # else `start` reports it
        if not child.process.critical:
            self._say(f"{child.process.name} ended ({how}): {child.process.loss_hint or 'it is not started again'}")
            return
        lived = time.monotonic() - child.started
        child.restart_at = time.monotonic() + (0 if lived > SETTLED else RETRY)
        flapping = "" if lived > SETTLED else f" {lived:.1f} s after its start; look into {self.log_path(child.process)}"
        flapping += f": {taken}" if taken else ""
        self._say(f"{child.process.name} ended ({how}){flapping}; starting it again")

    def _try_to_launch(self, child: _Child) -> None:
        """A full disk must not end this thread: the kernel would end all processes with it."""
        try:
            self._launch(child)
        except OSError as error:
            self._say(f"{child.process.name} cannot be started ({in_words(error)}); trying again")
            child.restart_at = time.monotonic() + RETRY

    def _launch(self, child: _Child) -> None:
        process = child.process
        log_path = self.log_path(process)
        log_path.parent.mkdir(parents=True, exist_ok=True)
        child.log_offset = log_path.stat().st_size if log_path.exists() else 0
        environment = {**os.environ, **process.env, MARK: str(self.paths.state.resolve())}
        with log_path.open("ab") as log:
            child.popen = subprocess.Popen(
                [sys.executable, "-SEs", str(DIE_WITH_PARENT), str(os.getpid()), *process.argv],
                env=environment, cwd=process.cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor alone
            )
        child.started, child.restart_at = time.monotonic(), None
        child.starts += 1
        pid_file = self._pid_file(process)
        pid_file.parent.mkdir(parents=True, exist_ok=True)
        draft = pid_file.with_suffix(".new")
        draft.write_text(f"{child.popen.pid}\n")
        draft.replace(pid_file)

    # Anywhere

    def _pid_file(self, process: Process) -> Path:
        return self.paths.pids / f"{process.name}.pid"

    def _end(self, child: _Child) -> None:
        if child.popen is None:
            return
        leader = child.popen.pid
        _signal_group(leader, signal.SIGCONT)
        # The leader is asked and ends its own; a signal to the whole group would look like crashes to it.
        child.popen.send_signal(signal.SIGTERM)
        try:
            child.popen.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._say(f"{child.process.name} did not stop within {STOP_TIMEOUT:.0f} s; killing it")
        _signal_group(leader, signal.SIGKILL)
        child.popen.wait()
        child.popen = None
        self._pid_file(child.process).unlink(missing_ok=True)


def _signal_group(leader: int, number: signal.Signals) -> None:
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        pass


def taken_port(process: Process, group: int | None = None) -> str | None:
    """Which of its ports somebody outside of its process `group` has, and who; None when nobody has any."""
    for port in process.ports:
        pid = holder(port)
        if pid == UNSEEN:
            return f"port {port} is taken by another user's process"
        if pid is None:
            continue
        with contextlib.suppress(OSError):
            if group is None or os.getpgid(pid) != group:
                return f"port {port} is taken by process {pid} ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    return None
