"""The names that the code gives: event types with their functions, binaries, configuration keys."""

from __future__ import annotations

import re

from stack.event_types import VARIANTS
from stack.paths import ROOT


def event_types() -> dict[str, str]:
    """Function by event type."""
    return {variant: function for function, variant in VARIANTS.items()}


def binaries() -> set[str]:
    """What functions/src/bin holds."""
    return {path.stem for path in (ROOT / "functions/src/bin").glob("*.rs")}


def variables() -> set[str]:
    """The environment variables of all configuration keys (core/src/config/keys.rs)."""
    source = (ROOT / "core/src/config/keys.rs").read_text()
    pairs = re.findall(r'key\("(\w+)", "(\w+)", Kind::', source)
    assert len(pairs) > 20
    return {f"SIPPO_{section.upper()}__" + re.sub(r"([A-Z])", r"_\1", name).upper() for section, name in pairs}
