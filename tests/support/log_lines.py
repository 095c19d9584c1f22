"""Logs of the programs: a JSON object a line; some are CloudWatch's embedded metric format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def objects(log: Path, since: int = 0, *, torn: bool = False) -> list[dict[str, Any]]:
    """The JSON objects of a log since a mark. A line that is none is an error, or left out where processes are killed: `torn`."""
    found = []
    for line in log.read_bytes()[since:].decode(errors="replace" if torn else "strict").splitlines():
        if line.startswith("{"):
            try:
                found.append(json.loads(line))
            except ValueError:
                if not torn:
                    raise
    return found


def without_metrics(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The log lines proper."""
    return [line for line in lines if "_aws" not in line]


def metrics(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The others."""
    return [line for line in lines if "_aws" in line]


def having(lines: list[dict[str, Any]], message: str | None) -> list[dict[str, Any]]:
    """Those with this very message; all, if it is None."""
    return [line for line in lines if message is None or line["message"] == message]
