"""The supervisor, where the machine fails it."""

import os

import pytest

from stack.paths import StackPaths
from stack.process import Process
from stack.supervisor import StackError, Supervisor


def test_a_process_that_cannot_be_started_ends_no_other(paths: StackPaths, supervisor: Supervisor, said: list[str]):
    supervisor.start(Process("good", ["/usr/bin/sleep", "600"], ready=lambda: True))
    pid = supervisor.pid("good")
    (paths.logs / "full").write_text("no folder")
    with pytest.raises(StackError, match="bad was not ready"):
        supervisor.start(Process("bad", ["/usr/bin/sleep", "600"], ready=lambda: True, log="full/bad.log"), timeout=0.5)
    assert [line for line in said if line.startswith("bad cannot be started")]
    assert supervisor.pid("good") == pid
    os.kill(pid, 0)


def test_nothing_is_started_while_all_is_stopped(supervisor: Supervisor):
    supervisor.stop()
    with pytest.raises(StackError, match="being stopped"):
        supervisor.start(Process("late", ["/usr/bin/sleep", "600"], ready=lambda: True))
