"""Where the stack keeps its files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / "target" / "venv"
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
BINARIES = TARGET / "stack"
"""The programs as scripts/run and scripts/test build them, with Cargo's profile `stack`."""
RELEASE = TARGET / "release"
"""As they are deployed and measured."""
LOCAL = ROOT / "target" / "local"


@dataclass(frozen=True)
class StackPaths:
    """The files of one running stack; `state` is private to it."""

    state: Path

    @property
    def logs(self) -> Path:
        """LOG_DIR: one file per process."""
        return self.state / "logs"

    @property
    def pids(self) -> Path:
        """PID_DIR: `<name>.pid`."""
        return self.state / "pids"

    @property
    def env_file(self) -> Path:
        """What the stack is told by: `KEY=value` lines for sh. There only while it runs."""
        return self.state / "stack.env"

    @property
    def functions_env_file(self) -> Path:
        """The functions' configuration, in the same form: for one that runs beside the stack, in a debugger."""
        return self.state / "functions.env"

    def remove_env_files(self) -> None:
        """When nothing runs any more, or not yet."""
        for file in (self.env_file, self.functions_env_file):
            file.unlink(missing_ok=True)

    @property
    def lock_file(self) -> Path:
        """Held by the one process that runs this stack."""
        return self.state / "lock"

    @property
    def prosody_data(self) -> Path:
        """The XMPP server's data; survives restarts."""
        return self.state / "prosody"

    @property
    def rabbitmq_data(self) -> Path:
        """The broker's data; survives restarts."""
        return self.state / "rabbitmq"

    @property
    def fake_aws_data(self) -> Path:
        """What the fake AWS saves when it is stopped."""
        return self.state / "queue"

    @property
    def poller_sign(self) -> Path:
        """Touched by the poller every second: it has no port at which it could be asked."""
        return self.state / "poller.alive"

    @property
    def issuer(self) -> Path:
        """Signing key and JWK set of the local token issuer."""
        return self.state / "issuer"

    def create(self) -> None:
        """Makes the folders; they hold secrets, so nobody else may look in."""
        for folder in (self.state, self.logs, self.pids):
            folder.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """Writes a file for the owner's eyes, all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(draft, path)
