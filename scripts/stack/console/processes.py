"""The stack's processes: how they are, and what becomes of one that is killed."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from stack import cells, probes
from stack.fake_aws import LOSS_HINT
from stack.paths import StackPaths

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "continue": signal.SIGCONT}
WHAT = {"epmd": "Erlang's port mapper", "rabbitmq": "message broker", "queue": "stand-in for SQS and DynamoDB",
        "functions": "the functions, and what runs them", "poller": "hands messages to the functions", "bridge": "from RabbitMQ to SQS"}


@dataclass
class Happening:
    """Something that became of a process."""

    at: float
    process: str
    text: str


class Processes:
    """Looked at about once a second."""

    def __init__(self, env: dict[str, str], paths: StackPaths) -> None:
        self._env, self._paths = env, paths
        self._names = probes.processes(env)
        self._what = dict.fromkeys(cells.all_of(env), "XMPP server") | WHAT
        self.pids: dict[str, int | None] = {}
        self._trouble: dict[str, str | None] = {}
        self._lost: dict[str, float] = {}
        """When each that is away went."""
        self.happenings: deque[Happening] = deque(maxlen=50)

    def look(self) -> None:
        """Asks each of them; takes as long as the slowest."""
        self.look_at_pids()
        self._trouble = probes.trouble(self._env, self._paths)
        for name, trouble in self._trouble.items():
            if trouble is None and name in self._lost:
                self._say(name, f"answers again, {time.time() - self._lost.pop(name):.1f} s after its end")

    def look_at_pids(self) -> None:
        """Sees what has ended, and what was started."""
        for name in self._names:
            pid, known = probes.pid_of(self._paths, name), self.pids.get(name)
            if known is not None and pid != known:
                self._lost.setdefault(name, time.time())
                self._say(name, f"process {known} ended" + (f"; process {pid} was started instead" if pid else ""))
            elif pid is not None and known is None and name in self.pids:
                self._say(name, f"process {pid} was started")
            self.pids[name] = pid

    def send(self, name: str, action: str) -> None:
        """Sends a signal to a process."""
        if name not in self._names or action not in SIGNALS:
            raise ValueError(f"{name} is no process of the stack that one can {action}")
        if name == "queue" and action == "kill":
            raise ValueError(f"what stands in for SQS and DynamoDB is not killed from here: {LOSS_HINT}")
        pid = probes.pid_of(self._paths, name)
        if pid is None:
            raise ValueError(f"{name} does not run just now")
        os.kill(pid, SIGNALS[action])
        self._say(name, f"the console sent {SIGNALS[action].name} to process {pid}")

    def shown(self) -> list[dict[str, Any]]:
        """Each with what is wrong with it."""
        return [{"name": name, "what": self._what[name], "pid": self.pids.get(name), "trouble": self._trouble.get(name),
                 "isKillable": name != "queue"} for name in self._names]

    def _say(self, name: str, text: str) -> None:
        self.happenings.appendleft(Happening(time.time(), name, text))
