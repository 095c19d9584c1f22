"""Calls to SQS wherever it is, signed as AWS demands (Signature Version 4), without an SDK."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import urllib.parse
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stack import aws
from stack.command_line import Told, in_words
from stack.dead_letters import Queues

TIMEOUT = 30.0


class NoCredentials(Told):
    """AWS's usual variables are not set."""


@dataclass(frozen=True)
class Credentials:
    """Who calls, and in which region."""

    key_id: str
    secret: str = field(repr=False)
    region: str = aws.REGION
    session_token: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, env: dict[str, str] | None = None) -> Credentials:
        """As `aws configure export-credentials --format env` gives them; NoCredentials when one is missing."""
        env = dict(os.environ) if env is None else env
        missing = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION") if not env.get(name)]
        if missing:
            raise NoCredentials(f"{' and '.join(missing)} not set; try: eval \"$(aws configure export-credentials --format env)\"")
        return cls(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env["AWS_REGION"], env.get("AWS_SESSION_TOKEN", ""))


def signed(who: Credentials, service: str, method: str, host: str, headers: dict[str, str], body: bytes, now: datetime) -> dict[str, str]:
    """`headers` of a request of the path `/` without a query, and its signature."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    every = headers | {"host": host, "x-amz-date": stamp}
    if who.session_token:
        every["x-amz-security-token"] = who.session_token
    names = sorted(every)
    canonical = "\n".join([method, "/", "", *(f"{name}:{every[name].strip()}" for name in names), "", ";".join(names),
                           hashlib.sha256(body).hexdigest()])
    scope = f"{stamp[:8]}/{who.region}/{service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{who.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return every | {"authorization": f"AWS4-HMAC-SHA256 Credential={who.key_id}/{scope}, SignedHeaders={';'.join(names)}, "
                                     f"Signature={signature}"}


class SignedQueues(Queues):
    """The queues whose URLs begin with `prefix_url`."""

    def __init__(self, prefix_url: str, who: Credentials) -> None:
        super().__init__(0, prefix_url)
        self._who, self._url = who, urllib.parse.urlsplit(prefix_url)

    def _call(self, action: str, name: str, **parameters: Any) -> dict[str, Any]:
        target, version = aws.TARGETS["sqs"]
        body = json.dumps({"QueueUrl": f"{self._prefix}{name}", **parameters}).encode()
        headers = {"content-type": f"application/x-amz-json-{version}", "x-amz-target": f"{target}.{action}"}
        headers = signed(self._who, "sqs", "POST", self._url.netloc, headers, body, datetime.now(UTC))
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._url.netloc, timeout=TIMEOUT)
        try:
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            return aws.decode(answer.status, answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise aws.AwsUnreachable(f"SQS does not answer at {self._url.netloc} ({in_words(error)})",
                                     "see that it runs (scripts/status), or that --queues is the output QueueUrlPrefix") from error
        finally:
            connection.close()
