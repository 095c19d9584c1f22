"""Which RabbitMQ runs: the one that is installed, or another series out of another Debian's root below target/."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from stack import debian, debian_root

VARIABLE = "SIPPO_RABBITMQ"
"""Environment variable: the series that everything started from here runs; see `program`."""
OPTION = "--rabbitmq"
"""pytest's and scripts/test's, for the same."""
OF_DEBIAN = {"bookworm": "3.10", "trixie": "4.0"}
"""The series that a Debian installs."""
RELEASES = {"4.0": "13"}
"""Where a series is for a system that has another one."""


@dataclass(frozen=True)
class Program:
    """One RabbitMQ with its Erlang."""

    version: str
    """`4.0.5`; empty: there is none."""
    root: Path | None = None
    """Of the Debian it belongs to, when that is not this system."""

    @property
    def series(self) -> str:
        """`4.0` of `4.0.5`."""
        return ".".join(self.version.split(".")[:2])

    def command(self, program: str, *arguments: str, data: Path) -> list[str]:
        """A program of its (`rabbitmq-server`, `rabbitmqctl`, `epmd`) that works below the folder `data`."""
        path = "/usr/bin/epmd" if program == "epmd" else f"/usr/lib/rabbitmq/bin/{program}"
        if self.root is None:
            return [path, *arguments]
        data.mkdir(parents=True, exist_ok=True)
        return debian_root.inside(self.root, [path, *arguments], data)


def program(series: str | None = None) -> Program:
    """The RabbitMQ of `series` (`3.10`, `4.0`); none: of the variable SIPPO_RABBITMQ, or else the system's.

    One that is not installed is fetched first. DebianError: it cannot be had here.
    """
    series = series or os.environ.get(VARIABLE)
    system = Program(_version(Path("/")))
    if not series or system.series == series:
        return system
    release = RELEASES.get(series)
    if release is None or not debian.codename():
        raise debian.DebianError(f"there is no RabbitMQ {series} here: {system.version or 'none'} is installed, and no "
                                 f"other system is known here to have it")
    root = debian_root.root(release, ("rabbitmq-server",))
    return Program(_version(root), root)


def _version(root: Path) -> str:
    found = sorted((root / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
    return found[-1].name.removeprefix("rabbitmq_server-") if found else ""


def main() -> None:
    """Fetches the series that are named; for scripts/test."""
    try:
        for series in sys.argv[1:]:
            print(program(series).version)
    except debian.DebianError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
