"""The REST functions of the tests' own, behind cargo lambda, and one binary alone."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx

from stack import functions as stack_functions
from stack.paths import BINARIES, ROOT, StackPaths
from stack.ports import free_port
from stack.supervisor import Supervisor
from support import log_lines
from support.wait import until

PROBLEM = "application/problem+json"
LIST = "/sapi/xmpp/individualChatList"
LOGIN = "/sapi/xmpp/login"


class Functions:
    """The functions with one configuration. `stop` also checks that no secret got into their log.

    There are as many copies of each as a test asks for: a further one, which a call gets that comes before a copy has
    asked for its next, would have a start, a cache and log lines of its own.
    """

    def __init__(self, folder: Path, environment: dict[str, str], copies: int = 1,
                 functions: list[str] | None = None, most_copies: int | None = None) -> None:
        self.paths = StackPaths(folder.resolve())
        self.paths.create()
        self.settings = stack_functions.Settings(
            port=free_port(), runtime_port=free_port(), gateway_port=free_port(), environment=environment,
            copies=copies, most_copies=most_copies or copies, functions=tuple(functions or stack_functions.REST_FUNCTIONS))
        self.supervisor: Supervisor | None = None
        self.secrets: set[str] = {environment[name] for name in environment if name.endswith(("TOKEN", "SECRET"))}
        self.http = httpx.Client(base_url=self.settings.url, timeout=20, trust_env=False)

    def __enter__(self) -> Functions:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts them and waits until all serve."""
        self.supervisor = Supervisor(self.paths)
        try:
            self.supervisor.start(stack_functions.process(self.settings, self.paths))
        except BaseException:
            self.supervisor.stop()
            raise

    def stop(self) -> None:
        """Stops them."""
        assert self.supervisor is not None
        self.supervisor.stop()
        self.http.close()
        self.assert_no_secrets()

    def pids(self, function: str) -> list[int]:
        """The copies of a function that run now."""
        path = str(BINARIES / function)
        host = self.supervisor.pid(self.settings.name) if self.supervisor else None
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    program = (entry / "cmdline").read_bytes().split(b"\0")[0].decode()
                except OSError:
                    continue
                if parent == host and program == path:
                    found.append(int(entry.name))
        return found

    # Calls

    def call(self, method: str, path: str, token: str | None = None, **options: Any) -> httpx.Response:
        """A REST call; `path` is sent exactly as it is."""
        headers = dict(options.pop("headers", {}))
        if token is not None:
            self.secrets.add(token)
            headers["Authorization"] = f"Bearer {token}"
        # As the request target, for a URL would have its dot segments removed.
        answer = self.http.request(method, "/", headers=headers, extensions={"target": path.encode("ascii")}, **options)
        if answer.status_code == 200 and path == LOGIN:
            self.secrets.add(answer.json()["token"])
        return answer

    def call_with_header(self, name: str, value: str) -> tuple[int, dict[str, str], bytes]:
        """A login with a header whose spaces go over the wire as they are: status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.port, timeout=20)
        try:
            connection.request("GET", LOGIN, headers={name: value})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def invoke(self, function: str, event: dict[str, Any]) -> dict[str, Any]:
        """An invocation with an event as API Gateway makes it; the function's whole answer."""
        answer = self.http.post(f"/2015-03-31/functions/{function}/invocations", json=event)
        answer.raise_for_status()
        return answer.json()

    def login(self, token: str) -> dict[str, Any]:
        """A login that succeeds."""
        return ok(self.call("GET", LOGIN, token)).json()

    def list(self, token: str) -> list[str]:
        """The caller's chat list."""
        return [entry["jid"] for entry in ok(self.call("GET", LIST, token)).json()]

    def put(self, token: str, jid: str) -> httpx.Response:
        """Adds `jid`, given as it shall stand in the path."""
        return self.call("PUT", f"{LIST}/{jid}", token)

    def delete(self, token: str, jid: str) -> httpx.Response:
        """Removes `jid`, given as it shall stand in the path."""
        return self.call("DELETE", f"{LIST}/{jid}", token)

    # Log

    @property
    def log_file(self) -> Path:
        return self.paths.logs / f"{self.settings.name}.log"

    def mark(self) -> int:
        """The log's length now, for `log`. A function logs before it answers."""
        return self.log_file.stat().st_size

    def log(self, since: int = 0, message: str | None = None) -> list[dict[str, Any]]:
        """The functions' log lines since a mark, without metrics; with `message` those that have it."""
        return log_lines.having(log_lines.without_metrics(log_lines.objects(self.log_file, since)), message)

    def logged(self, since: int, message: str) -> list[dict[str, Any]]:
        """The same, when there is one: a line may come later than the answer that it is about."""
        return until(lambda: self.log(since, message), f"the line {message!r}", 10)

    def metrics(self, since: int = 0) -> list[dict[str, Any]]:
        """The lines of CloudWatch's embedded metric format since a mark."""
        return log_lines.metrics(log_lines.objects(self.log_file, since))

    def assert_no_secrets(self) -> None:
        """No token that went in or out stands in the log, whole or but for its signature."""
        text = self.log_file.read_text()
        for secret in self.secrets:
            parts = [secret] + (secret.split(".")[2:] if secret.count(".") == 2 else [])
            for part in parts:
                assert len(part) < 8 or part not in text, f"a secret that begins with {part[:6]!r} was logged"


def ok(answer: httpx.Response) -> httpx.Response:
    """The answer, which must be a success and must not be cached."""
    assert answer.is_success, f"{answer.status_code} {answer.text}"
    assert answer.headers["cache-control"] == "no-store"
    return answer


def problem(answer: httpx.Response, status: int, name: str | None = None) -> dict[str, Any]:
    """The problem document of an error (RFC 9457), its form checked."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == PROBLEM
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert {"type", "title", "status", "detail", "instance"} <= body.keys(), body
    assert body["status"] == status
    assert all(isinstance(body[key], str) and body[key] for key in ("type", "title", "detail", "instance")), body
    assert re.match(r"^[a-z][a-z0-9+.-]*:", body["type"]), "the type is no absolute URI"
    if name is not None:
        assert body["type"].endswith(name), body["type"]
    return body


def run_alone(function: str, config_dir: Path, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Runs a binary that is expected to end by itself: exit code, and all it wrote."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SIPPO_", "AWS_"))}
    # Nobody listens there: a function that finds no fault ends too, but says something else.
    runtime = {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{free_port()}", "AWS_LAMBDA_FUNCTION_NAME": function,
               "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128"}
    done = subprocess.run(
        [BINARIES / function], cwd=ROOT, timeout=20, stdin=subprocess.DEVNULL, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=inherited | runtime | {"CONFIG_DIR": str(config_dir)} | (environment or {}))
    return done.returncode, done.stdout
