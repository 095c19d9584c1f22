"""Ports of the stack's and the tests' servers: none that a client may be given, and none twice."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stack import ports
from stack.paths import ROOT
from stack.ports import Ports, free_port, holder, is_free
from stack.process import Process, StackError
from stack.supervisor import taken_port

ALLOCATE = """
import sys
from stack import ports
ports.candidates = lambda: list(range(21000, 23000))  # other tests may run beside it
ports.random.randrange = lambda _: 0
sys.stdin.readline()
print(*(ports.free_port() for _ in range(80)), flush=True)
sys.stdin.readline()
"""


def test_the_system_gives_none_of_them_to_clients():
    low, high = (int(number) for number in Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    taken = [free_port() for _ in range(50)]
    assert not [port for port in taken if low <= port <= high]
    assert len(set(taken)) == 50
    assert not [port for port in vars(Ports.any_free()).values() if low <= port <= high]


def test_several_runs_at_once_take_different_ones():
    runs = [subprocess.Popen([sys.executable, "-c", ALLOCATE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             env={"PYTHONPATH": str(ROOT / "scripts"), "PATH": "/usr/bin:/bin"}) for _ in range(4)]
    try:
        for run in runs:
            run.stdin.write("go\n")
            run.stdin.flush()
        taken = [port for run in runs for port in run.stdout.readline().split()]
    finally:
        for run in runs:
            run.communicate("end\n", timeout=30)
    assert len(taken) == 320 and len(set(taken)) == 320


def test_where_clients_get_all_ports_the_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "range").write_text("1024\t65535\n")
    monkeypatch.setattr(ports, "EPHEMERAL", tmp_path / "range")
    with pytest.raises(StackError, match="ip_local_port_range"):
        free_port()


def test_a_base_that_is_taken_is_refused():
    with socket.create_server(("127.0.0.1", free_port())) as server:
        base = server.getsockname()[1]
        with pytest.raises(StackError, match=f"port {base} is taken"):
            Ports.choose(base)
        assert holder(base) is not None


def test_whoever_only_looks_at_a_port_does_not_have_it():
    """As other runs do that look for a free one: a process that is slow to start was ended for that."""
    with socket.socket() as looking:
        looking.bind(("127.0.0.1", free_port()))
        port = looking.getsockname()[1]
        assert not is_free(port) and holder(port) is None
        process = Process("slow", [], ready=lambda: False, ports=(port,))
        assert taken_port(process) is None
        looking.listen()
        assert f"port {port} is taken by process" in taken_port(process)
