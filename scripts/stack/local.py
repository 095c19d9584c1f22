"""The local stack: which processes there are, how they find each other, and what users are told."""

from __future__ import annotations

import http.client
import json
import secrets
import shlex
import urllib.parse
from dataclasses import dataclass, field

from stack import functions, prosody
from stack.issuer import Issuer
from stack.layout import ROOT, Layout, free_port, is_free, write_private
from stack.supervisor import StackError, Supervisor

DOMAIN = "example.test"
DEFAULT_PORTS = 5280


@dataclass
class Stack:
    """The REST half: the XMPP server and the functions."""

    layout: Layout
    supervisor: Supervisor
    prosody_port: int
    api_port: int
    runtime_port: int
    gateway_port: int
    log_level: str | None = None
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    """Laid over the functions' configuration."""
    prosody_options: dict[str, str] = field(default_factory=dict)
    """Laid over the XMPP server's, without the prefix SIPPO_XMPP_."""

    def __post_init__(self) -> None:
        self.layout.create()
        self.issuer = Issuer(self.layout.issuer)
        self.issuer.create()
        self.admin_token = self._admin_token()
        self.prosody = prosody.Settings(
            data=self.layout.prosody_data, http_port=self.prosody_port, admin_token=self.admin_token,
            extra=self.prosody_options)
        self.functions = functions.Settings(
            port=self.api_port, runtime_port=self.runtime_port, gateway_port=self.gateway_port,
            environment=self.function_environment() | self.environment)

    def _admin_token(self) -> str:
        """Made once; the XMPP server's data would not mind another one, but clients' sessions would."""
        file = self.layout.state / "admin-token"
        if not file.exists():
            write_private(file, secrets.token_hex(32))
        return file.read_text().strip()

    def function_environment(self) -> dict[str, str]:
        """The functions' configuration: the repository's config/ with this stack's addresses and secrets."""
        environment = {
            "CONFIG_DIR": str(ROOT / "config"),
            "SIPPO_XMPP__XMPP_URL": self.prosody.ws_url,
            "SIPPO_XMPP__HOSTS_ADMIN_URL": self.prosody.hosts_url,
            "SIPPO_XMPP__ADMIN_TOKEN": self.admin_token,
            "SIPPO_XMPP__ADMIN_JID": self.prosody.admin_jid,
            "SIPPO_LOG__FORMAT": "json",
            **self.issuer.environment(),
        }
        if self.log_level is not None:
            environment["SIPPO_LOG__LEVEL"] = self.log_level
        return environment

    def start(self) -> None:
        """Starts everything and shows that a user can log in."""
        self.supervisor.start(prosody.process(self.prosody))
        self.create_domain(DOMAIN)
        self.supervisor.start(functions.process(self.functions, self.layout))
        self.verify()

    def create_domain(self, domain: str) -> None:
        """Creates a virtual host unless it is there."""
        url = urllib.parse.urlsplit(self.prosody.hosts_url)
        status, _ = _call(url, "POST", self.admin_token, json.dumps({"domain": domain}))
        if status not in (200, 201):
            raise StackError(f"{domain} could not be created (HTTP {status}); look into {self.layout.logs}/prosody.log")

    def verify(self) -> None:
        """A login and a chat list as a user's: the stack is not ready before they work."""
        token = self.issuer.token("alice", DOMAIN, ["chat"])
        for path in ("/sapi/xmpp/login", "/sapi/xmpp/individualChatList"):
            status, body = _call(urllib.parse.urlsplit(self.functions.url + path), "GET", token)
            if status != 200:
                raise StackError(f"GET {path} answers {status}: {body[:500]}; look into {self.layout.logs}/functions.log")

    def write_env(self) -> None:
        """Writes stack.env for the shell."""
        lines = {
            "API_URL": self.functions.url,
            "XMPP_URL": self.prosody.ws_url,
            "HOSTS_ADMIN_URL": self.prosody.hosts_url,
            "ADMIN_JID": self.prosody.admin_jid,
            "ADMIN_TOKEN": self.admin_token,
            "XMPP_DOMAIN": DOMAIN,
            "INVOKE_PORT": str(self.api_port),
            "LOG_DIR": str(self.layout.logs.resolve()),
            "PID_DIR": str(self.layout.pids.resolve()),
        }
        write_private(self.layout.env_file, "".join(f"{key}={shlex.quote(value)}\n" for key, value in lines.items()))


def _call(url: urllib.parse.SplitResult, method: str, token: str, body: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, url.path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise StackError(f"{url.geturl()} does not answer ({error}); look into the logs") from error
    finally:
        connection.close()


def choose_ports(count: int, base: int | None) -> list[int]:
    """`count` ports from `base` on, which must be free then; else the usual ones, or any where those are taken."""
    if base is not None:
        ports = list(range(base, base + count))
        if taken := [port for port in ports if not is_free(port)]:
            raise StackError(f"port {taken[0]} is taken; choose another --port-base, or leave it out")
        return ports
    ports: list[int] = []
    for port in range(DEFAULT_PORTS, DEFAULT_PORTS + count):
        ports.append(port if is_free(port) else free_port())
    return ports
