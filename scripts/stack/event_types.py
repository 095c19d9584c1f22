"""The types of broker event, as the stack's programs need to know them: read from core/src/events/event_type.rs."""

from __future__ import annotations

import re

from stack.paths import ROOT

_SOURCE = (ROOT / "core" / "src" / "events" / "event_type.rs").read_text()
_ROWS = re.findall(r'^    (\w+): \w+, "([\w.]+)", "([a-z-]+)",\s+"(.+)";$', _SOURCE, re.MULTILINE)
assert len(_ROWS) == _SOURCE.count('";\n') > 0, "core/src/events/event_type.rs has rows that are not understood; mend one of the two"
VARIANTS = {function: variant for variant, _, function, _ in _ROWS}
"""What Rust code and template.yaml's resources call a function's event type."""
ROUTING_KEYS = {function: routing_key for _, routing_key, function, _ in _ROWS}
"""Routing key by function: the name of its binary, its queue and its samples."""
EVENT_FUNCTIONS = list(ROUTING_KEYS)
RESYNC = "resync"
"""The function that repairs what the XMPP server has lost."""
CELLS = "cells"
"""The function that moves tenants between XMPP servers."""
COALESCED = {name for name in EVENT_FUNCTIONS if name.endswith(("-joined", "-left"))}
"""Functions that are given large batches, as in template.yaml: they come in crowds and one request serves many."""
