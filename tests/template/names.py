"""The names that the code gives: event types with their functions, binaries, configuration keys."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def event_types() -> dict[str, str]:
    """Function by event type, as core/src/events/event_type.rs has them."""
    source = (ROOT / "core/src/events/event_type.rs").read_text()
    rows = re.findall(r'Self::(\w+) => \{?\s*Names\(\s*"[\w.]+",\s*"([a-z-]+)",', source)
    assert len(rows) == source.count(" => {\n                Names(") + source.count("=> Names("), rows
    return dict(rows)


def binaries() -> set[str]:
    """What functions/src/bin holds."""
    return {path.stem for path in (ROOT / "functions/src/bin").glob("*.rs")}


def variables() -> set[str]:
    """The environment variables of all configuration keys (core/src/config/keys.rs)."""
    source = (ROOT / "core/src/config/keys.rs").read_text()
    pairs = re.findall(r'key\("(\w+)", "(\w+)", Kind::', source)
    assert len(pairs) > 20
    return {f"SIPPO_{section.upper()}__" + re.sub(r"([A-Z])", r"_\1", name).upper() for section, name in pairs}
