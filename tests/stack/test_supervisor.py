"""The supervisor, where the machine fails it."""

import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from stack.paths import StackPaths
from stack.ports import free_port, holder
from stack.process import Process, StackError
from stack.supervisor import Supervisor
from support.wait import until


def test_a_process_that_cannot_be_started_ends_no_other(paths: StackPaths, supervisor: Supervisor, said: list[str]):
    supervisor.start(Process("good", ["/usr/bin/sleep", "600"], ready=lambda: True))
    pid = supervisor.pid("good")
    (paths.logs / "full").write_text("no folder")
    with pytest.raises(StackError, match="bad was not ready"):
        supervisor.start(Process("bad", ["/usr/bin/sleep", "600"], ready=lambda: True, log="full/bad.log"), timeout=0.5)
    assert [line for line in said if line.startswith("bad cannot be started")]
    assert supervisor.pid("good") == pid
    os.kill(pid, 0)


def test_nothing_is_started_while_all_is_stopped(supervisor: Supervisor):
    supervisor.stop()
    with pytest.raises(StackError, match="being stopped"):
        supervisor.start(Process("late", ["/usr/bin/sleep", "600"], ready=lambda: True))


LISTEN = """
import socket, sys, time
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    listener.listen()
except OSError as error:
    if sys.argv[2] == "stop":
        sys.exit(f"cannot listen: {error}")
time.sleep(600)
"""


@pytest.mark.parametrize("manner", ["stop", "go on"])
def test_a_port_that_is_taken_is_named_and_tried_again(supervisor: Supervisor, said: list[str], manner: str):
    """Whether the program stops without it or not, as Prosody 0.12."""
    port = free_port()
    with ThreadPoolExecutor(1) as pool:
        with socket.create_server(("127.0.0.1", port)):
            started = pool.submit(supervisor.start, Process(
                "server", [sys.executable, "-c", LISTEN, str(port), manner], ports=(port,),
                ready=lambda: holder(port) not in (None, os.getpid())))
            mine = f"port {port} is taken by process {os.getpid()}"
            until(lambda: any(mine in line and "trying again" in line for line in said), "word of the port")
        started.result(30)
    assert supervisor.pid("server") == holder(port)


def test_a_port_that_stays_taken_is_in_the_error(supervisor: Supervisor):
    with socket.create_server(("127.0.0.1", free_port())) as server:
        port = server.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port} is taken by process {os.getpid()}"):
            supervisor.start(Process("server", [sys.executable, "-c", LISTEN, str(port), "stop"], ports=(port,),
                                     ready=lambda: False), timeout=0.5)
