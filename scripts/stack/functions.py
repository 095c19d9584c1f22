"""The REST functions under cargo lambda, as a process of the stack."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from stack import http_probe
from stack.event_types import CELLS, EVENT_FUNCTIONS, RESYNC
from stack.paths import BINARIES, ROOT, VENV, StackPaths
from stack.process import Process

_BINARIES = {path.stem for path in (ROOT / "functions" / "src" / "bin").glob("*.rs")}
REST_FUNCTIONS = sorted(_BINARIES - {*EVENT_FUNCTIONS, RESYNC, CELLS}, key=lambda name: (name != "login", name))
"""The first one also answers what no route takes."""
TIMEOUT = 10.0
"""Seconds; as `Timeout` in template.yaml."""


@dataclass(frozen=True)
class Settings:
    """One set of functions behind one HTTP port."""

    port: int
    """Where HTTP requests and `cargo lambda invoke` go."""
    runtime_port: int
    """Where the functions fetch their invocations."""
    gateway_port: int
    """cargo lambda's own."""
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    """The functions' configuration (CONFIG_DIR, SIPPO_…); it may hold secrets."""
    name: str = "functions"
    functions: tuple[str, ...] = tuple(REST_FUNCTIONS)
    copies: int = 2
    """Copies of each function that are always there."""
    most_copies: int = 50
    """More of each are started on demand, up to so many."""
    binaries: Path = BINARIES
    manifest: Path = ROOT / "Cargo.toml"
    """Names all functions there are, and cargo lambda's routes."""

    @property
    def url(self) -> str:
        """API_URL."""
        return f"http://127.0.0.1:{self.port}"


def process(settings: Settings, paths: StackPaths) -> Process:
    """cargo lambda and the functions, in one process group whose leader is the process."""

    def ready() -> bool:
        # 401 from the login function, or 404 where the service is disabled: either way it is there.
        return http_probe.status(settings.runtime_port, "/ready", timeout=0.4) == 200 and http_probe.status(
            settings.port, "/sapi/xmpp/login", timeout=0.4) in (401, 404)

    empty = paths.state / "empty"
    empty.mkdir(parents=True, exist_ok=True)
    aws = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    return Process(
        name=settings.name,
        argv=[
            sys.executable, str(Path(__file__).with_name("local_lambda.py")), *settings.functions,
            "--binaries", str(settings.binaries),
            "--cargo-lambda", str(VENV / "bin" / "cargo-lambda"),
            "--manifest", str(settings.manifest),
            "--empty", str(empty),
            "--port", str(settings.port),
            "--gateway-port", str(settings.gateway_port),
            "--gateway-log", str(paths.logs / f"{settings.name}-gateway.log"),
            "--runtime-port", str(settings.runtime_port),
            "--timeout", str(TIMEOUT),
            "--min-copies", str(settings.copies),
            "--max-copies", str(settings.most_copies),
        ],
        ready=ready,
        ports=(settings.port, settings.runtime_port, settings.gateway_port),
        env=aws | settings.environment,
        cwd=ROOT,
    )
