"""What the tests take from npm, pinned in tests/clients."""

from __future__ import annotations

import shutil
import subprocess

from stack.paths import ROOT

PINNED = ROOT / "tests" / "clients"
FOLDER = ROOT / "target" / "clients"
"""Where they are installed."""
PINS = ("package.json", "package-lock.json")
TIMEOUT = 300


class NodeError(Exception):
    """They cannot be had; the message says why, and what to do."""


def install() -> None:
    """The packages, as pinned; nothing of theirs is run meanwhile."""
    stamp, wanted = FOLDER / "installed", "".join((PINNED / name).read_text() for name in PINS)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in PINS:
        shutil.copy(PINNED / name, FOLDER)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=TIMEOUT)
    except FileNotFoundError as error:
        raise NodeError("npm is missing; install Debian's package npm") from error
    if done.returncode != 0:
        raise NodeError(f"npm could not install the libraries; see that Node and npm work:\n{done.stderr.strip()[-2000:]}")
    stamp.write_text(wanted)


def text(path: str) -> str:
    """A file of a package."""
    install()
    return (FOLDER / "node_modules" / path).read_text()
