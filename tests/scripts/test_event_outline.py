"""What scripts say of an event that nobody could handle (scripts/stack/event_outline.py), as core says it in the log."""

from __future__ import annotations

import base64
import json

import pytest

from stack.dead_letters import Letter, corrected
from stack.event_outline import escape_id, fingerprint, of_published, of_stamped
from stack.redrive import whole


def stamped(event: str, key: str = "domain.created", **more: str) -> str:
    head = {"version": "3.9", "stampedAt": "2026-01-01T00:00:00Z", "routingKey": key, **more}
    return json.dumps(head, separators=(",", ":"))[:-1] + f',"event":{event}}}'


@pytest.mark.parametrize(("event", "more", "id"), [
    ('{"specversion":"1.0","id":"c-1","data":{}}', {"messageId": "m-1"}, "c-1"),
    ('{"domain":"a.test"}', {"messageId": "m-1"}, "m-1"),
    # printf 'domain.created\0{"domain":"a.test"}' | sha256sum
    ('{"domain":"a.test"}', {}, "5fa273c04331ed191adda8ee5fd60dab9498be28a88009448502dd66b42c52d7"),
    ('{"domain":"a.test"}', {"messageId": ""}, "5fa273c04331ed191adda8ee5fd60dab9498be28a88009448502dd66b42c52d7"),
    ('{"specversion":"1.0"}', {}, "3.9"),
    (f'"{base64.b64encode(b"no JSON").decode()}"', {}, "3.9"),
    ('{"domain":"a.test"}', {"messageId": 'of "event": fame'}, 'of "event": fame'),
])
def test_the_id(event: str, more: dict[str, str], id: str):
    assert of_stamped(stamped(event, **more)).id == id


def test_what_was_published_is_shown_to_the_letter():
    assert of_stamped(stamped('{"n": 1.50, "n":2}')).text == '{"n": 1.50, "n":2}'
    assert of_stamped(stamped(f'"{base64.b64encode(b"no JSON").decode()}"')).text == "no JSON"
    assert of_stamped("nothing of ours").text == "nothing of ours"
    assert of_published(b"\xff", "x", "1.2", None).text == "\ufffd"


DEEP = "[" * 100_000 + "]" * 100_000


def test_what_cannot_be_read_here_is_an_outline_all_the_same():
    deep = f'{{"domain":"a.test","x":{DEEP}}}'
    outline = of_stamped(stamped(deep, messageId="m-1"))
    assert (outline.id, outline.routing_key, outline.version, outline.text) == ("m-1", "domain.created", "3.9", deep)
    # The hash that the functions log: of routing key and body.
    assert of_stamped(stamped(deep)).id == of_stamped(stamped(f" {deep} ")).id == fingerprint("domain.created", deep)
    assert of_published(deep.encode(), "domain.created", "1.2", "m-1").id == "m-1"
    assert of_stamped('{"version":"3.9"' + DEEP).version == "unknown"
    half = r'{"domain":"a.test","id":"\ud83d"}'
    assert of_stamped(stamped(half, "usersGroup.created", messageId="m-2")).id == "m-2"
    assert of_stamped(stamped(r'{"domain":"\ud83d"}', messageId="m-2")).subject == ""
    assert of_stamped(stamped(r'{"specversion":"1.0","id":"\ud83d"}', messageId="m-2")).id == "m-2"


@pytest.mark.parametrize(("event", "key", "subject"), [
    ('{"id":"g","chatId":"c","domain":"a.test"}', "usersGroup.created", "room c@conference.a.test"),
    ('{"id":"g","chatId":"c","domain":"a.test"}', "conference.created", "room g@conference.a.test"),
    ('{"id":"g","chatId":"c","domain":"a.test"}', "userGroup.created", "room c@conference.a.test"),
    ('{"id":"g","domain":"a.test"}', "domain.created", "domain a.test"),
    ('{"domain":7}', "domain.created", ""),
    ("[1]", "usersGroup.created", ""),
    (r'{"id":"\ud83d","domain":"a.test"}', "usersGroup.created", "domain a.test"),
])
def test_what_it_is_about(event: str, key: str, subject: str):
    assert of_stamped(stamped(event, key)).subject == subject


@pytest.mark.parametrize(("id", "localpart"), [
    ("team-7", "team-7"), ("5f2a/b c", r"5f2a\2fb\20c"), ("Team", r"\54eam"), ("é", "é"), ("01HXZ8K3VQ", r"01\48\58\5a8\4b3\56\51"),
    ("e\u0301", r"e\cc\81"), (r"c:\5c", r"c\3a\5c5c"),
])
def test_a_rooms_localpart_is_cores(id: str, localpart: str):
    assert escape_id(id) == localpart


def test_a_letter_that_cannot_be_read_here_is_shown_and_corrected_all_the_same():
    for event in (f'{{"x":{DEEP}}}', r'{"x":"\ud83d"}'):
        letter = Letter("domain-created", "sqs-1", "receipt", stamped(event), {})
        "\n".join(whole(letter)).encode()
        assert whole(letter)[-2] == event
        assert of_stamped(corrected(letter.body, "domain.deleted")).routing_key == "domain.deleted"
