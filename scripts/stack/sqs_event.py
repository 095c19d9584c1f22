"""The event that Lambda makes of messages received from SQS, and what a function answers to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from stack import aws

Message = dict[str, Any]
"""One of `Messages` in the answer to ReceiveMessage."""

PAYLOAD_LIMIT = 6_000_000
"""Bytes of one invocation; Lambda's limit is 6 MB."""
ENVELOPE = 1000
"""Bytes that a record has beside body and attributes, roughly."""


def _attribute(value: dict[str, str]) -> dict[str, Any]:
    attribute: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    for name, key in (("StringValue", "stringValue"), ("BinaryValue", "binaryValue")):
        if name in value:
            attribute[key] = value[name]
    return attribute


def _record(message: Message, queue: str) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {
            name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{aws.REGION}:{aws.ACCOUNT}:{queue}",
        "awsRegion": aws.REGION,
    }


def payload(messages: list[Message], queue: str) -> bytes:
    """The invocation's payload."""
    records = [_record(message, queue) for message in messages]
    return json.dumps({"Records": records}, ensure_ascii=False, separators=(",", ":")).encode()


def split(messages: list[Message]) -> Iterator[list[Message]]:
    """The messages in as many invocations as their sizes need."""
    part: list[Message] = []
    size = 0
    for message in messages:
        # Quotes and backslashes of the body, which is JSON itself, are escaped.
        own = ENVELOPE + len(message["Body"].encode()) + message["Body"].count('"') + message["Body"].count("\\")
        if part and size + own > PAYLOAD_LIMIT:
            yield part
            part, size = [], 0
        part.append(message)
        size += own
    if part:
        yield part


def failed(answer: bytes, ids: set[str]) -> set[str] | None:
    """The ids of messages that the function reports as failed; None when its answer means the whole batch.

    As documented for `ReportBatchItemFailures`: an answer that is no JSON, or names no id, an empty one or one
    that was not in the batch, fails the whole batch.
    """
    try:
        content = json.loads(answer or b"null")
    except ValueError:
        return None
    if content is None:
        return set()
    if not isinstance(content, dict):
        return None
    failures = content.get("batchItemFailures")
    if failures is None:
        return set()
    if not isinstance(failures, list):
        return None
    found = {failure.get("itemIdentifier") if isinstance(failure, dict) else None for failure in failures}
    if not all(isinstance(one, str) and one in ids for one in found):
        return None
    return found
