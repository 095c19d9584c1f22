"""scripts/status: a process is up when it answers, not when it is there."""

from __future__ import annotations

import os
import signal

import pytest

from stack.probes import PROCESSES, trouble
from stack.stack_env import settings
from support.platform import Platform
from support.scripts import script
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
