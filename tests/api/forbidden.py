"""Events that the document forbids: what publishers' mistakes make of its examples, and what becomes of them.

Most are dead letters. Of others a part is left out, and the rest is handled.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from event_document import Message, at, places

NAMES = frozenset({"bad-address", "reserved-domain"})
TEXTS = [
    "", " ", "A", " alice", "alice ", "a\x00b", "a\tb", "a\x7f", "a\ufffe", "x" * 1100, "adhoc-1", "conference.a.test",
    "Conference.A.test", "a..b", "-a.test", "a_b.test", "a.test.", "x" * 64 + ".test", "a@b@c", "@b", "a@",
    "a@conference.b.test", "a b@c.test", "A@b.test", "a@b.test/c", "a@" + ".".join(["y" * 50] * 6), "2.0", "text/plain",
]
"""Each is right in one place and wrong in another."""
VALUES = [None, True, 7, 1.5, [], {}, [7], {"a": "b"}]


@dataclass(frozen=True)
class Mistake:
    """One event that must not be published."""

    routing_key: str
    what: str
    body: bytes
    codes: frozenset[str]
    """The codes that its dead letter may have."""
    path: tuple = ()
    """What was changed in the example."""
    remaining: int = 0
    """How many participants are in order."""

    @property
    def costs_a_part(self) -> bool:
        """Whether what is wrong is left out: a name, an owner, one of several participants."""
        path = self.path[1:] if self.path[:1] == ("data",) else self.path
        if path[:1] == ("participants",):
            return len(path) > 1 and self.remaining > 0
        return path[:1] in (("name",), ("owner",))


def changed(payload: Any, path: tuple, *value: Any) -> Any:
    """A copy with another value at a path, or with nothing there."""
    result = copy.deepcopy(payload)
    parent = at(result, path[:-1])
    if value:
        [parent[path[-1]]] = copy.deepcopy(value)
    else:
        del parent[path[-1]]
    return result


def text_codes(message: Message, path: tuple, text: str) -> frozenset[str]:
    """The codes for a wrong text in the place of another one."""
    if message.form == "CloudEvent" and path[0] != "data":
        return frozenset({"empty" if path[0] in ("id", "source") and not text else "bad-envelope"})
    return frozenset({"bad-text"}) if path[-1] == "name" else NAMES


def variants(message: Message, path: tuple) -> Iterator[tuple[str, Any, frozenset[str]]]:
    """The example with a change at a path: what it is, the payload, the codes if it is forbidden."""
    old = at(message.example, path)
    yield "left out", changed(message.example, path), frozenset({"missing"})
    for value in VALUES:
        # Null is as good as nothing, and the members of another object are not those that are wanted.
        codes = {"ill-typed", "missing"} if value is None or isinstance(value, dict) else {"ill-typed"}
        yield repr(value), changed(message.example, path, value), frozenset(codes)
    for text in TEXTS:
        # Where an object stood, a text may be a user.
        codes = text_codes(message, path, text) if isinstance(old, str) else NAMES | {"ill-typed"}
        yield repr(text[:30]), changed(message.example, path, text), codes


def systematic(message: Message) -> Iterator[Mistake]:
    """Every member and item of the example left out, of each other type, or an odd text; as far as the document forbids it."""
    for path in places(message.example):
        for what, payload, codes in variants(message, path):
            if not message.allows(payload):
                what = f"{message.form} with {'.'.join(map(str, path))} {what}"
                yield Mistake(message.routing_key, what, json.dumps(payload).encode(), codes, path, others(message.example, path))


def others(example: Any, path: tuple) -> int:
    """The participants beside the one at a path."""
    participants = example.get("data", example).get("participants") or []
    return len(participants) - ("participants" in path)


def no_objects(routing_key: str) -> Iterator[Mistake]:
    """Bodies that are no event of any type."""
    for body in (b"", b"no json", b"{", b'{"domain":"a.test"', b"\xff\xfe", b"{}{}", b'{"domain":"\xc3"}'):
        yield Mistake(routing_key, repr(body), body, frozenset({"not-json"}))
    for body in (b'"domain"', b"7", b"null", b"true", b"[]", b'[{"domain":"a.test"}]'):
        yield Mistake(routing_key, repr(body), body, frozenset({"ill-typed"}))


def in_words(message: Message, service_domain: str) -> Iterator[Mistake]:
    """What the document says in words: its schemas cannot count bytes, nor know what preparation changes."""
    for path, value, code in [
        (("domain",), service_domain, "reserved-domain"),
        (("owner",), f"eve@{service_domain}", "reserved-domain"),
        (("participants",), [{"username": "eve", "domain": service_domain}], "reserved-domain"),
        (("owner",), {"username": "@" * 67}, "bad-address"),
        (("chatId",), "&" * 67, "bad-address"),
        (("chatId",), "é" * 101, "bad-address"),
        (("owner",), "Éva", "bad-address"),
        (("participants",), ["ｅve"], "bad-address"),
        (("domain",), "ｅxample.test", "bad-address"),
        (("name",), "é" * 513, "bad-text"),
        (("owner",), "olga@corp.test", "foreign-domain"),
        (("participants",), ["ann@corp.test"], "foreign-domain"),
    ]:
        payload = changed(message.example, path, value)
        assert message.allows(payload), "the schema knows; this is no case of words"
        body = json.dumps(payload, ensure_ascii=False).encode()
        yield Mistake(message.routing_key, f"{path[0]} {value!r:.60}", body, frozenset({code}), path)
