"""Which versions of the servers are known to work: the table in README.md, and what is found here.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import re

from stack import prosody_program, rabbitmq_program
from stack.paths import ROOT

README = ROOT / "README.md"
HEADING = "## Known to work"


def known(name: str) -> list[str]:
    """The series of `name` (`Prosody`: `0.12`, `13.0`) that the table has, the oldest first."""
    section = README.read_text().partition(f"\n{HEADING}\n")[2].partition("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == name:
            return re.findall(r"[0-9][0-9a-z.~]*[0-9]|[0-9]", cells[1])
    raise ValueError(f"{README.name} has no row {name} below {HEADING!r}")


def complaint(name: str, found: str) -> str | None:
    """A line to say when `found` is not among the versions known to work; nothing if it is, or if there is none."""
    series = known(name)
    if not found or any(found == one or found.startswith((f"{one}.", f"{one}-")) for one in series):
        return None
    return f"{name} {found} is not known to work here; versions known to work: {', '.join(series)} (README.md)"


def complaints() -> list[str]:
    """One line for each server that a stack would start in a version not known to work."""
    prosody, rabbitmq = prosody_program.program(), rabbitmq_program.program()
    found = {"Prosody": prosody.version, "prosody-modules": prosody.modules_version, "RabbitMQ": rabbitmq.version}
    return [line for name, version in found.items() if (line := complaint(name, version))]
