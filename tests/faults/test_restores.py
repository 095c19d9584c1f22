"""What is restored from a backup, as docs/OPERATIONS.md says to do it: the ledger, the XMPP server's database."""

from __future__ import annotations

import json
import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from stack import aws, bridge, fake_aws, prosody
from stack.paths import ROOT
from support import storage
from support.platform import Platform
from support.rooms import Room
from support.scripts import script

Item = dict[str, dict[str, Any]]
PROGRAMS = ("bridge", "poller")


def table(platform: Platform, action: str, **parameters: Any) -> dict[str, Any]:
    return aws.call(platform.stack.fake_aws.port, "dynamodb", action, TableName=fake_aws.TABLE, **parameters)


def items(platform: Platform) -> list[Item]:
    found = table(platform, "Scan", ConsistentRead=True)
    assert "LastEvaluatedKey" not in found
    return found["Items"]


def restore(platform: Platform, backup: list[Item]) -> None:
    """Step 3, its second way."""
    for item in items(platform):
        table(platform, "DeleteItem", Key={name: item[name] for name in ("pk", "sk")})
    for item in backup:
        table(platform, "PutItem", Item=item)


def raise_epoch(platform: Platform) -> None:
    """Step 4, with the arguments of the document's own command."""
    text = (ROOT / "docs" / "OPERATIONS.md").read_text().replace("$(date +%s)", str(int(time.time())))
    [command] = re.findall(r"^ +aws dynamodb update-item (.*?)\n +```", text, re.MULTILINE | re.DOTALL)
    words = shlex.split(command.replace("\\\n", " "))
    given = dict(zip(words[::2], words[1::2], strict=True))
    assert given.pop("--table-name") == fake_aws.TABLE
    table(platform, "UpdateItem", Key=json.loads(given["--key"]), UpdateExpression=given["--update-expression"],
          ExpressionAttributeValues=json.loads(given["--expression-attribute-values"]))


@pytest.mark.timeout(300)
def test_what_the_platform_publishes_anew_counts_after_a_restore(platform: Platform):
    kept, ended, new, brief = (Room(platform, f"{name}-{time.time_ns()}", "usersGroup") for name in ("kept", "ended", "new", "brief"))
    with platform.admin() as admin:
        kept.create("alice", ["bob"])
        ended.create("alice", ["bob"])
        for room in (kept, ended):
            room.wait_affiliated(admin, "member", ["bob"])
        backup = items(platform)
        # Sessions of the bridge, each of which takes an epoch with its first event: the next one's after the restore is in use.
        for _ in range(2):
            platform.kill("bridge")
            platform.wait_received(kept.publish(kept.joined, kept.of(["bob"])))
        changes = [(kept.left, kept.of(["bob"])), (ended.deleted, ended.payload()),
                   (new.created, new.payload(owner="alice", participants=["carol"])), (new.left, new.of(["carol"])),
                   (brief.created, brief.payload(owner="alice"))]
        for key, payload in changes:
            platform.wait_received(platform.publish(key, payload))
        kept.wait_affiliated(admin, "member", [])
        new.wait_affiliated(admin, "owner", ["alice"])

        for name in PROGRAMS:
            platform.supervisor.stop_one(name)
        kept.publish(kept.joined, kept.of(["dave"]))  # waits in the broker
        restore(platform, backup)
        raise_epoch(platform)
        platform.supervisor.start(platform.stack.poller())
        platform.supervisor.start(bridge.process(platform.stack.bridge))
        since = [(new.joined, new.of(["erin"])), (ended.created, ended.payload(owner="alice", participants=["frank"])),
                 (brief.deleted, brief.payload())]
        for key, payload in [*changes, *since]:
            platform.wait_received(platform.publish(key, payload))
        script(platform, "invoke", "resync")

        kept.wait_affiliated(admin, "member", ["dave"])
        new.wait_affiliated(admin, "member", ["erin"])
        assert new.affiliated(admin, "owner") == {new.jid_of("alice")}
        ended.wait_affiliated(admin, "member", ["frank"])
        brief.wait_gone(admin)  # what the XMPP server has of it is of an epoch since the backup
        assert sum(sum(platform.queues.depths(f"{name}-dead")) for name in ("users-group-created", "users-group-participants-left")) == 0


@pytest.mark.timeout(300)
def test_resync_makes_a_restored_xmpp_server_agree_with_the_ledger(platform: Platform, tmp_path: Path):
    """Whoever left since the backup is out again, and what came since is back."""
    kept, ended, new = (Room(platform, f"{name}-{time.time_ns()}", "usersGroup") for name in ("kept", "ended", "new"))
    with platform.admin() as admin:
        kept.create("alice", ["bob", "carol"])
        ended.create("alice", ["bob"])
        ended.wait_affiliated(admin, "member", ["bob"])
        kept.wait_affiliated(admin, "member", ["bob", "carol"])
        backup = tmp_path / "backup"
        storage.back_up(platform.stack.prosody, backup)
        for key, payload in ((kept.left, kept.of(["bob"])), (kept.joined, kept.of(["dave"])), (ended.deleted, ended.payload()),
                             (new.created, new.payload(owner="alice", participants=["erin"]))):
            platform.wait_received(platform.publish(key, payload))
        new.wait_affiliated(admin, "member", ["erin"])
        ended.wait_gone(admin)

    platform.supervisor.stop_one("prosody")
    storage.restore(platform.stack.prosody, backup)
    platform.supervisor.start(prosody.process(platform.stack.prosody))
    with platform.admin() as admin:
        kept.wait_affiliated(admin, "member", ["bob", "carol"])
        script(platform, "invoke", "resync")
        kept.wait_affiliated(admin, "member", ["carol", "dave"])
        new.wait_affiliated(admin, "member", ["erin"])
        ended.wait_gone(admin)
