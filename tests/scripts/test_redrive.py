"""scripts/redrive: a dead letter is its event's, from what was published to what comes back."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import pytest

from support.platform import Platform
from support.rooms import Room
from support.scripts import script
from support.wait import until

NOTHING_DONE = 3


def publish(platform: Platform, tmp_path: Path, key: str, event: object, *options: str) -> str:
    """Publishes by the script; the id that it prints."""
    file = tmp_path / f"{uuid.uuid4().hex}.json"
    file.write_text(event if isinstance(event, str) else json.dumps(event))
    found = re.search(r"id (\S+)", script(platform, "publish", str(file), "--routing-key", key, *options))
    assert found is not None
    return found[1]


def wait_listed(platform: Platform, id: str, *queue: str) -> str:
    """The list's lines of an event, once it is a dead letter."""
    def lines() -> str | None:
        listed = script(platform, "redrive", "--list", *queue).splitlines()
        found = [number for number, line in enumerate(listed) if id in line.split()]
        return "\n".join(listed[found[0]:found[0] + 3]) if found else None
    return until(lines, f"a dead letter {id} in the list")


CLOUD = {"specversion": "1.0", "source": "/tests", "type": "conference.created"}


@pytest.mark.parametrize("event", [
    {"id": "nameless", "participants": 7, "domain": "example.test"},
    CLOUD | {"id": "replaced by publish", "data": {"id": "nameless", "participants": 7, "domain": "example.test"}},
    "no JSON, nameless",
], ids=["bare", "CloudEvent", "no JSON"])
def test_its_id_is_the_one_that_publish_prints_and_functions_log(platform: Platform, tmp_path: Path, event: object):
    since = platform.mark()
    id = publish(platform, tmp_path, "conference.created", event)
    listed = wait_listed(platform, id, "conference-created")
    logged = next(line for line in platform.log(since=since) if line.get("event.id") == id and "reason" in line)
    assert "conference.created" in listed and logged["event.type"] == "conference.created"
    assert f"version {logged['version']}" in listed
    assert logged["reason"] in listed
    assert re.search(r"\d+ (s|min) old", listed) and logged["age_seconds"] >= 0
    assert "nameless" in listed and "nameless" in logged["body"]
    if not isinstance(event, str):
        assert "room nameless@conference.example.test" in listed and logged["room"] == "nameless@conference.example.test"
    assert id in script(platform, "redrive", "--show", id)


def test_the_list_names_the_document_of_events(platform: Platform):
    assert "events/asyncapi.yaml" in script(platform, "redrive", "--list", "domain-created")


def test_one_is_brought_back_and_another_deleted_by_id_and_by_reason(platform: Platform, tmp_path: Path):
    kept, back, gone = (publish(platform, tmp_path, "conference.destroyed", {"comment": uuid.uuid4().hex}) for _ in range(3))
    for id in (kept, back, gone):
        wait_listed(platform, id, "conference-destroyed")
    letter = next(one for one in platform.dead_letters("conference-destroyed") if one.outline.id == back)
    said = script(platform, "redrive", "--only", back)
    assert said.count(back) == 1 and kept not in said and letter.reason in said
    # Poison it is and stays: it comes back as another message with the same id and reason.
    again = until(lambda: next((one for one in platform.dead_letters("conference-destroyed")
                                if one.outline.id == back and one.id != letter.id), None), "the same dead letter again")
    assert again.reason == letter.reason and again.body == letter.body
    assert gone in script(platform, "redrive", "--delete", "--only", gone)
    left = {one.outline.id for one in platform.dead_letters("conference-destroyed")}
    assert {kept, back} <= left and gone not in left
    assert kept in script(platform, "redrive", "--list", "--only", letter.code) and letter.code in letter.reason
    assert kept not in script(platform, "redrive", "--list", "--only", "expired", "conference-destroyed")
    script(platform, "redrive", "--delete", "conference-destroyed", "--only", "comment", code=NOTHING_DONE)
    script(platform, "status", code=1)
    script(platform, "redrive", "--delete", "conference-destroyed")
    assert platform.dead_letters("conference-destroyed") == []


def test_nothing_brought_back_is_a_status_of_its_own(platform: Platform):
    for action in ([], ["--delete"]):
        assert "nothing was" in script(platform, "redrive", "--only", f"no-such-{uuid.uuid4().hex}", *action, code=NOTHING_DONE)
    script(platform, "redrive", "--show", "no-such-id", code=NOTHING_DONE)
    script(platform, "redrive", "--delete", code=2)


def test_those_of_the_broker_alike(platform: Platform, tmp_path: Path, room: Room, admin):
    key = f"usersGroup.made-{uuid.uuid4().hex[:8]}"
    right, wrong = (publish(platform, tmp_path, key, room.payload(owner="alice")) for _ in range(2))
    listed = wait_listed(platform, right, "broker")
    assert listed.startswith("broker") and key in listed and f"room {room.jid}" in listed and "version " in listed
    assert key in script(platform, "redrive", "--show", wrong)
    said = script(platform, "redrive", "broker", "--only", right, code=NOTHING_DONE)
    assert f"--from {key}" in said
    assert wrong in script(platform, "redrive", "broker", "--only", wrong, "--delete")
    assert right in script(platform, "redrive", "--only", right, "--from", key, "--routing-key", room.created)
    room.wait_exists(admin)
    assert right not in script(platform, "redrive", "--list", "broker")


def test_domains_are_spared_and_that_is_said_once(platform: Platform, tmp_path: Path):
    id = publish(platform, tmp_path, "domain.deleted", {"comment": uuid.uuid4().hex})
    wait_listed(platform, id, "domain-deleted")
    output = script(platform, "redrive", code=None)
    assert output.count("domain-deleted is left out") == 1 and id not in output
    assert id in script(platform, "redrive", "domain-deleted", "--delete")
