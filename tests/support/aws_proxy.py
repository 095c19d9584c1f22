"""An HTTP proxy before the fake AWS that lets calls fail as AWS's do: docs/OPERATIONS.md says what comes of it."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from support import capacity
from support.http_proxy import HttpProxy

KINDS = ("throttled", "error before", "error after", "cut before", "cut after", "slow", "hung", "partial")
"""`before` and `after` the effect; `partial`: some entries of a batch are not done, which other calls do not know."""
SLOW = (0.05, 0.4)
"""Seconds that a slow answer takes longer."""
BATCHES = ("SendMessageBatch", "ChangeMessageVisibilityBatch", "BatchGetItem", "BatchWriteItem")

Choose = Callable[[str, int], str | None]
"""What is wrong with a call of an action, the n-th of its kind; None for nothing."""


def at_random(share: float, seed: int) -> Choose:
    """This share of all calls fails, in all ways alike."""
    chance, lock = random.Random(seed), threading.Lock()

    def choose(action: str, _: int) -> str | None:
        kinds = KINDS if action in BATCHES else KINDS[:-1]
        with lock:
            return chance.choice(kinds) if chance.random() < share else None
    return choose


class AwsProxy(HttpProxy):
    """The proxy."""

    def __init__(self, target_port: int = 0, choose: Choose = lambda *_: None, is_metered: bool = False) -> None:
        super().__init__(target_port)
        self.choose, self._is_metered = choose, is_metered
        self.calls: Counter[str] = Counter()
        """By action."""
        self.faults: Counter[str] = Counter()
        """By kind."""
        self.units: Counter[str] = Counter()
        """What DynamoDB would charge, if that is metered: `read` and `write`, and the bytes of the items that are `written`."""
        self._random = random.Random(11)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self.start()

    def close(self) -> None:
        """Ends it, with the answers that hang."""
        self._closed.set()
        super().close()

    def serve(self, handler: Any, target: str, body: bytes) -> None:
        action = target.rpartition(".")[2]
        with self._lock:
            self.calls[action] += 1
            fault = self.choose(action, self.calls[action])
            self.faults.update([fault] if fault else [])
        match fault:
            case "throttled":
                code = "RequestThrottled" if target.startswith("AmazonSQS") else "ThrottlingException"
                handler.reply(400, json.dumps({"__type": f"com.amazonaws#{code}", "message": "injected"}).encode())
            case "error before":
                handler.reply(500, json.dumps({"__type": "InternalServerError", "message": "injected"}).encode())
            case "cut before":
                handler.cut()
            case "hung":
                self._closed.wait()
            case _:
                self._answer(handler, action, body, fault)

    def _answer(self, handler: Any, action: str, body: bytes, fault: str | None) -> None:
        """Has the fake AWS do it."""
        if fault == "slow":
            with self._lock:
                pause = self._random.uniform(*SLOW)
            self._closed.wait(pause)
        if self._is_metered:
            status, answer = self._metered(handler.headers, action, body)
        else:
            status, answer = self._partly(handler.headers, action, body) if fault == "partial" else self.forward(handler.headers, body)
        if fault == "error after":
            handler.reply(503, b"")
        elif fault == "cut after":
            handler.cut()
        else:
            handler.reply(status, answer)

    def _metered(self, headers: Any, action: str, body: bytes) -> tuple[int, bytes]:
        """Counts what it costs: what an item was before a write, and is after it, nobody else may be changing meanwhile."""
        request = json.loads(body)
        keys = capacity.written(action, request)
        before = [self._item(headers, *key) for key in keys]
        status, answer = self.forward(headers, body)
        after = [self._item(headers, *key) for key in keys]
        with self._lock:
            self.units["read"] += capacity.read_units(action, request, json.loads(answer or b"{}"))
            self.units["write"] += capacity.write_units(before, after)
            self.units["written"] += sum(capacity.size(item) for item in after)
        return status, answer

    def _item(self, headers: Any, table: str, key: capacity.Item) -> capacity.Item:
        asked = {name: value for name, value in headers.items() if name.lower() != "x-amz-target"}
        request = {"TableName": table, "Key": key, "ConsistentRead": True}
        _, answer = self.forward(asked | {"x-amz-target": "DynamoDB_20120810.GetItem"}, json.dumps(request).encode())
        return json.loads(answer).get("Item", {})

    def _partly(self, headers: Any, action: str, body: bytes) -> tuple[int, bytes]:
        """A batch whose second half is not done: of one entry, none is."""
        request = json.loads(body)
        if "Entries" in request:
            done, left = _halves(request["Entries"])
            request["Entries"] = done
            failed = {"Failed": [{"Id": one["Id"], "SenderFault": False, "Code": "InternalError", "Message": "injected"}
                                 for one in left]}
            status, answer = self.forward(headers, json.dumps(request).encode()) if done else (200, b'{"Successful": []}')
        else:
            [(table, asked)] = request["RequestItems"].items()
            items = asked["Keys"] if action == "BatchGetItem" else asked
            done, left = _halves(items)
            name = "UnprocessedKeys" if action == "BatchGetItem" else "UnprocessedItems"
            failed = {name: {table: asked | {"Keys": left} if action == "BatchGetItem" else left}}
            request["RequestItems"] = {table: asked | {"Keys": done} if action == "BatchGetItem" else done}
            nothing = json.dumps({"Responses": {table: []}}).encode()
            status, answer = self.forward(headers, json.dumps(request).encode()) if done else (200, nothing)
        if status != 200:
            return status, answer
        return 200, json.dumps(json.loads(answer) | failed).encode()


def _halves(entries: list[Any]) -> tuple[list[Any], list[Any]]:
    return entries[:len(entries) // 2], entries[len(entries) // 2:]
