"""The stack's broker: on loopback alone, with its data after a kill, and nothing left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pika
import pytest

from stack import rabbitmq
from stack.orphans import stack_processes
from stack.paths import StackPaths
from stack.ports import free_port
from stack.supervisor import Supervisor
from support.wait import until


@pytest.fixture
def broker(paths: StackPaths, supervisor: Supervisor) -> rabbitmq.Settings:
    settings = rabbitmq.Settings(paths.rabbitmq_data, free_port(), free_port(), free_port(), "a-password-of-its-own")
    for process in rabbitmq.processes(settings):
        supervisor.start(process)
    return settings


def listeners(state: Path) -> set[tuple[str, int]]:
    """Addresses that the stack's processes listen on, from /proc (proc(5), net/tcp and net/tcp6)."""
    sockets = set()
    for pid in stack_processes(state):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                sockets.add(os.readlink(descriptor))
            except OSError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                address, _, port = fields[1].partition(":")
                found.add((address, int(port, 16)))
    return found


def test_it_listens_on_loopback_alone(broker: rabbitmq.Settings, paths: StackPaths):
    found = listeners(paths.state)
    assert {port for _, port in found} == {broker.port, broker.epmd_port, broker.distribution_port}
    assert {address for address, _ in found} <= {"0100007F", "00000000000000000000000001000000"}


def test_its_password_is_the_stacks_own_and_no_argument(broker: rabbitmq.Settings, paths: StackPaths):
    pika.BlockingConnection(pika.URLParameters(broker.url)).close()
    guest = pika.ConnectionParameters("127.0.0.1", broker.port, credentials=pika.PlainCredentials("guest", "guest"))
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        pika.BlockingConnection(guest)
    for pid in stack_processes(paths.state):
        assert broker.password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_killed_broker_comes_back_with_its_messages(broker: rabbitmq.Settings, paths: StackPaths, supervisor: Supervisor):
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
        channel.confirm_delivery()
        channel.basic_publish("", "kept", b"message", pika.BasicProperties(delivery_mode=2), mandatory=True)
    until(lambda: rabbitmq.remembers(broker, "kept"), "a queue that survives")
    pid = int((paths.pids / "rabbitmq.pid").read_text())
    assert b"beam" in Path(f"/proc/{pid}/cmdline").read_bytes(), "the pid file names the server itself"
    os.kill(pid, signal.SIGKILL)
    until(lambda: supervisor.pid("rabbitmq") not in (None, pid), "another process", 2)
    supervisor.wait_ready("rabbitmq")

    def fetched() -> bytes | None:
        # The queue elects its leader a moment after the server is up.
        try:
            with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
                return connection.channel().basic_get("kept")[2]  # unacknowledged: it stays
        except pika.exceptions.AMQPError:
            return None
    assert until(fetched, "the message") == b"message"


def test_a_killed_port_mapper_is_started_again(broker: rabbitmq.Settings, paths: StackPaths, supervisor: Supervisor):
    pid = supervisor.pid("epmd")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: supervisor.pid("epmd") not in (None, pid), "another process", 5)
    pika.BlockingConnection(pika.URLParameters(broker.url)).close()


def test_nothing_is_left_behind(broker: rabbitmq.Settings, paths: StackPaths, supervisor: Supervisor):
    names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in stack_processes(paths.state)}
    assert {"epmd", "beam.smp"} <= names
    supervisor.stop()
    assert stack_processes(paths.state) == []
