"""scripts/run from outside: it says when it is ready, keeps itself up, and leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from stack.orphans import stack_processes
from stack.paths import ROOT, StackPaths
from support.wait import until

KEPT_UP = ("prosody", "epmd", "rabbitmq", "functions", "poller", "bridge", "console")
PROMISED = {"API_URL", "AMQP_URL", "AMQP_EXCHANGE", "XMPP_URL", "HOSTS_ADMIN_URL", "ADMIN_JID", "ADMIN_TOKEN",
            "XMPP_DOMAIN", "AWS_ENDPOINT_URL", "CONSOLE_URL", "LOG_DIR", "PID_DIR"}


def pid_of(paths: StackPaths, name: str) -> int | None:
    """What the pid file says, None while there is none."""
    file = paths.pids / f"{name}.pid"
    return int(file.read_text()) if file.exists() else None


@pytest.mark.timeout(300)
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_it_starts_keeps_up_and_leaves_nothing(folder: Path, end: signal.Signals):
    paths = StackPaths(folder / f"run-{end.name}")
    output = folder / f"run-{end.name}.txt"
    with output.open("w") as file:
        run = subprocess.Popen([ROOT / "scripts" / "run", "--no-build", "--state", paths.state], cwd=ROOT, stdout=file,
                               stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        until(lambda: "\nready\n" in output.read_text() or run.poll() is not None, "ready", 120)
        assert run.poll() is None, output.read_text()
        env = dict(line.split("=", 1) for line in paths.env_file.read_text().splitlines())
        assert PROMISED <= env.keys()
        assert env["CONSOLE_URL"].strip("'") in output.read_text(), "whoever starts it is told the console's address"
        for file in (paths.env_file, paths.functions_env_file):
            assert file.stat().st_mode & 0o077 == 0
        assert f"SIPPO_XMPP__XMPP_URL={env['XMPP_URL']}\n" in paths.functions_env_file.read_text()
        for name in KEPT_UP if end == signal.SIGTERM else ():
            pid = pid_of(paths, name)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            until(lambda: pid_of(paths, name) not in (None, pid), f"{name} to be started again", 10)
    finally:
        run.send_signal(end)
        run.wait(60)
    if end == signal.SIGTERM:
        assert run.returncode == 0, output.read_text()
        assert not paths.env_file.exists() and not paths.functions_env_file.exists(), "addresses and secrets of nothing"
        assert stack_processes(paths.state) == []
    else:
        until(lambda: stack_processes(paths.state) == [], "the end of what it had started", 20)


@pytest.mark.timeout(300)
def test_it_goes_on_when_nobody_reads_what_it_says(folder: Path):
    """As with `| head`."""
    paths = StackPaths(folder / "run-unread")
    reading, writing = os.pipe()
    run = subprocess.Popen([ROOT / "scripts" / "run", "--no-build", "--no-console", "--state", paths.state], cwd=ROOT, stdout=writing,
                           stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    os.close(writing)
    os.close(reading)
    try:
        until(lambda: paths.env_file.exists() or run.poll() is not None, "the stack", 120)
        assert "CONSOLE_URL" not in paths.env_file.read_text() and pid_of(paths, "console") is None
    finally:
        run.send_signal(signal.SIGTERM)
        said = run.communicate(timeout=60)[1]
    assert run.returncode == 0 and "Traceback" not in said and "BrokenPipe" not in said, said


@pytest.mark.parametrize("options", [[], ["--fresh"]])
def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, options: list[str]):
    (tmp_path / "thesis.txt").write_text("years of work")
    mode = tmp_path.stat().st_mode
    done = subprocess.run([ROOT / "scripts" / "run", "--no-build", "--state", tmp_path, *options], cwd=ROOT,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "--state" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"] and tmp_path.stat().st_mode == mode
