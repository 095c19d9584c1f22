"""What events/asyncapi.yaml says of its messages, for tests: schemas, examples, payloads that it allows or forbids."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

DRAFT = "http://json-schema.org/draft-07/schema#"
FORMS = ("CloudEvent", "Bare")
BEYOND_ASCII = (r"\\u0080-\\uffff", r"\\ufffe\\uffff")
"""As the document's patterns have it, in JSON."""


def function(routing_key: str) -> str:
    """The function of an event type: its routing key in the manner of file names."""
    return re.sub(r"([A-Z])", r"-\1", routing_key).replace(".", "-").lower()


def payload_schema(document: dict, message: str) -> dict:
    """The payload of a message, as a schema of its own."""
    return {"$schema": DRAFT, "components": {"schemas": document["components"]["schemas"]},
            "allOf": [document["components"]["messages"][message]["payload"]]}


def in_ascii(schema: dict) -> dict:
    """A schema whose names are in ASCII: for those it is exact."""
    text = json.dumps(schema)
    for characters in BEYOND_ASCII:
        text = text.replace(characters, "")
    return json.loads(text)


@dataclass(frozen=True)
class Message:
    """One message of the document."""

    routing_key: str
    form: str
    """One of FORMS."""
    schema: dict
    other: dict
    """The schema of the same event in the other form: a body without `specversion` is bare, whatever was meant."""
    example: dict

    @property
    def function(self) -> str:
        """Who handles it."""
        return function(self.routing_key)

    @property
    def is_about_domain(self) -> bool:
        """Whether it tells of a tenant; all others tell of a room."""
        return self.routing_key.startswith("domain.")

    def allows(self, payload: Any) -> bool:
        """Whether the document has it that this is published under the routing key."""
        return any(validator.is_valid(payload) for validator in self._validators)

    @functools.cached_property
    def _validators(self) -> list[jsonschema_rs.Draft7Validator]:
        return [jsonschema_rs.Draft7Validator(schema) for schema in (self.schema, self.other)]


def messages(document: dict) -> list[Message]:
    """All messages of the document."""
    found = []
    for name, message in document["components"]["messages"].items():
        [form] = [form for form in FORMS if name.endswith(form)]
        [other] = set(FORMS) - {form}
        [example] = message["examples"]
        found.append(Message(message["name"], form, payload_schema(document, name),
                             payload_schema(document, name.removesuffix(form) + other), example["payload"]))
    return found


def places(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """The paths of all members and items."""
    for key, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*path, key)
        yield from places(child, (*path, key))


def at(node: Any, path: tuple) -> Any:
    """What is at a path."""
    for key in path:
        node = node[key]
    return node


def generate(strategy: SearchStrategy, count: int) -> list:
    """`count` examples of a strategy at most, the same ones in every run."""
    found = []

    @seed(1)
    @settings(max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck),
              phases=[Phase.generate])
    @given(strategy)
    def collect(one):
        found.append(one)

    collect()
    return found
