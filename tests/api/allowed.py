"""Events that the document allows and the running stack can handle: generated ones, and those at the edges."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from hypothesis_jsonschema import from_schema

from event_document import Message, generate, in_ascii
from stack.stack import DOMAIN, PARTNER


def served(message: Message) -> dict:
    """The schema of a message with tenants and guests whose domains are there: events wait for others."""
    schema = in_ascii(message.schema)
    schemas = schema["components"]["schemas"]
    schemas["CloudEvent"]["additionalProperties"] = False  # with what nobody knows they take long to make; see `edges`
    if not message.is_about_domain:
        # A JID has to be of the event's domain, which a schema cannot say: see `edges`.
        username, found, _ = schemas["UserText"]["pattern"].partition("|")
        assert found
        schemas["UserText"]["pattern"] = f"{username})$"
        schemas["DomainName"] = {"enum": [DOMAIN, DOMAIN.upper(), PARTNER]}
    return schema


def can_come_and_go(payload: dict) -> bool:
    """Whether no other event needs its domain."""
    domain = payload.get("data", payload)["domain"].lower()
    return domain not in (DOMAIN, PARTNER)


def generated(message: Message, count: int) -> list[dict]:
    """`count` payloads at most as the schema has them, the same ones in every run."""
    # Python's patterns differ a little from JSON Schema's: in what `$` and `\s` are.
    found = [payload for payload in generate(from_schema(served(message), allow_x00=False, codec="ascii"), count)
             if message.allows(payload)]
    return [payload for payload in found if can_come_and_go(payload)] if message.is_about_domain else found


def nested(depth: int) -> list:
    """Lists in lists."""
    innermost: list = []
    for _ in range(depth):
        innermost = [innermost]
    return innermost


def edges(message: Message) -> Iterator[dict]:
    """The longest names, null for what is optional, and fields that nobody knows."""
    payload = copy.deepcopy(message.example)
    data = payload["data"] if message.form == "CloudEvent" else payload
    data |= {"unknown": nested(300), "Name": 7, "name ": None}
    if message.form == "CloudEvent":
        payload |= {"time": None, "datacontenttype": "Application/Vnd.Sippo+JSON ; charset=utf-8", "subject": None}
    if message.is_about_domain:
        # The XMPP server's limit: 253 bytes for the domain of its rooms.
        for domain in (".".join(["x" * 60] * 3 + ["y" * 59]), "a." * 120 + "zz", "A-1.TEST"):
            data["domain"] = domain
            yield copy.deepcopy(payload)
        return
    long = "x" * 200
    users = [long, f"{long}@{DOMAIN}", {"username": f"{'x' * 197}@", "domain": None, "capabilities": None},
             {"username": "é" * 100, "domain": PARTNER, "capabilities": ["chat"]}, {"username": "eve", "capabilities": []}]
    data |= {"id": f"{message.form.lower()}{long}"[:200], "chatId": None, "domain": DOMAIN.upper()}
    if "participants" in data:
        data["participants"] = users + users
    if message.routing_key.endswith(".created"):
        data |= {"name": "x" * 1024, "owner": f"{long}@{DOMAIN}"}
    for user in users if "participant" in data else [None]:
        if user is not None:
            data["participant"] = user
        yield copy.deepcopy(payload)
    if message.routing_key.endswith(".created"):
        data |= {"name": None, "owner": None, "participants": None}
        yield payload
