"""Which Prosody runs: the one that is installed, or another series, unpacked below target/ and kept there."""

from __future__ import annotations

import gzip
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from stack import debian
from stack.paths import ROOT

VARIABLE = "SIPPO_PROSODY"
"""Environment variable: the series that everything started from here runs; see `program`."""
OPTION = "--prosody"
"""pytest's and scripts/test's, for the same."""
OF_DEBIAN = {"bookworm": "0.12", "trixie": "13.0"}
"""The series that a Debian installs."""
BACKPORTS = {("bookworm", "13.0"): "bookworm-backports"}
"""Where a series is for a Debian that has another one."""


@dataclass(frozen=True)
class Program:
    """One Prosody with its prosody-modules. It uses the system's Lua, and Lua's modules in C."""

    executable: Path
    library: Path
    """Its own Lua modules (`util/jid.lua`), for LUA_PATH and LUA_CPATH."""
    version: str
    """As it says itself: `13.0.1`."""

    @property
    def plugins(self) -> Path:
        """Its modules (`mod_ping.lua`) and Debian's prosody-modules."""
        return self.library / "modules"

    @property
    def modules_version(self) -> str:
        """Of Debian's prosody-modules: `0.0~hg20230223`; empty where the package has no changelog, or is not there."""
        changelog = self.library.parents[1] / "share/doc/prosody-modules/changelog.Debian.gz"
        if not changelog.exists():
            return ""
        with gzip.open(changelog, "rt") as file:
            version = re.match(r"\S+ \(([0-9.]+~hg[0-9]+)", file.readline())
        return version[1] if version else ""

    @property
    def series(self) -> str:
        """`13.0` of `13.0.1`."""
        return series_of(self.version)


def series_of(version: str) -> str:
    """`13.0` of `13.0.1`: what differs in the last number only is taken for the same."""
    return ".".join(version.split(".")[:2])


def can_be_had(series: str) -> bool:
    """Whether `program` would have it without a word: it is installed or will be, or is in this Debian's backports."""
    return series == OF_DEBIAN.get(debian.codename(), installed().series) or (debian.codename(), series) in BACKPORTS


def installed() -> Program:
    """The system's."""
    library = Path("/usr/lib/prosody")
    return Program(Path("/usr/bin/prosody"), library, _version(library))


def program(series: str | None = None) -> Program:
    """The Prosody of `series` (`0.12`, `13.0`); none: of the variable SIPPO_PROSODY, or else the system's.

    One that is not installed is fetched first. DebianError: it cannot be had here.
    """
    series = series or os.environ.get(VARIABLE)
    system = installed()
    if not series or system.series == series:
        return system
    suite = BACKPORTS.get((debian.codename(), series))
    if suite is None:
        raise debian.DebianError(f"there is no Prosody {series} here: {system.version or 'none'} is installed, and this "
                                 f"system's archives are not known to have another one")
    folder = ROOT / "target" / f"prosody-{series}"
    debian.unpack(["prosody", "prosody-modules"], suite, folder)
    library = folder / "usr" / "lib" / "prosody"
    return Program(_moved(folder), library, _version(library))


def _moved(folder: Path) -> Path:
    """The program of an unpacked package, told where it lies now."""
    text = (folder / "usr" / "bin" / "prosody").read_text()
    executable = folder / "prosody"
    draft = folder / f".prosody.{os.getpid()}"
    draft.write_text(text.replace("='/usr/lib/prosody", f"='{folder}/usr/lib/prosody")
                     .replace("='/etc/prosody", f"='{folder}/etc/prosody"))
    draft.chmod(0o755)
    draft.replace(executable)
    return executable


def _version(library: Path) -> str:
    file = library / "prosody.version"
    return file.read_text().strip() if file.exists() else ""


def main() -> None:
    """Fetches the series that are named; for scripts/test."""
    try:
        for series in sys.argv[1:]:
            print(program(series).executable)
    except debian.DebianError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
