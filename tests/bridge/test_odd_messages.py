"""Messages whose properties nobody can read keep no others from passing; they go to the dead letters with their bytes."""

from __future__ import annotations

import json
import random
import string
from concurrent.futures import ThreadPoolExecutor

import pytest

from bridge_env import BridgeEnv, assert_broker_order, events, serial
from raw_amqp import PROPERTIES, RawPublisher, Refused, long, nested, properties, short
from support.wait import until

LATIN1 = "Müller".encode("latin-1")
KEY = b"usersGroup.created"
TEXTS = [name for name in PROPERTIES if name not in ("headers", "delivery_mode", "priority", "timestamp", "expiration", "user_id")]
"""The broker itself looks at the others: an expiration is a number, a user id is the publisher's name."""


def passes(env: BridgeEnv, odd: list[tuple[bytes, bytes, bytes]]):
    """Publishes good events around odd ones (routing key, properties, body); the good ones arrive in order, once each, in
    one session. Gives the dead letters."""
    bridge = env.bridge()
    bridge.wait_for("standby")
    good = events(20)
    env.publish(good[:10])
    with RawPublisher(env.amqp_url) as publisher:
        for key, header, body in odd:
            publisher.publish(env.exchange, key, header, body)
    env.publish(good[10:])
    found = []
    until(lambda: found.extend(env.drain()) or sum(serial(one) >= 0 for one in found) >= 20, "the good ones", 60)
    assert_broker_order([one for one in found if serial(one) >= 0], 20)
    until(lambda: bridge.health().get("acknowledged") == 20 + len(odd), "all acknowledged", 30)
    assert env.depth() == 0 and bridge.health()["epoch"] == 1, "one session did it all"
    assert not [line for line in bridge.beginning("The session with the message broker broke")]
    return env.dead()


@pytest.mark.parametrize("name", TEXTS)
def test_a_property_that_is_not_utf8(env, name):
    body = b'{"id":"g15","domain":"a.test"}'
    [(headers, dead)] = passes(env, [(KEY, properties(**{name: short(LATIN1)}), body)])
    assert dead == body and headers["x-sippo-body"] == "original"
    assert headers["x-sippo-code"] == "unreadable" and "UTF-8" in headers["x-sippo-reason"]
    assert name.replace("_", " ") in headers["x-sippo-reason"].replace("-", " ")
    assert headers["x-sippo-unreadable"] == LATIN1
    assert headers["x-sippo-version"] == "1.11", "it has its place in the order"


def test_a_routing_key_that_is_not_utf8(env):
    [(headers, dead)] = passes(env, [(b"usersGroup.\xfc", properties(), b"{}")])
    assert dead == b"{}" and headers["x-sippo-unreadable"] == b"usersGroup.\xfc"


def test_names_and_values_of_headers(env):
    """A name that is not UTF-8 is no header; a value may be what it likes."""
    name = long(short(LATIN1) + b"S" + long(b"x"))
    value = long(short(b"who") + b"S" + long(LATIN1))
    trace = long(short(b"traceparent") + b"S" + long(LATIN1))
    inner = long(short(b"table") + b"F" + long(short(LATIN1) + b"V"))
    body = [json.dumps({"serial": -1, "n": n}).encode() for n in range(4)]
    [(headers, dead)] = passes(env, [(KEY, properties(headers=table), body[n])
                                     for n, table in enumerate((name, value, trace, inner))])
    assert dead == body[0] and headers["x-sippo-unreadable"] == LATIN1


@pytest.mark.parametrize("kind", [b"A", b"F"])
@pytest.mark.parametrize("depth", [31, 100, 9_000])
def test_headers_in_headers(env, kind, depth):
    table = long(short(b"deep") + nested(kind, depth))
    dead = passes(env, [(KEY, properties(headers=table), b'{"serial": -1}')])
    assert len(dead) <= 1


def takes(env: BridgeEnv, header: bytes) -> bool:
    """Whether the broker takes a message with these properties from a publisher. It goes nowhere."""
    try:
        with RawPublisher(env.amqp_url) as publisher:
            publisher.publish("", b"nowhere", header, b"{}")
    except Refused as error:
        return "NO_ROUTE" in str(error)
    raise AssertionError("there is a queue named nowhere")


def those_taken(env: BridgeEnv, headers: list[bytes]) -> list[tuple[bytes, bytes, bytes]]:
    """The messages that the broker lets through."""
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda header: takes(env, header), headers))
    return [(KEY, header, b'{"serial": -1}') for header, is_taken in zip(headers, taken, strict=True) if is_taken]


def test_every_type_of_value_that_the_broker_takes(env):
    """Also those that the client library does not know: whatever the broker lets through must get through here."""
    values = [bytes([kind]) + bytes(length) for kind in string.ascii_letters.encode() for length in (0, 1, 2, 4, 5, 8)]
    odd = those_taken(env, [properties(headers=long(short(b"odd") + value)) for value in values])
    assert 15 <= len(odd) < len(values)
    passes(env, odd)


def test_properties_at_random(env):
    """Flags and bytes at random: what the broker takes, arrives."""
    source = random.Random(15)
    headers = [source.getrandbits(16).to_bytes(2, "big") + source.randbytes(source.choice((0, 1, 2, 5, 9, 40)))
               for _ in range(100)]
    lengths = [[source.randrange(20) for _ in PROPERTIES] for _ in range(100)]
    headers += [properties(**{name: short(source.randbytes(length)) for name, length in zip(PROPERTIES, row, strict=True)
                              if name in TEXTS and source.random() < 0.3}) for row in lengths]
    odd = those_taken(env, headers)
    assert len(odd) >= 100
    passes(env, odd)
