"""scripts/fuzz, as far as it can be told in seconds."""

from __future__ import annotations

import re
import subprocess

from fuzz import guided
from stack.paths import ROOT


def test_an_unknown_target_is_told_with_the_known_ones():
    done = subprocess.run([ROOT / "scripts" / "fuzz", "rust", "1", "--targets", "address,nonsense"], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"there is no target nonsense; there are {', '.join(guided.known())}" in done.stderr


def test_the_targets_are_those_that_cargo_test_runs():
    minute = (ROOT / "tests" / "fuzz" / "tests" / "minute.rs").read_text()
    assert re.search(r"^each! \{([^}]*)\}", minute, re.MULTILINE)[1].split() == guided.known()
