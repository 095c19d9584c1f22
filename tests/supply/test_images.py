"""images/: what a Dockerfile says, and that its program runs in what comes of it: not as root, in a root that is read-only."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from stack import debian, http_probe, image, prosody
from stack.paths import ROOT
from stack.ports import free_port
from support.login_tokens import mint
from support.wait import until
from support.xmpp import Client

NAMES = ["bridge", "xmpp-server"]
TOKEN = "a-token-of-the-images-test-0123456789abcdef"
SHELLS = {"sh", "/bin/sh", "bash", "/bin/bash"}
needs_root = pytest.mark.skipif(os.geteuid() != 0 or not debian.codename(), reason="only root on Debian can make a root")


def instructions(name: str) -> dict[str, list[image.Instruction]]:
    found: dict[str, list[image.Instruction]] = {}
    for one in image.parse((ROOT / "images" / name / "Dockerfile").read_text()):
        found.setdefault(one.name, []).append(one)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_as_operators_expect_it(name):
    found = instructions(name)
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", found["USER"][-1].rest), "by number: an orchestrator must see that it is not root"
    [entrypoint], [check] = found["ENTRYPOINT"], found["HEALTHCHECK"]
    assert entrypoint.rest.startswith("[") and not SHELLS & set(entrypoint.words)
    command = json.loads(check.rest.removeprefix("CMD "))
    assert command[0] == "/usr/local/bin/health" and not SHELLS & set(command)
    assert "CMD" not in found and "ADD" not in found
    # What is copied is there for whoever has the context that .dockerignore leaves.
    ignored = (ROOT / "images" / name / "Dockerfile.dockerignore").read_text().split()
    assert ignored[0] == "*"
    for one in found["COPY"]:
        for source in one.words[:-1]:
            assert any(source == kept[1:] or source.startswith(f"{kept[1:]}/") for kept in ignored[1:]), source
    secrets = [word for one in found.get("ENV", []) for word in one.words if re.search("TOKEN|PASSWORD|SECRET", word)]
    assert secrets == []


def test_the_bridges_image_is_for_both_architectures():
    """The program alone differs, and the base is there for both."""
    [program] = [one for one in instructions("bridge")["COPY"] if "${TARGETARCH}" in one.rest]
    assert program.words == ["target/images/${TARGETARCH}/bridge", "/usr/local/bin/bridge"]
    assert not any("${TARGETARCH}" in one.rest for one in instructions("xmpp-server")["COPY"])


@pytest.mark.parametrize("line", ["SHELL [\"/bin/bash\"]", "ENTRYPOINT prosody", "ADD x /x", "USER prosody", "COPY --from=y x /x"])
def test_what_the_script_does_not_understand_it_does_not_leave_out(line, tmp_path):
    made = image.Image("odd", tmp_path, tmp_path)
    with pytest.raises(image.ImageError, match="not understood"):
        image._Builder(made, tmp_path, changes=True).follow(image.parse(line))


@pytest.fixture(scope="module")
def made() -> image.Image:
    return image.build("xmpp-server")


@pytest.fixture
def server(made: image.Image, tmp_path: Path) -> Iterator[prosody.Settings]:
    """The image's Prosody, running, its volume a folder of the test's."""
    settings = prosody.Settings(tmp_path, free_port(), TOKEN)
    environment = {"SIPPO_XMPP_ADMIN_TOKEN": TOKEN, "SIPPO_XMPP_HTTP_PORT": str(settings.http_port),
                   "SIPPO_XMPP_INTERFACE": "127.0.0.1"}
    for folder in [tmp_path, *tmp_path.parents[:3]]:
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)  # the image's user has to come through
    command = made.command(environment=environment, shown=made.folders_for_volumes(tmp_path))
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until(lambda: process.poll() is not None or prosody.serves(settings), "the image's server", 30)
            assert process.poll() is None, (tmp_path / "log").read_text()
            yield settings
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()


def check(made: image.Image, port: int) -> int:
    """What the health check ends with, at another port than the image's own."""
    program, _, *rest = made.health_check
    return subprocess.run(made.command([program, str(port), *rest])).returncode


@needs_root
def test_the_xmpp_servers_image_serves(made, server):
    assert http_probe.status(server.http_port, prosody.HOSTS_PATH) == 401
    body = json.dumps({"domain": "image.example"}).encode()
    answer = httpx.post(server.hosts_url, content=body, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=30)
    assert answer.status_code == 201
    with Client(server.ws_url, "alice@image.example", mint(TOKEN, "alice@image.example")).connect() as alice:
        alice.sync()
    assert check(made, server.http_port) == 0
    assert check(made, free_port()) != 0
    # Its data are in the volume, and are its own.
    database = server.data / "data" / "prosody.sqlite"
    assert f"{database.stat().st_uid}:{database.stat().st_gid}" == made.user


@needs_root
def test_nothing_but_the_volume_is_written_to(made):
    assert made.volumes == ["/data", "/cell"]
    done = subprocess.run(made.command(["/usr/bin/touch", "/opt/xmpp-server/x"]), capture_output=True, text=True)
    assert done.returncode != 0 and "Read-only file system" in done.stderr
    done = subprocess.run(made.command(["/usr/bin/id", "-u"]), capture_output=True, text=True)
    assert done.stdout.strip() == made.user.split(":")[0]


@needs_root
def test_it_says_what_it_is_made_of(made):
    document = image.document(made)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is None
    names = {one["name"]: one["version"] for one in document["components"]}
    assert {"prosody", "prosody-modules", "lua-dbi-postgresql", "libc6"} <= names.keys()
    assert names["prosody"].startswith("13.0")
