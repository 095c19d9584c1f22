"""Which calls of AWS's each function can make, read from the sources: who calls what, from a function's handler on.

A function's name stands for every function of that name in the folders that may be called from there (the table of layers in
docs/ARCHITECTURE.md). That is more than is called, perhaps, and never less.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from stack.event_types import CELLS, EVENT_FUNCTIONS, RESYNC
from stack.functions import REST_FUNCTIONS
from stack.paths import ROOT

SDK = {
    "batch_get_item": "dynamodb:BatchGetItem", "batch_write_item": "dynamodb:BatchWriteItem",
    "delete_item": "dynamodb:DeleteItem", "get_item": "dynamodb:GetItem", "put_item": "dynamodb:PutItem",
    "query": "dynamodb:Query", "scan": "dynamodb:Scan", "update_item": "dynamodb:UpdateItem",
    "describe_table": "dynamodb:DescribeTable", "transact_write_items": "dynamodb:ConditionCheckItem",
    "send_message": "sqs:SendMessage", "send_message_batch": "sqs:SendMessage", "get_queue_url": "sqs:GetQueueUrl",
    "change_message_visibility": "sqs:ChangeMessageVisibility",
    "change_message_visibility_batch": "sqs:ChangeMessageVisibility", "delete_message": "sqs:DeleteMessage",
    "get_secret_value": "secretsmanager:GetSecretValue", "invoke": "lambda:InvokeFunction",
}
"""The right that a call of the SDK needs. None of these names may stand for something else behind `.client.` or `Client::new(…)`."""
SDK_CALL = re.compile(r"\bclient\s*(?:\([^()]*\))?\s*\.(\w+)\(\)|Client::new\(&\w+\)\.(\w+)\(\)")
TABLES = ("table", "0")
"""What a table is called where it is used; `0` is the one that a register wraps."""
FUNCTION = re.compile(r"^(?:    )?(?:pub(?:\([^)]*\))? )?(?:const )?(?:async )?fn (\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Function:
    """A function of the sources."""

    folder: str
    """The module below core/src, or `bridge`."""
    name: str
    body: str


def _sources(folder: str) -> list[Function]:
    base = ROOT / "bridge/src" if folder == "bridge" else ROOT / "core/src" / folder
    files = [base.with_suffix(".rs")] if base.with_suffix(".rs").is_file() else []
    files += base.rglob("*.rs")
    assert files, folder
    found = []
    for file in files:
        if {"tests", "tests.rs", "conformance.rs", "folding_conformance.rs", "memory.rs"} & {*file.parts}:
            continue  # tests, and the ledger that calls nobody
        text = re.split(r"^#\[cfg\(test\)\]\nmod tests \{", file.read_text(), flags=re.MULTILINE)[0]
        starts = [*FUNCTION.finditer(text)]
        ends = [one.start() for one in starts[1:]] + [len(text)]
        found += [Function(folder, one[1], re.sub(r"//.*", "", text[one.end():end])) for one, end in zip(starts, ends)]
    return found


@cache
def _functions(folders: tuple[str, ...]) -> dict[str, list[Function]]:
    found: dict[str, list[Function]] = {}
    for folder in folders:
        for one in _sources(folder):
            found.setdefault(one.name, []).append(one)
    return found


def _callees(function: Function, folders: tuple[str, ...]) -> list[Function]:
    """Functions of its own folder, and of those that it may know. What has the table's methods' names is the table's only
    where it is called on a table, and a ledger's where it is not."""
    found = []
    for before, name in re.findall(r"(\w*)\s*\(?\)?\s*(?:\.|::|\b)(\w+)\s*(?:::<[^>]*>)?\(", function.body):
        for one in _functions(folders).get(name, []):
            if function.folder != "table" and (one.folder == "table") != (before in TABLES):
                continue
            found.append(one)
    return found


def rights(roots: dict[str, list[str]], folders: tuple[str, ...]) -> set[str]:
    """What the functions named in `roots`, by folder, need of AWS when they may call what is in `folders`."""
    every = _functions(folders)
    left = [one for folder, names in roots.items() for name in names for one in every[name] if one.folder == folder]
    assert len({one.name for one in left}) == sum(map(len, roots.values())), roots
    seen: set[Function] = set()
    needed: set[str] = set()
    while left:
        function = left.pop()
        if function in seen:
            continue
        seen.add(function)
        calls = {one or other for one, other in SDK_CALL.findall(function.body)}
        needed |= {SDK[call] for call in calls if call in SDK}
        left += _callees(function, folders)
    return needed


SERVER = ["has_place", "place", "create", "delete", "ensure", "destroy", "grant", "revoke", "invite"]
"""What use cases have the cells do, as one server of rooms and hosts."""


def by_function(has_cells: bool = False) -> dict[str, set[str]]:
    """The rights of each binary, with one XMPP server or several."""
    ledger, secrets = ("ledger", "table"), rights({"config": ["resolve"]}, ("config",))
    batch = rights({"lambda": ["handle"]}, ("lambda",)) | secrets
    # What finds a tenant's cell; calls of REST do nothing else there.
    place = rights({"cells": ["of", "on_cell_of"]}, ("cells", *ledger)) if has_cells else set()
    cells = rights({"cells": SERVER}, ("cells", *ledger)) if has_cells else set()
    room = batch | rights({"rooms": ["apply"]}, ("rooms", *ledger))
    domain = batch | rights({"domains": ["apply"]}, ("domains", "rooms", *ledger))
    resync = secrets | rights({"resync": ["run"]}, ("resync", "domains", "rooms", *ledger))
    moving = secrets | rights({"ledger": ["place_of", "change", "moves", "note_move", "cells", "set_state"]}, ledger)
    # Of the ledger it knows the register of epochs only: `of_the_ledger_in_the_bridge`.
    bridge = secrets | rights({"bridge": ["send"]}, ("bridge",)) | rights({"ledger": ["current", "advance"]}, ledger)
    events = {function: domain if function.startswith("domain-") else room for function in EVENT_FUNCTIONS}
    events = {function: needed | cells for function, needed in events.items()}
    return dict.fromkeys(REST_FUNCTIONS, secrets | place) | events | {RESYNC: resync | cells, CELLS: moving, "bridge-amazon-mq": bridge}


def of_the_ledger_in_the_bridge() -> set[str]:
    """What the bridge imports of the ledger."""
    text = "".join(path.read_text() for path in (ROOT / "bridge/src").rglob("*.rs") if path.name != "tests.rs")
    found = re.findall(r"\bledger::(?:\{([^}]*)\}|(\w+))", text)
    return {name.strip() for group in found for name in "".join(group).split(",")}


def everywhere() -> set[str]:
    """Rights that any code of the repository needs, wherever it is."""
    text = "".join(path.read_text() for folder in ("core/src", "bridge/src") for path in (ROOT / folder).rglob("*.rs"))
    return {right for call, right in SDK.items() if re.search(rf"\.{call}\(\)", text)}
