"""The running stack, as the scripts beside it see it: its addresses, and the programs that use them."""

from __future__ import annotations

import shlex
import sys
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from stack.paths import StackPaths

if TYPE_CHECKING:
    from stack.dead_letters import Queues


def settings(state: Path, program: str) -> dict[str, str]:
    """The lines of stack.env; ends the program when no stack runs."""
    file = StackPaths(state.resolve()).env_file
    if not file.exists():
        sys.exit(f"{program}: the local stack does not run; start it with scripts/run")
    return dict((key, shlex.split(value)[0] if value else "") for key, _, value in
                (line.partition("=") for line in file.read_text().splitlines()))


def port_of(url: str) -> int:
    """The port in an URL of the stack's."""
    return urllib.parse.urlsplit(url).port or 0


def queues(env: dict[str, str]) -> Queues:
    """The functions' queues."""
    from stack.dead_letters import Queues  # with the project's Python only
    return Queues(port_of(env["AWS_ENDPOINT_URL"]), env["QUEUE_URL_PREFIX"])
