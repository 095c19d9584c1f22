"""Core's client of the hosts API (core/src/hosts) against the real server."""

from __future__ import annotations

import os
import subprocess
from stack.paths import ROOT
from support import cargo



def test_cores_client_and_the_server_agree(server):
    command = [*cargo.TEST, "--quiet", "--test", "hosts", "--", "--ignored"]
    environment = os.environ | {"HOSTS_ADMIN_URL": server.hosts_url, "ADMIN_TOKEN": server.admin_token}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout, done.stdout
