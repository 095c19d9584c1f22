"""The pinned Rust is used, under whatever name it is installed, and nothing is downloaded for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from stack import toolchain
from stack.paths import ROOT

SELECT = "from stack import toolchain; import subprocess; toolchain.select(); subprocess.run(['rustc', '--version'], check=True)"
NOWHERE = "http://127.0.0.1:9"


def select(**environment: str) -> subprocess.CompletedProcess[str]:
    """What `rustc --version` says after the choice, in a process of its own with these variables."""
    given = {key: value for key, value in os.environ.items() if not key.startswith("RUSTUP_")} | environment
    return subprocess.run([sys.executable, "-c", SELECT], cwd=ROOT / "scripts", env=given, capture_output=True, text=True, timeout=60)


def test_the_pin_is_what_cargo_asks_for():
    wanted = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    assert toolchain.PIN.startswith(f"{wanted}.")


@pytest.fixture
def rustup_home(tmp_path: Path) -> Path:
    """A home of rustup's without any toolchain."""
    if shutil.which("rustup") is None:
        pytest.skip("rustup is not here: nothing can be chosen")
    (tmp_path / "toolchains").mkdir()
    (tmp_path / "settings.toml").write_text('version = "12"\ndefault_toolchain = "stable"\n')
    return tmp_path


def host() -> str:
    told = subprocess.run(["rustc", "-vV"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return next(line.removeprefix("host: ") for line in told.splitlines() if line.startswith("host: "))


@pytest.mark.parametrize("name", ["stable", toolchain.PIN, "nightly"])
def test_it_is_found_under_any_name(rustup_home: Path, name: str):
    root = subprocess.run(["rustc", "--print", "sysroot"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    (rustup_home / "toolchains" / f"{name}-{host()}").symlink_to(root)
    done = select(RUSTUP_HOME=str(rustup_home), RUSTUP_DIST_SERVER=NOWHERE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"rustc {toolchain.PIN} ")


def test_its_absence_is_said_with_the_mend(rustup_home: Path):
    done = select(RUSTUP_HOME=str(rustup_home), RUSTUP_DIST_SERVER=NOWHERE)
    assert done.returncode != 0
    assert f"`rustup toolchain install {toolchain.PIN}`" in done.stderr


def test_so_is_that_of_cargo(tmp_path: Path):
    done = select(PATH=str(tmp_path))
    assert done.returncode != 0
    assert f"cargo is missing; install Rust {toolchain.PIN}" in done.stderr
