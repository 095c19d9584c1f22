"""What only tests turn on is not compiled into what is deployed."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTING = 'sippo-xmpp-core feature "testing"'
"""The ledger in memory and the conformance suite are behind it (core/Cargo.toml)."""


def features(*selected: str) -> str:
    """Which features of core are turned on, and by whom, if cargo builds the packages that `selected` means."""
    command = ["cargo", "tree", "--locked", "--edges", "normal,build,features", "--invert", "sippo-xmpp-core", *selected]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True, timeout=100).stdout


def test_the_programs_that_are_deployed_lack_what_is_for_tests():
    # Without a selection, as cargo lambda builds.
    deployed = features()
    assert "functions v" in deployed and "bridge v" in deployed, deployed
    assert TESTING not in deployed, deployed


def test_the_workspace_as_a_whole_has_it():
    assert TESTING in features("--workspace")
