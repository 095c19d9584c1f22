"""scripts/status: a process is up when it answers, not when it is there."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from stack import http_probe
from stack.paths import BINARIES, ROOT
from stack.ports import free_port
from stack.probes import PROCESSES, trouble
from stack.stack_env import settings
from support.platform import Platform
from support.scripts import script, stack_elsewhere
from support.wait import until


def lines(platform: Platform) -> dict[str, str]:
    """What is said of each process."""
    output = script(platform, "status", code=None).partition("\n\n")[0]
    return {line[:34].strip(): line[34:].strip() for line in output.splitlines()}


def test_all_are_up(platform: Platform):
    assert {name: state for name, state in lines(platform).items() if name in PROCESSES} == dict.fromkeys(PROCESSES, "up")


@pytest.mark.parametrize("name", PROCESSES)
def test_one_that_is_stopped_is_not_up(platform: Platform, name: str):
    pid = int((platform.paths.pids / f"{name}.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        assert lines(platform)[name] == f"STOPPED: kill -CONT {pid} has it go on"
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: lines(platform)[name] == "up", f"{name} to be up again")


@pytest.mark.parametrize(("state", "said"), [
    ("standby", "up"), ("active", "up"),
    ("connecting", r"NOT CONNECTED to the message broker: .*/bridge\.log says why"),
    ("blocked", r"BLOCKED: the message broker takes no messages, see its alarms in .*/rabbitmq\.log; dead letters wait"),
    ("disabled", r"DISABLED: wac\.ini has no section \[xmpp\]"), ("stopping", "STOPPING"), (None, "DOES NOT ANSWER: .*"),
])
def test_a_bridge_is_what_it_says_of_itself(platform: Platform, state: str | None, said: str, monkeypatch: pytest.MonkeyPatch):
    health = (200, json.dumps({"state": state}) if state else "no JSON")
    monkeypatch.setattr("stack.bridge.health", lambda _: health)
    found = trouble(settings(platform.paths.state, "test"), platform.paths)["bridge"] or "up"
    assert re.fullmatch(said, found), found


def test_a_bridge_without_its_broker_is_not_up(platform: Platform, tmp_path: Path):
    """It answers, and does nothing."""
    port, nobody = free_port(), free_port()
    changes = {"SIPPO_BROKER__URL": f"amqp://127.0.0.1:{nobody}", "SIPPO_BRIDGE__LISTEN": f"127.0.0.1:{port}"}
    state = stack_elsewhere(platform, tmp_path / "state", BRIDGE_HEALTH_URL=f"http://127.0.0.1:{port}/health")
    (state / "pids").symlink_to(platform.paths.pids)
    with (tmp_path / "bridge.log").open("w") as log, subprocess.Popen(
            [BINARIES / "bridge"], env=os.environ | platform.stack.bridge.environment | changes, stdout=log, stderr=log) as bridge:
        try:
            until(lambda: http_probe.status(port, "/health"), "the bridge to answer")
            done = subprocess.run([ROOT / "scripts" / "status", "--state", state], capture_output=True, text=True, timeout=60)
        finally:
            bridge.terminate()
    [line] = [line for line in done.stdout.splitlines() if line.startswith("bridge  ") and "{" not in line]
    assert line.split(maxsplit=1)[1].startswith("NOT CONNECTED to the message broker: "), done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize("name", PROCESSES)
def test_each_is_asked_something(platform: Platform, name: str, monkeypatch: pytest.MonkeyPatch):
    """One that hangs, for whatever reason, does not answer."""
    monkeypatch.setattr("stack.probes._state", lambda _: "S")
    env = settings(platform.paths.state, "test")
    pid = int((platform.paths.pids / f"{name}.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: (trouble(env, platform.paths)[name] or "").startswith("DOES NOT ANSWER"), f"{name} not to answer")
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: trouble(env, platform.paths)[name] is None, f"{name} to answer again")
