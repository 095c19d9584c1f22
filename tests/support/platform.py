"""The whole local stack as a test sees it: publish events like the platform, look at rooms like a user."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from stack.broker import Broker
from stack.dead_letters import DEAD, Letter, Queues, list_all
from stack.event_types import ROUTING_KEYS
from stack.paths import StackPaths
from stack.ports import Ports
from stack.rabbitmq import EXCHANGE, QUEUE
from stack.stack import Stack
from stack.supervisor import Supervisor
from support import log_lines, storage
from support.login_tokens import mint
from support.wait import until
from support.xmpp import Client

FUNCTIONS = {key: function for function, key in ROUTING_KEYS.items()}
BROKER_DEAD = f"{QUEUE}.dead"


class Platform:
    """A stack of the tests' own. Everything is polled for, nothing waits a fixed time."""

    def __init__(self, folder: Path, log_level: str = "silly", **options: Any) -> None:
        self.paths = StackPaths(folder.resolve())
        self.paths.create()
        self.said: list[str] = []
        self.supervisor = Supervisor(self.paths, self.said.append)
        options["prosody_options"] = {**storage.new_options(), **options.get("prosody_options", {})}
        self.stack = Stack(self.paths, self.supervisor, Ports.any_free(), log_level=log_level, **options)
        # For tests of what becomes of a misspelt event; by default others' events are ignored.
        self.stack.bridge.environment["SIPPO_BROKER__UNKNOWN"] = "dead-letter"
        self.queues = Queues(self.stack.ports.queue, self.stack.fake_aws.queue_url_prefix)
        self._clients: list[Client] = []
        self._versions = itertools.count(1)

    def start(self) -> Platform:
        """Starts everything."""
        try:
            self.stack.start()
            self.stack.write_env()
        except BaseException:
            self.supervisor.stop()
            raise
        return self

    def stop(self) -> None:
        """Stops everything."""
        for client in self._clients:
            client.abort()
        self.supervisor.stop()

    # Events

    def publish(self, routing_key: str, payload: Any, *, bare: bool = False, id: str | None = None) -> str:
        """Publishes an event, as a CloudEvent (structured mode) or its payload alone; returns its id."""
        id = id or str(uuid.uuid4())
        event = payload if bare else {
            "specversion": "1.0", "id": id, "source": "/tests", "type": routing_key,
            "time": datetime.now(UTC).isoformat(), "datacontenttype": "application/json", "data": payload}
        self.publish_body(routing_key, json.dumps(event).encode(), id)
        return id

    def publish_body(self, routing_key: str, body: bytes, id: str | None = None) -> None:
        """Publishes bytes as they are."""
        with self.broker() as broker:
            broker.publish(EXCHANGE, routing_key, body, id)

    def broker(self) -> Broker:
        """A connection to the broker, as a context manager."""
        return Broker(self.stack.rabbitmq.url)

    def version(self) -> str:
        """A version newer than all before it and than the bridge's."""
        return f"1000000000000.{next(self._versions)}"

    def deliver(self, routing_key: str, payload: Any, version: str, age: timedelta = timedelta()) -> None:
        """Puts an event into its function's queue, stamped as the bridge would have, and waits until it is handled."""
        stamped = (datetime.now(UTC) - age).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = {"version": version, "stampedAt": stamped, "routingKey": routing_key, "messageId": str(uuid.uuid4()),
                "event": payload}
        function = FUNCTIONS[routing_key]
        self.queues.send(function, json.dumps(body))
        self.wait_handled(function)

    def wait_handled(self, function: str, timeout: float = 60) -> None:
        """Waits until a function's queue is empty, visible or not."""
        until(lambda: self.queues.depths(function) == (0, 0), f"an empty queue of {function}", timeout)

    def wait_received(self, id: str, times: int = 1, timeout: float = 60) -> None:
        """Waits until an event has been received this often, and its function is done."""
        def lines() -> list[dict[str, Any]]:
            return [line for line in self.log() if line.get("event.id") == id and line["message"].startswith("Received ")]
        until(lambda: len(lines()) >= times, f"event {id} to be received {times} times", timeout)
        for function in FUNCTIONS.values():
            self.wait_handled(function, timeout)

    def dead_letters(self, function: str) -> list[Letter]:
        """A function's dead letters, left where they are."""
        return list_all(self.queues, [function])

    def wait_dead(self, function: str, body_has: str, timeout: float = 60) -> Letter:
        """Waits for a dead letter whose body holds this text."""
        def found() -> Letter | None:
            if sum(self.queues.depths(function + DEAD)) == 0:
                return None
            return next((one for one in self.dead_letters(function) if body_has in one.body), None)
        return until(found, f"a dead letter of {function} with {body_has}", timeout)

    # XMPP

    def user(self, jid: str, resource: str | None = None) -> Client:
        """A connected session of a user's."""
        return self._client(jid, mint(self.stack.admin_token, jid), resource)

    def online(self, jid: str) -> Client:
        """The same, with available presence sent."""
        client = self.user(jid)
        client.presence()
        client.sync()
        return client

    def admin(self, cell: str = "prosody") -> Client:
        """A session of the server admin's, of several servers on this one."""
        return self._client(self.stack.prosody.admin_jid, self.stack.admin_token, f"test-{uuid.uuid4().hex[:8]}", cell)

    def _client(self, jid: str, password: str, resource: str | None, cell: str | None = None) -> Client:
        cell = cell or self.cell_of(jid.partition("@")[2])
        return self.keep(Client(self.stack.prosodies[cell].ws_url, jid, password, resource, timeout=30)).connect()

    def keep(self, client: Client) -> Client:
        """Has a client end with the platform at the latest."""
        self._clients.append(client)
        return client

    # Hosts

    def hosts(self) -> list[str]:
        """The virtual hosts, of all cells."""
        return [domain for hosts in self.hosts_by_cell().values() for domain in hosts]

    def hosts_by_cell(self) -> dict[str, list[str]]:
        """The virtual hosts of each XMPP server, by its process."""
        def hosts(url: str) -> list[str]:
            answer = httpx.get(url, trust_env=False, timeout=10, headers={"Authorization": f"Bearer {self.stack.admin_token}"})
            return [entry["domain"] for entry in answer.raise_for_status().json()]
        return {cell: hosts(server.hosts_url) for cell, server in self.stack.prosodies.items()}

    def cell_of(self, domain: str) -> str:
        """The XMPP server that has the domain; the first one if none has, or there is no other."""
        if self.stack.cells == 1:
            return "prosody"
        return next((cell for cell, hosts in self.hosts_by_cell().items() if domain in hosts), "prosody")

    # Processes and logs

    def lose_xmpp_data(self) -> None:
        """Has the XMPP server lose all that it stores, as with its disk, and come back empty."""
        storage.lose(self.stack.prosody)
        for entry in list(self.paths.prosody_data.iterdir()):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self.kill("prosody")

    def kill(self, name: str) -> None:
        """Kills a process as a crash does, and waits until it serves again."""
        pid = self.supervisor.pid(name)
        assert pid is not None, f"{name} does not run"
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.supervisor.pid(name) not in (None, pid), f"{name} to be started again", 10)
        self.supervisor.wait_ready(name)

    def log(self, name: str = "functions", since: int = 0) -> list[dict[str, Any]]:
        """The JSON lines of a log since a mark, without those that are metrics."""
        return log_lines.without_metrics(self._objects(name, since))

    def metrics(self, name: str = "functions", since: int = 0) -> list[dict[str, Any]]:
        """The lines of a log that are in CloudWatch's embedded metric format, since a mark."""
        return log_lines.metrics(self._objects(name, since))

    def _objects(self, name: str, since: int) -> list[dict[str, Any]]:
        return log_lines.objects(self.paths.logs / f"{name}.log", since, torn=True)

    def mark(self, name: str = "functions") -> int:
        """A log's length now."""
        return (self.paths.logs / f"{name}.log").stat().st_size

    def wait_log(self, level: str, message: str, name: str = "functions", since: int = 0) -> dict[str, Any]:
        """Waits for a line of this level with this very message."""
        def found() -> dict[str, Any] | None:
            return next((line for line in self.log(name, since)
                         if line["message"] == message and line["level"] == level), None)
        return until(found, f"{level} {message!r} in {name}.log")
