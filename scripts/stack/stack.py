"""The local stack: which processes there are, how they find each other, and what users are told."""

from __future__ import annotations

import http.client
import json
import secrets
import shlex
import sys
import time
import urllib.parse
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from stack import bridge, cells, console, fake_aws, functions, http_probe, ledger_view, prosody, rabbitmq
from stack.authority import Authority
from stack.broker import Broker
from stack.command_line import in_words
from stack.event_types import CELLS, EVENT_FUNCTIONS, RESYNC, ROUTING_KEYS
from stack.issuer import Issuer
from stack.paths import BINARIES, ROOT, StackPaths, write_private
from stack.ports import Ports, free_port
from stack.process import Process
from stack.supervisor import StackError, Supervisor

DOMAIN = "example.test"
PARTNER = "partner.test"
"""The samples' guests are from there."""
LONGEST_RETRY_WAIT = 3
"""Seconds between two tries of a message at most."""
SETTLE_TIMEOUT = 15.0


@dataclass
class Stack:
    """XMPP server, broker, queues and ledger, functions, poller and bridge."""

    paths: StackPaths
    supervisor: Supervisor
    ports: Ports
    log_level: str | None = None
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    """Laid over the functions' and the bridge's configuration."""
    prosody_options: dict[str, str] = field(default_factory=dict)
    """Laid over the XMPP server's, without the prefix SIPPO_XMPP_."""
    binaries: Path = BINARIES
    resync_every: float = 0.0
    """Seconds between two runs of resync; 0: only when it is invoked."""
    event_concurrency: int = 4
    """Invocations of an event function at a time, as EventConcurrency in template.yaml."""
    cells: int = 1
    """XMPP servers; of several each has some of the tenants."""
    has_console: bool = False
    """Whether a page shows it at work. Unless a level is given, functions, bridge and poller tell each event's way then."""

    def __post_init__(self) -> None:
        self.paths.create()
        self.issuer = Issuer(self.paths.issuer)
        self.issuer.create()
        self.admin_token = self._admin_token()
        self.console_key = secrets.token_urlsafe(24)
        ports = self.ports
        self.prosody = prosody.Settings(
            data=self.paths.prosody_data, http_port=ports.prosody, admin_token=self.admin_token,
            log_level=prosody.LOG_LEVELS[self.log_level or "info"], extra=self.prosody_options)
        further = {f"prosody-{number}": replace(self.prosody, data=self.paths.state / f"prosody-{number}", http_port=free_port())
                   for number in range(2, self.cells + 1)}
        self.prosodies = {"prosody": self.prosody, **further}
        """By the name of the process, which is the cell's too."""
        if self.cells > 1:
            self.prosodies = cells.linked(self.prosodies, Authority(self.paths.state / "authority"))
            self.prosody = self.prosodies["prosody"]
        self.rabbitmq = rabbitmq.Settings(
            data=self.paths.rabbitmq_data, port=ports.rabbitmq, epmd_port=ports.epmd,
            distribution_port=ports.distribution,
            password=rabbitmq.password(self.paths.state / "rabbitmq-password"))
        self.fake_aws = fake_aws.Settings(data=self.paths.fake_aws_data, port=ports.queue)
        environment = self.service_environment() | self.environment
        self.functions = functions.Settings(
            port=ports.api, runtime_port=ports.runtime, gateway_port=ports.gateway, environment=environment,
            functions=(*functions.REST_FUNCTIONS, *EVENT_FUNCTIONS, RESYNC, *([CELLS] if self.cells > 1 else [])), binaries=self.binaries, copies=1)
        self.bridge = bridge.Settings(
            health_port=ports.bridge_health, binaries=self.binaries,
            environment={"SIPPO_BROKER__URL": self.rabbitmq.url} | environment)

    def _admin_token(self) -> str:
        """Made once; the XMPP server's data would not mind another one, but clients' sessions would."""
        file = self.paths.state / "admin-token"
        if not file.exists():
            write_private(file, secrets.token_hex(32))
        return file.read_text().strip()

    @property
    def service_log_level(self) -> str | None:
        """Of all but the XMPP server, whose debug lines are each stanza; None for the configured one."""
        return self.log_level or ("debug" if self.has_console else None)

    @property
    def console_url(self) -> str:
        """CONSOLE_URL. What is behind # stays in the browser."""
        return f"http://127.0.0.1:{self.ports.console}/#key={self.console_key}"

    def service_environment(self) -> dict[str, str]:
        """The service's configuration: the repository's config/ with this stack's addresses and secrets."""
        environment = {
            **(cells.configuration(self.paths.state / "config", self.prosodies) if self.cells > 1 else self._only_server()),
            "SIPPO_XMPP__ADMIN_JID": self.prosody.admin_jid,
            "SIPPO_LOG__FORMAT": "json",
            "SIPPO_QUEUES__URL_PREFIX": self.fake_aws.queue_url_prefix,
            "SIPPO_QUEUES__LONGEST_RETRY_WAIT": str(LONGEST_RETRY_WAIT),
            "SIPPO_LEDGER__TABLE": fake_aws.TABLE,
            **self.fake_aws.environment(),
            **self.issuer.environment(),
        }
        if self.service_log_level is not None:
            environment["SIPPO_LOG__LEVEL"] = self.service_log_level
        return environment

    def _only_server(self) -> dict[str, str]:
        return {
            "CONFIG_DIR": str(ROOT / "config"),
            "SIPPO_XMPP__XMPP_URL": self.prosody.ws_url,
            "SIPPO_XMPP__HOSTS_ADMIN_URL": self.prosody.hosts_url,
            "SIPPO_XMPP__ADMIN_TOKEN": self.admin_token,
        }

    def start(self) -> None:
        """Starts everything and shows that a user can log in."""
        with ThreadPoolExecutor() as pool:
            # What depends on nothing, together: the broker alone takes most of the time.
            for started in [pool.submit(one) for one in (self.start_xmpp, self.start_broker, self.start_fake_aws)]:
                started.result()
        self.supervisor.start(functions.process(self.functions, self.paths))
        if self.cells == 1:
            self.verify()
        self.supervisor.start(self.poller())
        self.supervisor.start(bridge.process(self.bridge))
        self.settle()
        self.announce()
        if self.cells > 1:
            self.verify()  # a tenant is nowhere before its event has placed it

    def settle(self) -> None:
        """Waits until the bridge's queues would survive a kill of the broker."""
        deadline = time.monotonic() + SETTLE_TIMEOUT
        for queue in (rabbitmq.QUEUE, f"{rabbitmq.QUEUE}.dead"):
            while not rabbitmq.remembers(self.rabbitmq, queue):
                if time.monotonic() > deadline:
                    raise StackError(f"the broker has no quorum queue {queue}; look into {self.paths.logs}/bridge.log")
                time.sleep(0.05)

    def announce(self) -> None:
        """Publishes that the stack's own tenants are there, as the platform does, and waits until they are on record: resync
        brings back what is on record only."""
        deadline = time.monotonic() + SETTLE_TIMEOUT
        missing = [domain for domain in (DOMAIN, PARTNER) if not ledger_view.is_created(self.fake_aws.port, fake_aws.TABLE, domain)]
        with Broker(self.rabbitmq.url) as broker:
            for domain in missing:
                body = json.dumps({"domain": domain}).encode()
                broker.publish(rabbitmq.EXCHANGE, ROUTING_KEYS["domain-created"], body, f"scripts-run-{uuid.uuid4()}")
        while missing and time.monotonic() < deadline:
            time.sleep(0.05)
            missing = [domain for domain in missing if not ledger_view.is_created(self.fake_aws.port, fake_aws.TABLE, domain)]
        if missing:
            raise StackError(f"the creation of {', '.join(missing)} was not handled; look into {self.paths.logs}/functions.log")

    def start_xmpp(self) -> None:
        """Starts the XMPP server, with a first domain and its guests'; or all of several, with none."""
        for name, settings in self.prosodies.items():
            self.supervisor.start(prosody.process(settings, name))
        if self.cells == 1:
            for domain in (DOMAIN, PARTNER):
                self.create_domain(domain)

    def start_broker(self) -> None:
        """Starts the message broker."""
        for process in rabbitmq.processes(self.rabbitmq):
            self.supervisor.start(process)

    def start_fake_aws(self) -> None:
        """Starts the fake AWS, with queues and table."""
        self.supervisor.start(fake_aws.process(self.fake_aws))
        fake_aws.create_queues(self.fake_aws.port)
        fake_aws.create_ledger(self.fake_aws.port)

    def poller(self) -> Process:
        """What invokes the event functions."""
        return Process(
            name="poller",
            argv=[sys.executable, str(Path(__file__).with_name("poller.py")),
                  "--queue-port", str(self.ports.queue), "--api-port", str(self.ports.api),
                  "--prefix", fake_aws.QUEUE_PREFIX, "--resync-every", str(self.resync_every),
                  "--concurrency", str(self.event_concurrency),
                  "--sign-of-life", str(self.paths.poller_sign), "--log-level", self.service_log_level or "info"],
            ready=lambda: True,  # it waits for queues and functions itself
        )

    def start_console(self) -> None:
        """Starts the page that shows it all, once stack.env is there."""
        port = self.ports.console
        self.supervisor.start(Process(
            name="console",
            argv=[sys.executable, str(Path(__file__).with_name("console")), "--state", str(self.paths.state), "--port", str(port)],
            ready=lambda: http_probe.status(port, "/") == 200,
            ports=(port,),
            env={console.KEY_VARIABLE: self.console_key}))

    def create_domain(self, domain: str) -> None:
        """Creates a virtual host unless it is there."""
        url = urllib.parse.urlsplit(self.prosody.hosts_url)
        status, _ = _call(url, "POST", self.admin_token, json.dumps({"domain": domain}))
        if status not in (200, 201):
            raise StackError(f"{domain} could not be created (HTTP {status}); look into {self.paths.logs}/prosody.log")

    def verify(self) -> None:
        """A login and a chat list as a user's: the stack is not ready before they work."""
        token = self.issuer.token("alice", DOMAIN, ["chat"])
        for path in ("/sapi/xmpp/login", "/sapi/xmpp/individualChatList"):
            status, body = _call(urllib.parse.urlsplit(self.functions.url + path), "GET", token)
            if status != 200:
                raise StackError(f"GET {path} answers {status}: {body[:500]}; look into {self.paths.logs}/functions.log")

    def write_env(self) -> None:
        """Writes stack.env and functions.env for the shell."""
        lines = {
            "API_URL": self.functions.url,
            "XMPP_URL": self.prosody.ws_url,
            "HOSTS_ADMIN_URL": self.prosody.hosts_url,
            "ADMIN_JID": self.prosody.admin_jid,
            "ADMIN_TOKEN": self.admin_token,
            "XMPP_DOMAIN": DOMAIN,
            "INVOKE_PORT": str(self.ports.api),
            "AMQP_URL": self.rabbitmq.url,
            "AMQP_EXCHANGE": rabbitmq.EXCHANGE,
            "AMQP_QUEUE": rabbitmq.QUEUE,
            **self.fake_aws.environment(),
            "QUEUE_URL_PREFIX": self.fake_aws.queue_url_prefix,
            "LEDGER_TABLE": fake_aws.TABLE,
            "BRIDGE_HEALTH_URL": self.bridge.health_url,
            **(cells.variables(self.prosodies) if self.cells > 1 else {}),
            **({"CONSOLE_URL": self.console_url} if self.has_console else {}),
            "LOG_DIR": str(self.paths.logs.resolve()),
            "PID_DIR": str(self.paths.pids.resolve()),
        }
        for file, content in ((self.paths.env_file, lines), (self.paths.functions_env_file, self.service_environment())):
            write_private(file, "".join(f"{key}={shlex.quote(value)}\n" for key, value in content.items()))


def _call(url: urllib.parse.SplitResult, method: str, token: str, body: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, url.path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise StackError(f"{url.geturl()} does not answer ({in_words(error)}); look into the logs") from error
    finally:
        connection.close()

