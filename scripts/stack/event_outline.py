"""What an event is about, as far as its text tells. It may be anything: it is asked of dead letters."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import stringprep
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stack.command_line import duration

EVENT = re.compile(r'(?<!\\)"event":')
"""Where the event begins in what the bridge has stamped: within a string its quotes would be escaped."""
RESERVED = "\"&'/:<>@"
"""XEP-0106."""
EXCERPT = 300
"""Characters of an event's text that a list shows."""


@dataclass(frozen=True)
class Outline:
    """An event in short."""

    id: str
    """The event's: a CloudEvent's own, or AMQP's message id, or a hash, as functions log it. Its version where it has none."""
    routing_key: str
    subject: str
    """`room <JID>` or `domain <name>`, as the payload names it; empty where it names none."""
    version: str
    stamped_at: datetime | None
    text: str
    """What was published."""

    @property
    def age(self) -> str:
        """How long ago the bridge took it."""
        return duration(max(0.0, (datetime.now(UTC) - self.stamped_at).total_seconds())) if self.stamped_at else "unknown"

    @property
    def excerpt(self) -> str:
        """The text's beginning, in one line."""
        short = " ".join(self.text[:EXCERPT + 1].split())
        return short if len(self.text) <= EXCERPT else short[:EXCERPT] + " …"

    def line(self) -> str:
        """All but the text."""
        parts = [self.id, self.routing_key, self.subject, f"version {self.version}", f"{self.age} old"]
        return "  ".join(part for part in parts if part)


def of_stamped(text: str) -> Outline:
    """Of the JSON that the bridge has written."""
    stamped = _parsed(text)
    if stamped is None and (begin := EVENT.search(text)) is not None:
        # An event that is nested too deep to be read; what is in front of it still says whose it is.
        stamped = _parsed(text[:begin.start()].rstrip().rstrip(",") + "}")
        if isinstance(stamped, dict):
            return _outline(stamped, {}, text[begin.end():].rstrip().removesuffix("}").strip())
    if not isinstance(stamped, dict) or "event" not in stamped:
        return Outline(fingerprint("", text), "", "", "unknown", None, text)
    event = stamped["event"]
    return _outline(stamped, event if isinstance(event, dict) else {}, _raw_event(text))


def _outline(stamped: dict[str, Any], event: dict[str, Any], raw: str | None) -> Outline:
    """Of what the bridge has written, of which the event was published as `raw`."""
    published = raw if raw is not None else _decoded(stamped["event"])
    routing_key, version = str(stamped.get("routingKey", "")), str(stamped.get("version", "unknown"))
    return Outline(_id(event, stamped.get("messageId"), routing_key, raw, version), routing_key, _subject(event, routing_key),
                   version, _time(stamped.get("stampedAt")), published)


def _parsed(text: str) -> Any:
    """What `text` says, if it is JSON that can be read here."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def of_published(body: bytes, routing_key: str, version: str, message_id: str | None) -> Outline:
    """Of the body as it was published, which nobody has stamped."""
    text = body.decode(errors="replace")
    event = _parsed(text)
    fields = event if isinstance(event, dict) else {}
    raw = text.strip() if event is not None else None
    return Outline(_id(fields, message_id, routing_key, raw, version), routing_key, _subject(fields, routing_key), version, None, text)


def fingerprint(routing_key: str, text: str) -> str:
    """The id of an event that has none (core/src/events/envelope.rs)."""
    return hashlib.sha256(routing_key.encode() + b"\0" + text.encode()).hexdigest()


def _raw_event(text: str) -> str | None:
    """The event to the letter; None where it is a string: it was no JSON and is base64."""
    begin = EVENT.search(text)
    if begin is None:
        return None
    start = begin.end()
    _, end = json.JSONDecoder().raw_decode(text[start:].lstrip())
    raw = text[start:].lstrip()[:end]
    return None if raw.startswith('"') else raw


def _decoded(value: Any) -> str:
    try:
        return base64.b64decode(value, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError, TypeError):
        return str(value)


def _id(event: dict[str, Any], message_id: object, routing_key: str, raw: str | None, version: str) -> str:
    own = event.get("id")
    if "specversion" in event and isinstance(own, str) and own and _is_text(own):
        return own
    if isinstance(message_id, str) and message_id:
        return message_id
    if raw is not None and "specversion" not in event:
        return fingerprint(routing_key, raw)
    return version


def _subject(event: dict[str, Any], routing_key: str) -> str:
    payload = event.get("data") if "specversion" in event else event
    if not isinstance(payload, dict) or not isinstance(payload.get("domain"), str):
        return ""
    domain = payload["domain"]
    if not _is_text(domain):
        return ""
    has_chat_id = payload.get("chatId") is not None and not routing_key.startswith("conference.")
    id = payload["chatId"] if has_chat_id else payload.get("id")
    if routing_key.startswith("domain.") or not isinstance(id, str) or not _is_text(id):
        return f"domain {domain}"
    return f"room {escape_id(id)}@conference.{domain}"


def _is_text(text: str) -> bool:
    """Whether it can be written: JSON may name halves of surrogate pairs, which are no signs."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def escape_id(id: str) -> str:
    """The localpart of a group's or conference's room (core/src/address/escape.rs)."""
    plain = _escape(id, _prepares_to_itself)
    if unicodedata.normalize("NFKC", plain) == plain:
        return plain
    return _escape(id, lambda sign: sign.isascii() and _prepares_to_itself(sign))


def unescape(localpart: str) -> str:
    """The user name in a JID's localpart (XEP-0106)."""
    return re.sub(r"\\([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), localpart)


def _escape(text: str, stays: Callable[[str], bool]) -> str:
    start, end = len(text) - len(text.lstrip(" ")), len(text.strip(" "))
    return "".join(
        sign if (at <= start or at >= start + end if sign == " "
                 else re.match("[0-9a-fA-F]{2}", text[at + 1:]) is None if sign == "\\"
                 else sign not in RESERVED and stays(sign))
        else "".join(f"\\{byte:02x}" for byte in sign.encode())
        for at, sign in enumerate(text))


def _prepares_to_itself(sign: str) -> bool:
    """Nodeprep (RFC 6122, appendix A) of one sign; what it refuses is told elsewhere."""
    return not stringprep.in_table_b1(sign) and stringprep.map_table_b2(sign) == sign


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return None
