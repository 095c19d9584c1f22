"""What is published to the broker: files of events/, changed and copied."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from stack.event_types import ROUTING_KEYS


class PublishError(Exception):
    """It cannot be published like this; the message says what to do."""


def contents(file: bytes) -> list[tuple[str | None, Any, bytes]]:
    """What to publish, each with its routing key if the file tells, as JSON and as bytes: the events in an SQS event, or the
    file itself. What is no JSON, or nested too deep, is published as it is: it, too, must end somewhere."""
    try:
        content = json.loads(file.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return [(None, None, file)]
    if not isinstance(content, dict) or not isinstance(content.get("Records"), list):
        return [(None, content, file)]
    stamped = [json.loads(record["body"]) for record in content["Records"]]
    return [(one["routingKey"], one["event"], encoded(one["event"])) for one in stamped]


def encoded(event: object) -> bytes:
    """An event as a body; with escapes only where it has halves of surrogate pairs, which UTF-8 cannot say."""
    try:
        return json.dumps(event, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(event).encode()


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


def copies(file: bytes, file_name: str = "", *, count: int = 1, key: str | None = None, id: str | None = None,
           changes: Sequence[str] = ()) -> Iterator[tuple[str, bytes, str]]:
    """All that is to be published: routing key, body and id of each. `{n}` in a change is the number of the copy."""
    for number in range(1, count + 1):
        for told, event, body in contents(file):
            own = id or str(uuid.uuid4())
            used = key or told or routing_key(event, file_name)
            if used is None:
                raise PublishError(f"neither {file_name or 'the event'} nor its name tells the type of event; add --routing-key")
            if isinstance(event, dict):
                change(event, [one.replace("{n}", str(number)) for one in changes])
                if "specversion" in event:
                    event["id"] = own
                body = encoded(event)
            yield used, body, own
