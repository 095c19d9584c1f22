"""The bridge in its image: with the image's own configuration, not as root, in a root that is read-only."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from pathlib import Path

import pytest

from bridge_env import Bridge
from stack import debian, image
from stack.paths import BINARIES
from stack.ports import free_port
from support.wait import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not debian.codename(), reason="only root on Debian can make a root")


def test_the_bridge_runs_in_its_image(tmp_path: Path):
    """Without a broker: it says so, and goes on trying; being started anew would mend nothing, so it counts as healthy."""
    program = f"target/images/{image.architecture()}/bridge"
    made = image.build("bridge", image.context_with({program: BINARIES / "bridge"}, tmp_path))
    bridge = Bridge({
        "SIPPO_XMPP__ADMIN_TOKEN": secrets.token_hex(32), "SIPPO_BROKER__URL": f"amqp://u:p@127.0.0.1:{free_port()}/",
        "SIPPO_QUEUES__URL_PREFIX": "http://127.0.0.1:1/1/x-", "SIPPO_LEDGER__TABLE": "x", "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}, tmp_path / "log", made)
    try:
        until(lambda: bridge.get() is not None, "the bridge's answer", 60)
        assert bridge.health()["state"] == "connecting"
        until(lambda: bridge.beginning("The session with the message broker broke"), "the line", 30)

        def check(port: int) -> int:
            return subprocess.run(made.command([made.health_check[0], str(port), *made.health_check[2:]])).returncode
        assert check(bridge.port) == 0
        assert check(free_port()) != 0
        bridge.signal(signal.SIGTERM)
        assert bridge.process.wait(30) == 0
        assert bridge.lines("Bridge stopped")
    finally:
        bridge.process.kill()
        bridge.process.wait()
