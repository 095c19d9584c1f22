"""The scripts for operators, on a stack of several XMPP servers."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid

from cells.conftest import Tenant, hosts_of
from stack import cells
from stack.paths import ROOT
from stack.stack_env import settings
from support.platform import Platform
from support.wait import until


def run(platform: Platform, script: str, *arguments: str) -> tuple[int, str]:
    """Exit status and what it said."""
    command = [str(ROOT / "scripts" / script), *arguments, "--state", str(platform.paths.state)]
    if script == "cells":  # the option is the script's own, and stands before a command
        command = [command[0], "--state", str(platform.paths.state), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_cells_are_listed_with_their_tenants(platform: Platform, tenants: dict[str, Tenant]):
    code, said = run(platform, "cells")
    assert code == 0, said
    for tenant in tenants.values():
        assert any(line.split() == [tenant.domain, tenant.cell] for line in said.splitlines()), said
        count = len(hosts_of(platform, tenant.cell))
        assert any(line.split() == [tenant.cell, str(count), "up"] for line in said.splitlines()), said


def test_a_tenant_from_before_there_were_cells_is_placed_by_hand(platform: Platform, tenants: dict[str, Tenant]):
    env, domain = settings(platform.paths.state, "test"), f"old{uuid.uuid4().hex[:8]}.test"
    code, said = run(platform, "cells", "place", domain, "prosody-2")
    assert code == 1 and "not on record" in said
    from stack import aws
    from stack.stack_env import port_of
    ordinal = f"{1:020}.{1:020}/event"
    aws.call(port_of(env["AWS_ENDPOINT_URL"]), "dynamodb", "PutItem", TableName=env["LEDGER_TABLE"],
             Item={"pk": {"S": f"domain#{domain}"}, "sk": {"S": "registers"}, "created": {"S": ordinal}, "written": {"N": "1"}})
    mark = platform.mark()
    platform.publish("domain.created", {"domain": domain})
    until(lambda: [line for line in platform.log(since=mark) if "scripts/cells place" in str(line.get("error"))], "the line that says what to do")
    assert run(platform, "cells", "place", domain, "nowhere")[0] == 1
    assert run(platform, "cells", "place", domain, "prosody-2") == (0, f"{domain} is on prosody-2\n")
    code, said = run(platform, "cells", "place", domain, "prosody")
    assert code == 1 and "only a move changes that" in said
    until(lambda: domain in hosts_of(platform, "prosody-2"), "the tenant, when its event comes again")
    assert cells.places(env)[domain] == "prosody-2"


def test_room_and_why_ask_the_cell_of_the_room(platform: Platform, tenants: dict[str, Tenant]):
    for tenant in tenants.values():
        room = tenant.create_group(["alice"])
        until(lambda tenant=tenant, room=room: tenant.members(room), f"the member of {room}")
        code, said = run(platform, "room", room)
        assert code == 0 and f"member   alice@{tenant.domain}" in said, said
        for arguments in (("room", room), ("user", f"alice@{tenant.domain}")):
            code, said = run(platform, "why", *arguments)
            assert "XMPP server: no virtual host" not in said and "XMPP server: not there" not in said and "no such room" not in said, said


def test_status_has_each_of_them(platform: Platform, tenants: dict[str, Tenant]):
    assert run(platform, "status")[1].count("up\n") >= 8
    pid = platform.supervisor.pid("prosody-2")
    os.kill(pid, signal.SIGSTOP)
    try:
        said = run(platform, "status")[1]
        assert any(line.startswith("prosody-2 ") and "STOPPED" in line for line in said.splitlines()), said
        assert any(line.split() == ["prosody", "up"] for line in said.splitlines()), said
    finally:
        os.kill(pid, signal.SIGCONT)
