"""The log files of the running stack, read together."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

TAIL = 20_000_000
"""Bytes of each file that are looked into."""
TAIL_OF_ONE = 300_000
"""When the last lines of one program are wanted, whatever they say."""
HIDDEN = ("level", "message", "timestamp", "location", "service", "cold_start", "span_id", "function_request_id", "function_arn",
          "function_memory_size", "function_name", "xray_trace_id")
"""Fields that a person need not see beside a line."""
PLAIN = re.compile(r"^(\d{4}-\d\d-\d\d[T ][\d:.,]+)\S*\s+(.*)$")


@dataclass(frozen=True)
class Line:
    """One line of one program."""

    at: datetime
    source: str
    """The file's name without `.log`."""
    level: str
    message: str
    fields: dict[str, Any]
    text: str
    """All of it, as it stands in the file."""
    has_fraction: bool = True
    """Whether the time is more exact than a second; Prosody's is not."""

    @property
    def place(self) -> datetime:
        """For sorting: what has whole seconds only stands behind all of its second. What Prosody does for an event would else
        stand before the event."""
        return self.at if self.has_fraction else self.at + timedelta(milliseconds=999)

    @property
    def details(self) -> str:
        """What stands beside the message, for people."""
        return " ".join(f"{name}={value}" for name, value in self.fields.items() if name not in HIDDEN)

    def shown(self, width: int = 400) -> str:
        """The line for people."""
        text = f"{self.source:9} {self.level:7} {self.message}" + (f"  {self.details}" if self.details else "")
        return text if len(text) <= width else text[:width] + " …"


def lines(folder: Path, wanted: Callable[[str], bool]) -> list[Line]:
    """All lines whose text is `wanted`, of all programs, in the order of time."""
    found = [line for file in sorted(folder.glob("*.log")) for line in _lines(file, wanted)]
    return sorted(found, key=lambda line: line.place)


def tail(folder: Path, source: str, count: int) -> list[Line]:
    """The last lines of one program."""
    file = folder / f"{source}.log"
    return list(_lines(file, lambda _: True, TAIL_OF_ONE))[-count:] if file.exists() else []


def _lines(file: Path, wanted: Callable[[str], bool], most: int = TAIL) -> Iterator[Line]:
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - most))
        for text in log.read().decode(errors="replace").splitlines():
            if wanted(text) and '"_aws"' not in text and (line := parse(file.stem, text)) is not None:
                yield line


def parse(source: str, text: str) -> Line | None:
    """A line of the program whose file has this name; None when it is torn, or not one of ours."""
    if text.startswith("{"):
        try:
            fields = json.loads(text)
            return Line(datetime.fromisoformat(fields["timestamp"]), source, fields["level"], fields["message"], fields, text)
        except (ValueError, KeyError):
            return None  # torn by a kill, or another program's
    match = PLAIN.match(text)
    if match is None:
        return None
    try:
        at = datetime.fromisoformat(match[1].replace(",", ".")).astimezone(UTC)
    except ValueError:
        return None
    level = next((word for word in ("error", "warn", "info", "debug") if re.search(rf"\b{word}\b", match[2])), "")
    message = re.sub(rf"\s+{level}\s+", ": ", match[2], count=1) if level else match[2]
    return Line(at, source, level, " ".join(message.split()), {}, text, "." in match[1] or "," in match[1])


def naming(*names: str) -> Callable[[str], bool]:
    """Whether a text has one of these names in it, and not only as a part of another one."""
    pattern = re.compile("|".join(rf"(?<![\w.@\\-]){re.escape(name)}(?![\w.@\\-])" for name in names))
    return lambda text: pattern.search(text) is not None
