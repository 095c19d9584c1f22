"""What scripts/publish makes of a file."""

from __future__ import annotations

import json
import subprocess

import pytest

from stack.paths import ROOT
from stack.publishing import contents, encoded

PUBLISH = ROOT / "scripts" / "publish"
SAMPLE = ROOT / "events" / "domain-created.bare.json"


@pytest.mark.parametrize("file", ['{"a": 1}'.encode("utf-16"), b"[" * 100_000, b"{", b"", b"\xff"], ids=lambda file: repr(file[:8]))
def test_what_cannot_be_read_is_published_as_it_is(file: bytes):
    assert contents(file) == [(None, None, file)]


def test_an_event_behind_a_byte_order_mark_is_one():
    file = b"\xef\xbb\xbf" + SAMPLE.read_bytes()
    assert contents(file) == [(None, json.loads(SAMPLE.read_text()), file)]


def test_bodies_are_utf8_as_far_as_they_can_be():
    assert encoded({"name": "é"}) == '{"name": "é"}'.encode()
    assert encoded({"name": "\ud83d"}) == rb'{"name": "\ud83d"}'


@pytest.mark.parametrize("count", ["0", "-1"])
def test_nothing_is_not_published(count: str):
    done = subprocess.run([PUBLISH, SAMPLE, "--count", count], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.endswith("publishes nothing; write a number from 1 on\n"), done.stderr
