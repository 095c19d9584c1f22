"""A program that is told what to do: a command of JSON a line, answered in a line."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import Any

from stack.process import close


@dataclass
class Actor:
    """A process that reads commands and answers with seconds. A context manager: it says first when it is ready."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict, repr=False)

    def __enter__(self) -> Actor:
        self._process = subprocess.Popen(
            self.command, env=os.environ | self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read("its start")
        return self

    def __exit__(self, *_: object) -> None:
        close(self._process)

    def _read(self, what: object) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "it ended"}
        if "error" in answer:
            raise RuntimeError(f"{self.name}, {what}: {answer['error']}; look at what it printed")
        return answer

    def ask(self, **command: object) -> dict[str, Any]:
        """Its answer to a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._read(command.get("op"))

    def run(self, op: str, room: str, members: list[str], window: int = 1) -> tuple[float, float]:
        """Of one that makes rooms: seconds until all were members, and until all were invited as well."""
        answer = self.ask(op=op, room=room, members=members, window=window)
        return answer["members"], answer["seconds"]
