"""Runs the function that template-rotation.yaml has inline, a step for each line of the input, and prints what came of each.

Run by the Python of aws-sam-cli's own environment, which has boto3 as Lambda has: `rotate.py CODE`. A line is JSON: `event` is
what Secrets Manager sends, `milliseconds` how long the invocation may take. `break_off` is after how many calls of AWS's that
change something it is broken off; with `before` before the last of them has taken effect, else behind.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CHANGES = {"PutSecretValue", "UpdateSecretVersionStage", "UpdateService"}


class BrokenOff(BaseException):
    """As when the process dies: nothing of the function's own sees it."""


class Breaker:
    """Counts the calls that change something."""

    def __init__(self) -> None:
        self.left, self.before = 0, False

    def on_call(self, model: Any, **_: Any) -> None:
        """Before a call is sent."""
        if model.name in CHANGES and self.left == 1 and self.before:
            raise BrokenOff

    def on_answer(self, model: Any, **_: Any) -> None:
        """After its answer."""
        if model.name in CHANGES and self.left:
            self.left -= 1
            if self.left == 0:
                raise BrokenOff


def main() -> None:
    """Command line."""
    function: dict[str, Any] = {}
    exec(compile(Path(sys.argv[1]).read_text(), sys.argv[1], "exec"), function)  # noqa: S102
    function["PAUSE"] = 0.01
    breaker = Breaker()
    for client in (function["store"], function["ecs"]):
        client.meta.events.register("before-call", breaker.on_call)
        client.meta.events.register("after-call", breaker.on_answer)
    for line in sys.stdin:
        given = json.loads(line)
        breaker.left, breaker.before = given.get("break_off", 0), given.get("before", False)
        left = iter(range(given.get("milliseconds", 60_000), 0, -1_000))
        context = SimpleNamespace(get_remaining_time_in_millis=lambda left=left: next(left, 0))
        try:
            function["handler"](given["event"], context)
            outcome = "done"
        except BrokenOff:
            outcome = "broken off"
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main()
