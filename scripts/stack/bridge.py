"""The bridge from RabbitMQ to SQS, as a process of the stack."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stack import http_probe
from stack.paths import BINARIES, ROOT
from stack.process import Process

HEALTH_PATH = "/health"


@dataclass(frozen=True)
class Settings:
    """One bridge."""

    health_port: int
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    """Its configuration (CONFIG_DIR, SIPPO_…, AWS_…); it holds secrets."""
    binaries: Path = BINARIES

    @property
    def health_url(self) -> str:
        """BRIDGE_HEALTH_URL."""
        return f"http://127.0.0.1:{self.health_port}{HEALTH_PATH}"


def health(port: int) -> tuple[int, str] | None:
    """What the bridge says of itself: HTTP status and text; None when it does not answer."""
    return http_probe.get(port, HEALTH_PATH)


def process(settings: Settings) -> Process:
    """The daemon; on SIGTERM it finishes what is in flight."""

    def ready() -> bool:
        answer = health(settings.health_port)
        return answer is not None and answer[0] == 200

    return Process(
        name="bridge",
        argv=[str(settings.binaries / "bridge")],
        ready=ready,
        ports=(settings.health_port,),
        env={"SIPPO_BRIDGE__LISTEN": f"127.0.0.1:{settings.health_port}", **settings.environment},
        cwd=ROOT,
    )
