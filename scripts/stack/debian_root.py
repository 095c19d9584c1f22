"""A whole other Debian in a folder below target/, made by debootstrap and kept: for what only that release has.

Needs root: what runs in it is started through chroot, in a mount namespace of its own. Standard library only.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from stack import debian
from stack.paths import ROOT

SUITES = {"13": "trixie"}
"""Debian's releases by number."""
PREPARE = """set -e
root=$1; shift
while [ "$1" != -- ]; do mkdir -p "$root$1"; mount --rbind "$1" "$root$1"; shift; done; shift
mount -t proc proc "$root/proc"
exec /usr/sbin/chroot "$root" "$@"
"""
"""Shell: shows folders at the same paths inside, and becomes the command there."""


def inside(root: Path, command: list[str], *visible: Path) -> list[str]:
    """`command` as one for here that runs inside `root`; it sees the folders `visible` where they are here."""
    folders = [str(folder.resolve()) for folder in visible]
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", PREPARE, "sh", str(root), *folders, "--", *command]


def bare(release: str) -> Path:
    """A root of a release with nothing in it but what every Debian has, for others to lay something over."""
    return root(release, (), ROOT / "target" / f"debian-{release}-bare")


def root(release: str, packages: tuple[str, ...], folder: Path | None = None) -> Path:
    """The root of a release with `packages`; made and completed when first asked for. DebianError: it cannot be."""
    if os.geteuid() != 0:
        raise debian.DebianError(f"only root can run what is Debian {release}'s: chroot and mount need it")
    folder = folder or ROOT / "target" / f"debian-{release}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another script may be at it
        stamp = folder / "made"
        if not stamp.exists():
            _make(folder, SUITES[release])
            stamp.write_text("")
        missing = [name for name in packages if not (folder / "var/lib/dpkg/info" / f"{name}.list").exists()
                   and not list((folder / "var/lib/dpkg/info").glob(f"{name}:*.list"))]
        if missing:
            install = "apt-get -q update && exec apt-get -q --yes --no-install-recommends install \"$@\""
            # In runlevel 1 Debian's packages start no service.
            environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive",
                           "RUNLEVEL": "1"}
            debian.run(inside(folder, ["sh", "-c", install, "sh", *missing]), env=environment)
    return folder


def _make(folder: Path, suite: str) -> None:
    print(f"making a Debian root ({suite}) in {folder.relative_to(ROOT)}", file=sys.stderr, flush=True)
    tool = ROOT / "target" / "debootstrap"
    debian.unpack(["debootstrap"], f"{debian.codename()}", tool)
    shutil.rmtree(folder, ignore_errors=True)
    # In a mount namespace of its own: what it mounts, and leaves mounted when it is broken off, ends with it. Else whoever
    # removes the folder would go through /proc.
    debian.run(["unshare", "--mount", "--propagation", "private", str(tool / "usr/sbin/debootstrap"), "--variant=minbase",
                f"--keyring={debian.KEYRING}", suite, str(folder), debian.mirror()],
               env={**os.environ, "DEBOOTSTRAP_DIR": str(tool / "usr/share/debootstrap")})
    for file in ("resolv.conf", "hosts"):
        if Path("/etc", file).exists():
            shutil.copy(Path("/etc", file), folder / "etc" / file)


def main() -> None:
    """Runs a command in a root, in this folder, with this repository and the folders of --see visible."""
    import argparse
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("release", choices=SUITES)
    parser.add_argument("--packages", nargs="*", default=[], metavar="NAME", help="that the root has to have")
    parser.add_argument("--see", nargs="*", type=Path, default=[], metavar="FOLDER", help="further folders to be seen inside")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="after --")
    options = parser.parse_args()
    try:
        where = root(options.release, tuple(options.packages))
    except debian.DebianError as error:
        sys.exit(str(error))
    if options.command:
        command = ["sh", "-c", "cd \"$0\" && exec \"$@\"", str(ROOT), *options.command]
        sys.exit(subprocess.run(inside(where, command, ROOT, *options.see)).returncode)


if __name__ == "__main__":
    main()
