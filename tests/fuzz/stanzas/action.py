"""One thing that a fuzzing client does."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Action:
    """What `actor` does at `position` of a seed. It does not depend on what the server has answered before; where it
    needs something of that, it has a `%name%` (see actor.Actor.known)."""

    position: int
    area: str
    """Of the grammar."""
    actor: str
    do: str
    """stanza: the text is one message; frames: bytes past the WebSocket's framing; cut: the same, then the connection
    is lost; end: the stream is closed; login: a connection of its own; upload: a slot, PUT, GET; http: a request."""
    data: Any

    def line(self) -> str:
        """As a line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=True)

    @staticmethod
    def of(line: str) -> Action:
        """The action that `line` made this of."""
        return Action(**json.loads(line))
