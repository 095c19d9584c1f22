"""Installs the peers that scripts/bench measures beside, as pinned here."""

from __future__ import annotations

import subprocess
from pathlib import Path

from stack import bootstrap
from stack.paths import ROOT

HERE = Path(__file__).resolve().parent
NODE_FOLDER = ROOT / "target" / "peers"
VENV = ROOT / "target" / "venv-peers"
HELLO = HERE / "hello"
"""The least that a function on Node can be: a package of its own, for its client of the Runtime API takes minutes to build."""
HELLO_FOLDER = ROOT / "target" / "peers-hello"


class PeerError(Exception):
    """A peer cannot be installed; the message says why."""


def install_node(source: Path = HERE, folder: Path = NODE_FOLDER, *, only_if_there: bool = False) -> None:
    """The peers on Node, as pinned in `source`; what takes minutes `only_if_there`."""
    wanted = (source / "package-lock.json").read_text()
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        if only_if_there:
            raise PeerError("its packages take minutes to build; scripts/bench functions installs them")
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            (folder / name).write_text((source / name).read_text())
        try:
            done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--fetch-retries", "1", "--fetch-retry-mintimeout", "1000"], cwd=folder, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise PeerError("npm is missing; install Debian's package npm") from error
        if done.returncode != 0:
            raise PeerError(f"npm could not install the peers; see that Node 20 and npm work:\n{done.stderr.strip()[-2000:]}")
        stamp.write_text(wanted)
    # Where Node looks for a script's packages.
    for script in source.glob("*.mjs"):
        (folder / script.name).write_text(script.read_text())


def install_python() -> None:
    """The peer on Python."""
    bootstrap.python_environment(VENV, HERE / "requirements.txt")
