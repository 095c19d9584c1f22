#!/usr/bin/env python3
"""A Lambda function for tests: does what the messages it is given say, and notes what it was given.

A message's body is `{"do": …}`: `fail` reports it as failed until it was received `times` times, `crash` and
`throw` do so with the whole batch, `answer` gives the function's answer to the letter, anything else succeeds.
"""

import http.client
import json
import os
import sys
from pathlib import Path

NEXT = "/2018-06-01/runtime/invocation/next"


def handle(event: dict) -> tuple[str, bytes]:
    """What to answer with: `response` or `error`, and the answer."""
    if "Records" not in event:
        return "response", json.dumps({
            "statusCode": 404, "headers": {}, "multiValueHeaders": {}, "body": "", "isBase64Encoded": False,
            "cookies": []}).encode()
    record = Path(os.environ["FAKE_RECORD"])
    with record.open("a") as file:  # one write, so lines of several copies do not mix
        file.write(json.dumps({"pid": os.getpid(), "event": event}) + "\n")
    failures = []
    for one in event["Records"]:
        order = json.loads(one["body"])
        action = order.get("do")
        if int(one["attributes"]["ApproximateReceiveCount"]) > order.get("times", 0):
            continue
        if action == "crash":
            os._exit(3)
        if action == "throw":
            return "error", b'{"errorType":"Test","errorMessage":"thrown"}'
        if action == "answer":
            return "response", order["answer"].encode()
        if action == "fail":
            failures.append({"itemIdentifier": one["messageId"]})
    return "response", json.dumps({"batchItemFailures": failures}).encode()


def main() -> None:
    """Fetches invocations for ever."""
    host, _, path = os.environ["AWS_LAMBDA_RUNTIME_API"].removeprefix("http://").partition("/")
    prefix = f"/{path}" if path else ""
    connection = http.client.HTTPConnection(host)
    while True:
        connection.request("GET", prefix + NEXT)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            sys.exit(0)
        kind, result = handle(json.loads(body))
        id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        connection.request("POST", f"{prefix}/2018-06-01/runtime/invocation/{id}/{kind}", result)
        connection.getresponse().read()


if __name__ == "__main__":
    main()
