"""What is published to the broker: files of events/, changed and copied."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from stack.event_types import ROUTING_KEYS


class PublishError(Exception):
    """It cannot be published like this; the message says what to do."""


def contents(text: str) -> list[tuple[str | None, Any, str]]:
    """What to publish, each with its routing key if the file tells, as JSON and as text: the events in an SQS event, or the
    file itself. What is no JSON is published as it is: it, too, must end somewhere."""
    try:
        content = json.loads(text)
    except ValueError:
        return [(None, None, text)]
    if not isinstance(content, dict) or not isinstance(content.get("Records"), list):
        return [(None, content, text)]
    stamped = [json.loads(record["body"]) for record in content["Records"]]
    return [(one["routingKey"], one["event"], json.dumps(one["event"], ensure_ascii=False)) for one in stamped]


def routing_key(event: object, file_name: str) -> str | None:
    """The event's type, or what the file's name says."""
    if isinstance(event, dict) and "specversion" in event and isinstance(event.get("type"), str):
        return event["type"]
    return ROUTING_KEYS.get(file_name.split(".")[0])


def change(event: Any, changes: Sequence[str]) -> None:
    """Sets fields of the payload; dots lead into objects, values are JSON or else text."""
    for one in changes:
        path, equals, text = one.partition("=")
        target = event["data"] if isinstance(event, dict) and "specversion" in event else event
        *parents, last = path.split(".")
        for name in parents:
            target = target.setdefault(name, {}) if isinstance(target, dict) else None
        if not equals or not isinstance(target, dict):
            raise PublishError(f"--set {one} does not fit the event; write it as in --set domain=another.test")
        try:
            target[last] = json.loads(text)
        except ValueError:
            target[last] = text


def copies(text: str, file_name: str = "", *, count: int = 1, key: str | None = None, id: str | None = None,
           changes: Sequence[str] = ()) -> Iterator[tuple[str, str, str]]:
    """All that is to be published: routing key, body and id of each. `{n}` in a change is the number of the copy."""
    for number in range(1, count + 1):
        for told, event, body in contents(text):
            own = id or str(uuid.uuid4())
            used = key or told or routing_key(event, file_name)
            if used is None:
                raise PublishError(f"neither {file_name or 'the event'} nor its name tells the type of event; add --routing-key")
            if isinstance(event, dict):
                change(event, [one.replace("{n}", str(number)) for one in changes])
                if "specversion" in event:
                    event["id"] = own
                body = json.dumps(event, ensure_ascii=False)
            yield used, body, own
