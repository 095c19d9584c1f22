"""Bodies that come wrapped, and CloudEvents in binary mode: functions get JSON."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pika
import pytest

from stack.broker import Delivery
from stack.dead_letters import BrokerLetter
from stack.event_outline import fingerprint
from support.wait import until

KEY = "usersGroup.created"
EVENT = {"specversion": "1.0", "id": "ev-1", "source": "/platform", "type": KEY,
         "data": {"id": "g20", "domain": "a.test", "owner": "alice"}}
JSON = json.dumps(EVENT).encode()


def arrives(env, body: bytes, **properties: Any) -> dict[str, Any]:
    """Publishes it; gives what is in the function's queue."""
    bridge = env.bridge()
    bridge.wait_for("standby")
    with env.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(env.exchange, KEY, body, pika.BasicProperties(**properties), mandatory=True)
    found = []
    until(lambda: found.extend(env.drain()) or found or env.depth(env.dead_letters), "arrival", 30)
    return found[0].stamped if found else {}


@pytest.mark.parametrize(("body", "encoding"), [
    (b"\xef\xbb\xbf" + JSON, None),
    (gzip.compress(JSON), "gzip"),
    (gzip.compress(JSON), None),
    (gzip.compress(b"\xef\xbb\xbf" + JSON), "x-gzip"),
    (zlib.compress(JSON), "deflate"),
    (zlib.compress(JSON)[2:-4], "deflate"),
    (JSON, "utf-8"),
    (b"\x00\x53\x77\xa1" + bytes([len(JSON)]) + JSON, None),
    (b"\x00\x53\x77\xb1" + len(JSON).to_bytes(4, "big") + JSON, None),
    (b"\x00\x53\x75\xb0" + len(JSON).to_bytes(4, "big") + JSON, None),
    (b"\x00\x53\x76\xd0" + (len(JSON) + 9).to_bytes(4, "big") + b"\0\0\0\x01\xb1" + len(JSON).to_bytes(4, "big") + JSON, None),
], ids=["mark", "gzip", "gzip-untold", "gzip-mark", "zlib", "deflate", "plain", "value", "long-value", "data", "sequence"])
def test_it_is_unwrapped(env, body, encoding):
    assert len(JSON) < 256
    assert arrives(env, body, content_encoding=encoding)["event"] == EVENT


@pytest.mark.parametrize("prefix", ["cloudEvents:", "cloudEvents_", "ce-"])
def test_binary_mode_becomes_structured(env, prefix):
    headers = {prefix + name: value for name, value in EVENT.items() if name != "data"} | {"other": "x"}
    stamped = arrives(env, gzip.compress(json.dumps(EVENT["data"]).encode()), headers=headers, content_encoding="gzip",
                      content_type="application/json", message_id="m-1")
    assert stamped["event"] == EVENT | {"datacontenttype": "application/json"}
    assert stamped["messageId"] == "m-1"


@pytest.mark.parametrize(("body", "encoding"), [
    (b"\x0b\x02\x80{}\x03", "br"), (b"\x0b\x02\x80{}\x03", "gzip, br"), (gzip.compress(b"\x0b\x02\x80\xff"), "br, gzip"),
], ids=["br", "gzip-br", "br-gzip"])
def test_an_encoding_that_is_not_read_goes_to_the_function_that_names_it(env, body, encoding):
    stamped = arrives(env, body, content_encoding=encoding)
    assert isinstance(stamped["event"], str) and stamped["contentEncoding"] == encoding


def test_a_bomb_is_a_dead_letter(env):
    bomb = gzip.compress(bytes(100 << 20))
    assert arrives(env, bomb, content_encoding="gzip", message_id="m-1") == {}
    [(headers, body)] = env.dead()
    assert headers["x-sippo-code"] == "too-large" and headers["x-sippo-body"] == "original" and body == bomb
    assert dead_id(env, headers) == "m-1"


@pytest.mark.parametrize(("properties", "id"), [
    ({}, None), ({"message_id": "m-1"}, "m-1"), ({"message_id": "m-1", "headers": {"ce-id": "ev-1"}}, "ev-1"),
], ids=["hash", "message-id", "binary-mode"])
def test_what_is_too_large_keeps_its_id(env, properties, id):
    """Also one that its body does not tell."""
    body = json.dumps(EVENT["data"] | {"name": "x" * (1 << 20)}).encode()
    if "headers" in properties:
        properties = properties | {"headers": {f"ce-{name}": value for name, value in EVENT.items() if name != "data"}}
    assert arrives(env, body, **properties) == {}
    [(headers, dead)] = env.dead()
    assert headers["x-sippo-code"] == "too-large" and dead == body
    assert dead_id(env, headers) == (id or fingerprint(KEY, body.decode()))


def test_a_large_event_of_its_own_keeps_its_id(env):
    arrives(env, json.dumps(EVENT | {"filler": "x" * (1 << 20)}).encode(), message_id="m-1")
    [(headers, _)] = env.dead()
    assert dead_id(env, headers) == "ev-1"


def test_an_id_that_fits_into_no_header_harms_nobody(env):
    arrives(env, json.dumps(EVENT | {"id": "x" * (1 << 20)}).encode())
    [(headers, _)] = env.dead()
    assert headers["x-sippo-code"] == "too-large" and "x-sippo-event-id" not in headers
    assert not env.bridges[-1].beginning("The session with the message broker broke")


def dead_id(env, headers: dict[str, Any]) -> str:
    """The id of a dead letter: the same in its log line and in the list."""
    [line] = until(lambda: env.bridges[-1].lines("An event was put to the dead letters in RabbitMQ"), "the log line", 30)
    letter = BrokerLetter(Delivery(0, env.dead_letters, None, headers, b"what the body does not tell"))
    assert letter.outline.id == line["event.id"]
    return letter.outline.id
