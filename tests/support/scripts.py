"""The scripts, as a developer or an operator runs them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from stack.paths import ROOT
from support.platform import Platform


def script(platform: Platform, *arguments: str, code: int | None = 0) -> str:
    """Runs a script against the tests' stack; its output. `code` is the exit status, None for any."""
    name, *rest = arguments
    done = subprocess.run([ROOT / "scripts" / name, *rest, "--state", str(platform.paths.state)], cwd=ROOT,
                          capture_output=True, text=True, timeout=60)
    assert code is None or done.returncode == code, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def stack_elsewhere(platform: Platform, folder: Path, **changes: str) -> Path:
    """The folder of a stack with other addresses."""
    lines = dict(line.partition("=")[::2] for line in platform.paths.env_file.read_text().splitlines())
    folder.mkdir()
    (folder / "stack.env").write_text("".join(f"{name}={value}\n" for name, value in (lines | changes).items()))
    return folder
