"""Calls to the fake AWS in AWS's JSON protocol, without an SDK."""

from __future__ import annotations

import http.client
import json
from typing import Any

from stack.command_line import Told, in_words

REGION = "eu-west-1"
ACCOUNT = "000000000000"
KEY_ID = "local"
SECRET = "local"
TARGETS = {"sqs": ("AmazonSQS", "1.0"), "dynamodb": ("DynamoDB_20120810", "1.0"), "secretsmanager": ("secretsmanager", "1.1")}


class AwsError(Exception):
    """The fake AWS refused; `code` is AWS's name for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class AwsUnreachable(Told, OSError):
    """Nobody answers."""


def headers(service: str, action: str) -> dict[str, str]:
    """A request's headers. The fake AWS reads the region from the signature and does not check it."""
    target, version = TARGETS[service]
    scope = f"{KEY_ID}/20260101/{REGION}/{service}/aws4_request"
    return {
        "content-type": f"application/x-amz-json-{version}",
        "x-amz-target": f"{target}.{action}",
        "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
    }


def decode(status: int, body: bytes) -> dict[str, Any]:
    """An answer's content; AwsError when it is an error."""
    content = json.loads(body or b"{}")
    if status != 200:
        code = str(content.get("__type", status)).rpartition("#")[2]
        raise AwsError(code, str(content.get("message") or content.get("Message") or ""))
    return content


def call(port: int, service: str, action: str, **parameters: Any) -> dict[str, Any]:
    """One call; AwsError when it is refused, AwsUnreachable when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/", json.dumps(parameters), headers(service, action))
        answer = connection.getresponse()
        return decode(answer.status, answer.read())
    except (OSError, http.client.HTTPException) as error:
        how = in_words(error) if isinstance(error, OSError) else "it ended in the midst of its answer"
        raise AwsUnreachable(f"SQS and the ledger (process queue) do not answer at port {port} ({how})",
                             "see what scripts/status says of it") from error
    finally:
        connection.close()
