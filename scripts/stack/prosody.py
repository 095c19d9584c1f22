"""Prosody, the XMPP server, as a process of the stack."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from stack import http_probe, prosody_program
from stack.process import Process

CONFIG = Path(__file__).resolve().parents[2] / "xmpp-server" / "prosody.cfg.lua"
HOSTS_PATH = "/quobis_virtualhosts/virtualhost"
WEBSOCKET_PATH = "/xmpp-websocket"
LOG_LEVELS = {"error": "error", "warn": "warn", "info": "info", "verbose": "info", "debug": "debug", "silly": "debug"}
"""Its levels for those of the functions."""


# Fields: one for each option that the configuration takes from the environment.
@dataclass(frozen=True)
class Settings:
    """What a Prosody of ours can be told; the rest is in xmpp-server/README.md, see `extra`."""

    data: Path
    http_port: int
    admin_token: str = field(repr=False)
    interface: str = "127.0.0.1"
    admin_jid: str = "sippo@sippo-admin.internal"
    admin_token_previous: str | None = field(default=None, repr=False)
    https_port: int | None = None
    certificate: Path | None = None
    key: Path | None = None
    series: str | None = None
    """Which Prosody; see prosody_program.program."""
    storage: str | None = None
    log_level: str = "info"
    config: Path | None = None
    """Another configuration than the repository's; `modules` beside it are ours."""
    extra: dict[str, str] = field(default_factory=dict)
    """Further options by name, without the prefix SIPPO_XMPP_."""

    @property
    def ws_url(self) -> str:
        """Where XMPP clients connect (RFC 7395)."""
        return f"ws://{self.interface}:{self.http_port}{WEBSOCKET_PATH}"

    @property
    def wss_url(self) -> str:
        """The same over TLS; only with `https_port`."""
        return f"wss://{self.interface}:{self.https_port}{WEBSOCKET_PATH}"

    @property
    def cell_port(self) -> int | None:
        """Where other cells connect; None where there are none."""
        return int(self.extra["CELL_PORT"]) if "CELL_PORT" in self.extra else None

    @property
    def hosts_url(self) -> str:
        """The virtual hosts API."""
        return f"http://{self.interface}:{self.http_port}{HOSTS_PATH}"

    def environment(self) -> dict[str, str]:
        """The variables that prosody.cfg.lua reads."""
        options: dict[str, object | None] = {
            "DATA": self.data.resolve(),
            "INTERFACE": self.interface,
            "HTTP_PORT": self.http_port,
            "HTTPS_PORT": self.https_port,
            "CERTIFICATE": self.certificate,
            "KEY": self.key,
            "ADMIN_JID": self.admin_jid,
            "ADMIN_TOKEN": self.admin_token,
            "ADMIN_TOKEN_PREVIOUS": self.admin_token_previous,
            "STORAGE": self.storage,
            "LOG_LEVEL": self.log_level,
            "RUN_AS_ROOT": "1" if os.geteuid() == 0 else None,
            **self.extra,
        }
        return {f"SIPPO_XMPP_{name}": str(value) for name, value in options.items() if value is not None}


def serves(settings: Settings) -> bool:
    """Whether it answers; the token shows that this is our server, not whoever else took the port."""
    return http_probe.status(settings.http_port, HOSTS_PATH, {"Authorization": f"Bearer {settings.admin_token}"}) == 200


def process(settings: Settings, name: str = "prosody") -> Process:
    """Prosody in the foreground, configured by `settings`; it stops on SIGTERM."""
    settings.data.mkdir(parents=True, exist_ok=True)
    return Process(
        name=name,
        argv=[str(prosody_program.program(settings.series).executable), "-F", "--config", str(settings.config or CONFIG)],
        ready=lambda: serves(settings),
        ports=tuple(port for port in (settings.http_port, settings.https_port, settings.cell_port) if port is not None),
        env=settings.environment(),
    )
