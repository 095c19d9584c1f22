"""Each script with each of its servers away: one line that says what does not answer, and what to do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from stack.paths import ROOT
from stack.ports import free_port
from support.platform import Platform
from support.scripts import script, stack_elsewhere
from support.wait import until

ROOM, USER = "team-7@conference.example.test", "alice@example.test"
ADDRESSES = {
    "rabbitmq": ("AMQP_URL",),
    "queue": ("AWS_ENDPOINT_URL", "QUEUE_URL_PREFIX"),
    "prosody": ("XMPP_URL", "HOSTS_ADMIN_URL"),
    "functions": ("API_URL", "INVOKE_PORT"),
}
"""The variables of stack.env that lead to a server."""
NAMES = {
    "rabbitmq": "the message broker", "queue": "SQS", "prosody": "the XMPP server('s hosts API)?", "functions": "the (functions|API)",
}
"""What a script calls it."""
COMMANDS = {
    "redrive --list": ("rabbitmq", "queue"),
    "redrive --show 1": ("rabbitmq", "queue"),
    "redrive --all": ("rabbitmq", "queue"),
    "redrive users-group-created --delete": ("rabbitmq", "queue"),
    f"room {ROOM}": ("prosody",),
    f"why user {USER}": ("rabbitmq", "queue", "prosody"),
    f"why room {ROOM}": ("rabbitmq", "queue", "prosody"),
    "publish events/domain-created.bare.json": ("rabbitmq",),
    "invoke login": ("functions",),
    "invoke resync": ("functions",),
    "smoke": ("rabbitmq", "queue", "functions"),
    "trace 4bf92f3577b34da6a3ce929d0e0e4736": (),
    f"token {USER}": (),
}
SAYS_ELSEWHERE = "scripts/status"


def away(platform: Platform, folder: Path, *servers: str) -> Path:
    """The folder of a stack some of whose servers nobody finds."""
    env = {name: value for name, _, value in (line.partition("=") for line in platform.paths.env_file.read_text().splitlines())}
    port = str(free_port())
    changes = {name: re.sub(r"(?<=127\.0\.0\.1:)\d+", port, env[name]) if ":" in env[name] else port for server in servers for name in ADDRESSES[server]}
    state = stack_elsewhere(platform, folder / "state", **changes)
    (state / "issuer").symlink_to(platform.paths.issuer)
    return state


def run(command: str, state: Path) -> subprocess.CompletedProcess[str]:
    name, *arguments = command.split()
    return subprocess.run([ROOT / "scripts" / name, *arguments, "--state", state], cwd=ROOT, capture_output=True, text=True, timeout=120)


def assert_told(said: str, server: str) -> None:
    """In words, and nothing of a library's."""
    for foreign in ("Traceback", "Errno", "os error", "Error(", "cargo", "Was this behavior"):
        assert foreign not in said, said
    lines = [line for line in said.splitlines() if "Connection refused" in line]
    assert lines, said
    for line in lines:
        assert re.search(rf"\b{NAMES[server]} do(es)? not answer[^(]*\(Connection refused\); (see|look into) ", line.replace(" and the ledger (process queue)", "")), line
        assert SAYS_ELSEWHERE in line, line


@pytest.mark.parametrize(("command", "server"), [(command, server) for command, servers in COMMANDS.items() for server in servers])
def test_a_server_that_is_away_is_named_with_what_to_do(platform: Platform, tmp_path: Path, command: str, server: str):
    done = run(command, away(platform, tmp_path, server))
    assert done.returncode == 1, done
    assert_told(done.stdout + done.stderr, server)
    if not command.startswith("why"):
        [line] = done.stderr.splitlines()
        assert line.startswith(f"{command.split()[0]}: "), line
    if (command, server) == ("smoke", "queue"):  # it had an event become a dead letter, and could not take it back
        platform.queues.delete(platform.wait_dead("users-group-deleted", ""))


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "smoke"])
def test_what_is_not_needed_is_not_missed(platform: Platform, tmp_path: Path, command: str):
    done = run(command, away(platform, tmp_path, *(server for server in ADDRESSES if server not in COMMANDS[command])))
    assert "Connection refused" not in done.stdout + done.stderr, done


@pytest.mark.parametrize("server", ADDRESSES)
def test_status_says_where_to_look(platform: Platform, tmp_path: Path, server: str):
    done = run("status", away(platform, tmp_path, server))
    assert done.returncode == 1 and SAYS_ELSEWHERE not in done.stdout, "it would be itself"
    lines = [line for line in done.stdout.splitlines() if "Connection refused" in line]
    assert len(lines) == (server in ("rabbitmq", "queue")), done.stdout
    assert all(re.search(rf"does not answer|do not answer.*; look into .*/{server}\.log$", line) for line in lines), lines


def test_smoke_without_the_xmpp_server(platform: Platform):
    """It learns that server's address from the API."""
    process = platform.supervisor._children["prosody"].process
    platform.supervisor.stop_one("prosody")
    try:
        done = run("smoke", platform.paths.state)
    finally:
        platform.supervisor.start(process)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("smoke: login: ")
    assert_told(line, "prosody")
    until(lambda: "up" in script(platform, "status", code=None).splitlines()[0], "the XMPP server to be back")


@pytest.mark.parametrize(("arguments", "said"), [
    (["login", "--data-file", "events/users-group-created.json"], r"invoke: login failed: failed to deserialize .*; see its lines in .*/functions\.log"),
    (["users-group-created", "--data-file", "events/login.json"], r"invoke: users-group-created failed: .*missing field `Records`.*"),
    (["nosuch", "--data-file", "events/login.json"], r"invoke: there is no function nosuch; there are: login, .*\bresync, cells"),
    (["nosuch"], r"invoke: .*/events/nosuch\.json cannot be read \(No such file or directory\); name a function .*"),
    (["login", "--data-file", "README.md"], r"invoke: README\.md is no JSON .*; see events/login\.json .*"),
])
def test_invoke_says_in_a_line_why_there_is_no_answer(platform: Platform, arguments: list[str], said: str):
    done = run(" ".join(["invoke", *arguments]), platform.paths.state)
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(said + "\n", done.stderr), done.stderr


@pytest.mark.parametrize(("arguments", "answer"), [
    (["login"], r'\{"statusCode":200,.*'), (["users-group-created"], r'\{"batchItemFailures":\[\]\}'), (["resync"], r'\{"domains":.*'),
])
def test_invoke_prints_the_answer(platform: Platform, arguments: list[str], answer: str):
    assert re.fullmatch(answer + "\n", script(platform, "invoke", *arguments))
