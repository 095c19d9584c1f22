"""scripts/test's steps, as one sees them in a terminal and in a file."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from stack.paths import ROOT
from support.terminal import in_a_terminal

STEPS = """
import sys
from stack.step_runner import Step, StepRunner
sys.exit(0 if StepRunner([
    Step("one", ("a",), "slow", ["sleep", "2"]), Step("two", ("a",), "quick", ["true"]), Step("two", ("a",), "bad", ["false"], needs=("quick",)),
]).run() else 1)
"""
RUN = [sys.executable, "-c", STEPS]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}


def test_a_terminal_shows_what_runs_and_for_how_long():
    status, written = in_a_terminal(RUN, ENVIRONMENT)
    assert status == 1
    shown = re.findall(r"\r\x1b\[K(\d of 3 steps; [^\r\n]*)", written)
    assert any(re.search(r"slow \(\d+ s\).*; all, \d+ s", line) for line in shown), written
    assert any(line.startswith("2 of 3 steps") for line in shown)
    assert "=== bad: FAILED" in written and re.search(r"passed +\d+\.\d s  slow", written)


def test_a_file_has_the_outcomes_only():
    done = subprocess.run(RUN, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "=== bad: FAILED" in done.stdout
    assert "\r" not in done.stdout and "of 3 steps" not in done.stdout
