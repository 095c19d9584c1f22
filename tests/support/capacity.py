"""What DynamoDB would charge for a call, in units of capacity.

Reads are consistent: a unit for each 4 KB of what is read. A write counts the whole item for each KB, as it was before or as it
is after, whichever is larger, however little of it changes, and even if its condition does not hold.
"""

from __future__ import annotations

from typing import Any

Item = dict[str, Any]

READ, WRITE = 4096, 1024
"""Bytes of a unit."""
KEY = ("pk", "sk")


def read_units(action: str, request: dict[str, Any], answer: dict[str, Any]) -> int:
    """Of a call that reads; 0 of any other. One at least, found or not."""
    match action:
        case "GetItem":
            return blocks(answer.get("Item", {}), READ)
        case "Query" | "Scan":
            return max(1, -(-sum(size(one) for one in answer.get("Items", [])) // READ))
        case "BatchGetItem":
            found = [one for items in answer.get("Responses", {}).values() for one in items]
            asked = sum(len(one["Keys"]) for one in request["RequestItems"].values())
            return sum(blocks(one, READ) for one in found) + asked - len(found)
    return 0


def written(action: str, request: dict[str, Any]) -> list[tuple[str, Item]]:
    """The table and the key of each item that a call writes."""
    match action:
        case "PutItem":
            return [(request["TableName"], _key(request["Item"]))]
        case "UpdateItem" | "DeleteItem":
            return [(request["TableName"], request["Key"])]
        case "BatchWriteItem":
            return [(table, _key(one["PutRequest"]["Item"]) if "PutRequest" in one else one["DeleteRequest"]["Key"])
                    for table, items in request["RequestItems"].items() for one in items]
    return []


def write_units(before: list[Item], after: list[Item]) -> int:
    """Of a call that found these items and left those; an item that is not there is empty."""
    return sum(max(blocks(old, WRITE), blocks(new, WRITE)) for old, new in zip(before, after, strict=True))


def blocks(item: Item, of: int) -> int:
    """How many pieces of so many bytes an item has, begun ones included; one at least."""
    return max(1, -(-size(item) // of))


def size(item: Item) -> int:
    """Bytes of an item, as DynamoDB counts them: names and values."""
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def _size(value: dict[str, Any]) -> int:
    [(kind, content)] = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return len(content) // 2 + 1
        case "B":
            return len(content) * 3 // 4
        case "SS":
            return 3 + sum(len(one.encode()) + 1 for one in content)
        case "L":
            return 3 + sum(_size(one) + 1 for one in content)
        case "M":
            return 3 + size(content) + len(content)
    return 1


def _key(item: Item) -> Item:
    return {name: item[name] for name in KEY}
