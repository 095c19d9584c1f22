"""Asks each process of the running stack for something that only one that works can answer."""

from __future__ import annotations

import json
import socket
import struct
import time
import urllib.parse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stack import bridge, cells, http_probe, rabbitmq
from stack.fake_aws import HEALTH_PATH, LOSS_HINT
from stack.paths import StackPaths
from stack.stack_env import port_of

PROCESSES = ("prosody", "epmd", "rabbitmq", "queue", "functions", "poller", "bridge")
TIMEOUT = 2.0
SILENCE = 5.0
"""Seconds after which a program that gives a sign of life every second is taken for stuck."""


def processes(env: dict[str, str]) -> list[str]:
    """The processes of a stack, which may have several XMPP servers."""
    return [*cells.all_of(env), *PROCESSES[1:]]


def trouble(env: dict[str, str], paths: StackPaths) -> dict[str, str | None]:
    """What is wrong with each process; None where nothing is."""
    asks = _asks(env, paths)

    def one(name: str) -> str | None:
        pid = pid_of(paths, name)
        if pid is None:
            return f"DOWN: {LOSS_HINT}" if name == "queue" else "DOWN"
        if _state(pid) in "Tt":
            return f"STOPPED: kill -CONT {pid} has it go on"
        found = asks[name](pid)
        if isinstance(found, str):
            return found
        return None if found else f"DOES NOT ANSWER: look into {paths.logs}/{'rabbitmq' if name == 'epmd' else name}.log"

    names = processes(env)
    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


def _asks(env: dict[str, str], paths: StackPaths) -> dict[str, Callable[[int], bool | str]]:
    """What each is asked, by its process id: whether it works, or what is wrong."""
    def status(url: str, path: str, headers: dict[str, str] | None = None) -> int | None:
        return http_probe.status(port_of(url), path, headers, TIMEOUT)

    admin = {"Authorization": f"Bearer {env['ADMIN_TOKEN']}"}

    def xmpp_server(url: str) -> Callable[[int], bool]:
        return lambda _: status(url, urllib.parse.urlsplit(url).path, admin) == 200

    return {
        **{name: xmpp_server(own["HOSTS_ADMIN_URL"]) for name, own in cells.all_of(env).items()},
        "epmd": _epmd_answers,
        "rabbitmq": lambda _: rabbitmq.greets(port_of(env["AMQP_URL"]), TIMEOUT),
        "queue": lambda _: status(env["AWS_ENDPOINT_URL"], HEALTH_PATH) == 200,
        "functions": lambda _: status(env["API_URL"], "/sapi/xmpp/login") in (401, 404),
        "poller": lambda _: _is_fresh(paths.poller_sign),
        "bridge": lambda _: _bridge(bridge.health(port_of(env["BRIDGE_HEALTH_URL"])), paths),
    }


def pid_of(paths: StackPaths, name: str) -> int | None:
    """A process of the stack, None while it is down."""
    try:
        pid = int((paths.pids / f"{name}.pid").read_text())
    except (OSError, ValueError):
        return None
    return pid if _state(pid) not in "ZX" else None


def _state(pid: int) -> str:
    """As proc(5) has it; `X` for none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _bridge(health: tuple[int, str] | None, paths: StackPaths) -> bool | str:
    """Whether it works, or what is wrong, by what it says of itself."""
    if health is None:
        return False
    try:
        state = str(json.loads(health[1])["state"])
    except (ValueError, KeyError, TypeError):
        return False
    match state:
        case "standby" | "active":
            return True
        case "connecting":
            return f"NOT CONNECTED to the message broker: {paths.logs}/bridge.log says why"
        case "blocked":
            return f"BLOCKED: the message broker takes no messages, see its alarms in {paths.logs}/rabbitmq.log; dead letters wait"
        case "disabled":
            return "DISABLED: wac.ini has no section [xmpp]"
        case _:
            return state.upper()


def _epmd_answers(pid: int) -> bool:
    """The port mapper's NAMES_REQ; its port is among its arguments."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        port = int(arguments[arguments.index("-port") + 1])
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
            connection.settimeout(TIMEOUT)
            connection.sendall(struct.pack(">Hc", 1, b"n"))
            return struct.unpack(">I", connection.recv(4))[0] == port
    except (OSError, ValueError, struct.error):
        return False


def _is_fresh(file: Path) -> bool:
    try:
        return time.time() - file.stat().st_mtime < SILENCE
    except OSError:
        return False
