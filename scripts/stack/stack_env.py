"""The running stack, as the scripts beside it see it: its addresses, and the programs that use them."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from stack.paths import StackPaths


def settings(state: Path, program: str) -> dict[str, str]:
    """The lines of stack.env; ends the program when no stack runs."""
    file = StackPaths(state.resolve()).env_file
    if not file.exists():
        sys.exit(f"{program}: the local stack does not run; start it with scripts/run")
    return dict((key, shlex.split(value)[0] if value else "") for key, _, value in
                (line.partition("=") for line in file.read_text().splitlines()))


def port_of(url: str) -> int:
    """The port in an URL of the stack's."""
    import urllib.parse
    return urllib.parse.urlsplit(url).port or 0
