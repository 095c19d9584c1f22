"""An event's way through the logs that are there."""

from __future__ import annotations

from pathlib import Path

from stack import logs
from stack.logs import Line

LONG = 16
"""Characters of an id that occurs nowhere by chance."""
LINKS = ("event.id", "trace_id")
"""Fields by which one line leads to others."""


def is_named(text: str, known: set[str]) -> bool:
    """Whether a line has one of the ids in it: short ones as a whole word."""
    return any(id in text and (len(id) >= LONG or logs.naming(id)(text)) for id in known)


def way(folder: Path, id: str) -> list[Line]:
    """The lines that have the id of an event or a trace, or one that such a line has."""
    known: set[str] = set()
    new = {id}
    found: list[Line] = []
    while new:
        known |= new
        # A trace's id is within Prosody's ids of stanzas.
        found = logs.lines(folder, lambda text: is_named(text, known))
        new = {str(line.fields[name]) for line in found for name in LINKS
               if line.fields.get(name) and not known.isdisjoint(str(line.fields.get(one)) for one in LINKS)} - known
    return found
