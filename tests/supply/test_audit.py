"""scripts/audit, with databases of the test's own: the real one is elsewhere."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ADVISORY = """```toml
[advisory]
id = "RUSTSEC-2020-0001"
package = "{package}"
date = "2020-01-01"

[versions]
patched = ["{patched}"]
```

# Made up

For a test.
"""


@pytest.fixture
def version() -> str:
    """The locked version of tokio."""
    [version] = [one["version"] for one in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"] if one["name"] == "tokio"]
    return version


def audit(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, ROOT / "scripts" / "audit", "--database", folder], capture_output=True, text=True)


def database(folder: Path, package: str, patched: str) -> Path:
    """A database with one advisory."""
    file = folder / "crates" / package / "RUSTSEC-2020-0001.md"
    file.parent.mkdir(parents=True)
    file.write_text(ADVISORY.format(package=package, patched=patched))
    return folder


def test_a_vulnerable_crate_is_named(tmp_path, version):
    done = audit(database(tmp_path, "tokio", f"> {version}"))
    assert done.returncode == 1
    assert "RUSTSEC-2020-0001" in done.stdout and f"{version}" in done.stdout, done.stdout + done.stderr


def test_a_mended_one_is_fine(tmp_path, version):
    done = audit(database(tmp_path, "tokio", f">= {version}"))
    assert (done.returncode, "RUSTSEC" in done.stdout) == (0, False), done.stdout + done.stderr


def test_what_is_no_database_is_said(tmp_path):
    done = audit(tmp_path)
    assert done.returncode == 1
    assert "has no folder crates; give a clone of" in done.stderr
