"""Bodies that come wrapped, and CloudEvents in binary mode: functions get JSON."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pika
import pytest

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


def test_a_bomb_is_a_dead_letter(env):
    bomb = gzip.compress(bytes(100 << 20))
    assert arrives(env, bomb, content_encoding="gzip") == {}
    [(headers, body)] = env.dead()
    assert headers["x-sippo-code"] == "too-large" and headers["x-sippo-body"] == "original" and body == bomb
