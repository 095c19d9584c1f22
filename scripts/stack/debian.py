"""Packages of Debian's that are only unpacked, below target/: the system stays as it is.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class DebianError(Exception):
    """A package cannot be had; the message says why and what to do."""


def codename() -> str:
    """The release that runs here, such as bookworm; empty elsewhere than on Debian."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return ""
    return release.get("VERSION_CODENAME", "") if release.get("ID") == "debian" else ""


def mirror() -> str:
    """The archive that this system's apt is set up for."""
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(REPO_URI)", "Created-By: Packages"]
    for line in run(command).splitlines():
        origin, name, uri = line.split(" ", 2)
        if origin == "Debian" and name == codename():
            return uri
    # Before the first `apt-get update` it does not know whose an archive is.
    for line in run([*command[:3], "$(RELEASE) $(REPO_URI)", *command[4:]]).splitlines():
        name, uri = line.split(" ", 1)
        if name == codename():
            return uri
    raise DebianError("apt has no archive of this Debian's; add one to its sources")


def unpack(packages: list[str], suite: str, folder: Path) -> None:
    """Fetches packages of `suite` and unpacks them into `folder`, unless that is done; kept for the next time."""
    stamp = folder / "unpacked"
    wanted = f"{suite} {' '.join(packages)}\n"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another script may be at it
        if stamp.exists() and stamp.read_text() == wanted:
            return
        shutil.rmtree(folder, ignore_errors=True)
        apt = folder / "apt"
        (apt / "lists" / "partial").mkdir(parents=True)
        (apt / "cache" / "archives" / "partial").mkdir(parents=True)
        sources = apt / "sources.list"
        sources.write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
        options = [f"--option={option}" for option in (
            f"Dir::Etc::SourceList={sources}", "Dir::Etc::SourceParts=/dev/null", f"Dir::State::Lists={apt}/lists",
            f"Dir::Cache={apt}/cache", f"APT::Sandbox::User={_user()}")]
        run(["apt-get", *options, "--quiet", "update"], apt)
        run(["apt-get", *options, "--quiet", "download", *(f"{name}/{suite}" for name in packages)], apt)
        for package in apt.glob("*.deb"):
            run(["dpkg-deb", "--extract", str(package), str(folder)])
        shutil.rmtree(apt)
        stamp.write_text(wanted)


def _user() -> str:
    # apt would let another user write what is below this one's folders.
    return "root" if os.geteuid() == 0 else ""


def run(command: list[str], folder: Path | None = None, env: dict[str, str] | None = None) -> str:
    """What a command writes; DebianError with its complaints if it fails."""
    try:
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise DebianError(f"{command[0]} is missing: this is no Debian") from error
    if done.returncode != 0:
        raise DebianError(f"{' '.join(command)} failed; mend it and start again:\n{(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout
