"""The bridge from RabbitMQ to SQS, as a process of the stack."""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from pathlib import Path

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
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.8)
    try:
        connection.request("GET", HEALTH_PATH)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def process(settings: Settings) -> Process:
    """The daemon; on SIGTERM it finishes what is in flight."""

    def ready() -> bool:
        answer = health(settings.health_port)
        return answer is not None and answer[0] == 200

    return Process(
        name="bridge",
        argv=[str(settings.binaries / "bridge")],
        ready=ready,
        env={"SIPPO_BRIDGE__LISTEN": f"127.0.0.1:{settings.health_port}", **settings.environment},
        cwd=ROOT,
    )
