"""RabbitMQ, the message broker, as processes of the stack: a node of its own, on loopback only.

Debian's wrapper in /usr/sbin would run it as another user with the system's data, so the program behind
that one is started. Erlang's port mapper (epmd) would go on as a daemon: it is a process of the stack too.
"""

from __future__ import annotations

import secrets
import socket
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

from stack import rabbitmq_program
from stack.paths import write_private
from stack.process import Process

USER = "sippo"
EXCHANGE = "sippo.events"
QUEUE = "sippo-xmpp"
CTL_PORTS = (9_100, 9_199)
"""rabbitmqctl is an Erlang node itself, and takes the first of these that is free."""
NODE = "sippo@localhost"
"""The data belongs to the node of this name; nodes of several stacks differ by their port mapper."""


@dataclass(frozen=True)
class Settings:
    """One node."""

    data: Path
    port: int
    """AMQP 0-9-1."""
    epmd_port: int
    distribution_port: int
    """Of Erlang's own protocol, which the node opens in any case."""
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """AMQP_URL."""
        return f"amqp://{USER}:{urllib.parse.quote(self.password)}@127.0.0.1:{self.port}"

    @property
    def safe_url(self) -> str:
        """The same without its password."""
        return f"amqp://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """What the server's scripts read; all it writes is below `data`."""
        data = self.data.resolve()
        return {
            "HOME": str(data),  # Erlang's cookie
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(data / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(data / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "enabled_plugins"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(data / "feature_flags"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(data / "config"),
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            # rabbitmqctl's; by default 10,000 above, where the system gives ports to clients.
            "RABBITMQ_CTL_DIST_PORT_MIN": str(CTL_PORTS[0]),
            "RABBITMQ_CTL_DIST_PORT_MAX": str(CTL_PORTS[1]),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
            # Has the script become the server instead of its parent.
            "RUNNING_UNDER_SYSTEMD": "true",
            **self.epmd_environment(),
        }

    def epmd_environment(self) -> dict[str, str]:
        """Where the port mapper listens."""
        return {"ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(self.epmd_port)}

    def write_files(self) -> None:
        """The server's configuration; user and password are taken from it at the very first start."""
        for folder in (self.data / "mnesia", self.data / "log", self.data / "config"):
            folder.mkdir(parents=True, exist_ok=True)
        write_private(self.data / "rabbitmq.conf", "\n".join([
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            f"default_user = {USER}",
            f"default_pass = {self.password}",
            "log.console = true",
            "log.console.level = warning",
            "log.file = false",
            # The write-ahead log of quorum queues; half a gigabyte by default.
            "raft.wal_max_size_bytes = 67108864",
        ]) + "\n")
        write_private(self.data / "enabled_plugins", "[].\n")


def ctl(settings: Settings, *arguments: str) -> list[str]:
    """The command that has rabbitmqctl tell the node something; it needs the settings' environment."""
    return rabbitmq_program.program().command("rabbitmqctl", *arguments, data=settings.data)


def password(file: Path) -> str:
    """The broker user's password, made once."""
    if not file.exists():
        write_private(file, secrets.token_hex(24))
    return file.read_text().strip()


def remembers(settings: Settings, queue: str) -> bool:
    """Whether the node knows its quorum queue after a kill.

    RabbitMQ 3.10 writes down which Raft log is a new queue's only some time after it has confirmed the
    queue; killed before that, it starts the queue with another log and without a leader, for good.
    """
    names = settings.data / "mnesia" / NODE / "quorum" / NODE / "names.dets"
    return names.exists() and f"%2F_{queue}".encode() in names.read_bytes()


def greets(port: int, timeout: float = 0.4) -> bool:
    """Whether an AMQP server is there: it answers an impossible protocol header with its own."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(b"AMQP\x00\x00\x00\x00")
            return connection.recv(8).startswith(b"AMQP")
    except OSError:
        return False


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.4).close()
        return True
    except OSError:
        return False


def processes(settings: Settings) -> list[Process]:
    """Port mapper and server, to be started in this order. The server stops in order on SIGTERM."""
    settings.write_files()
    program = rabbitmq_program.program()
    return [
        Process(
            name="epmd",
            argv=program.command("epmd", "-port", str(settings.epmd_port), "-address", "127.0.0.1", data=settings.data),
            ready=lambda: _listens(settings.epmd_port),
            ports=(settings.epmd_port,),
            env=settings.epmd_environment(),
            log="rabbitmq.log",
        ),
        Process(
            name="rabbitmq",
            argv=program.command("rabbitmq-server", data=settings.data),
            ready=lambda: greets(settings.port),
            ports=(settings.port, settings.distribution_port),
            env=settings.environment(),
        ),
    ]
