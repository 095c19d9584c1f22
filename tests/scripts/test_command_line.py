"""How scripts end: one line that says what to do, no traceback, whatever they meet."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from pathlib import Path

import pytest

from stack.command_line import duration, in_words
from stack.paths import ROOT
from stack.ports import free_port
from support.platform import Platform
from support.scripts import script, stack_elsewhere
from support.terminal import in_a_terminal
from support.wait import until

ROOM = "team-7@conference.example.test"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ON_THE_STACK = {
    "status": [], "redrive": ["--list"], "room": [ROOM],
    "publish": ["events/domain-created.bare.json"], "token": ["alice@example.test"],
    "why": ["room", ROOM], "trace": [TRACE],
}
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").iterdir() if path.is_file())
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
"""With a variable that some containers set, Python meets a closed pipe elsewhere."""


def run(*command: str | Path, state: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / "scripts" / command[0], *command[1:], "--state", state], cwd=ROOT, capture_output=True,
                          text=True, timeout=60)


@pytest.mark.parametrize("name", ON_THE_STACK)
def test_a_missing_stack_is_told(tmp_path: Path, name: str):
    done = run(name, *ON_THE_STACK[name], state=tmp_path)
    assert done.returncode == 1 and "scripts/run" in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("name", [name for name in ON_THE_STACK if name != "token"])
def test_a_stack_that_does_not_answer_is_told_in_words(platform: Platform, tmp_path: Path, name: str):
    port = free_port()
    nowhere = {one: f"http://127.0.0.1:{port}" for one in ("AWS_ENDPOINT_URL", "API_URL")} | {
        "AMQP_URL": f"amqp://127.0.0.1:{port}", "XMPP_URL": f"ws://127.0.0.1:{port}/",
        "QUEUE_URL_PREFIX": f"http://127.0.0.1:{port}/0/", "LOG_DIR": str(tmp_path)}
    done = run(name, *ON_THE_STACK[name], state=stack_elsewhere(platform, tmp_path / "state", **nowhere))
    assert done.returncode == 1, done
    said = done.stdout + done.stderr
    assert "Traceback" not in said and "Errno" not in said and "Error(" not in said, said
    if name != "trace":
        assert "Connection refused" in said


@pytest.mark.parametrize("name", ["room", "why"])
def test_a_refusal_of_the_xmpp_server_is_one_line(platform: Platform, tmp_path: Path, name: str):
    state = stack_elsewhere(platform, tmp_path / "state", ADMIN_TOKEN="x" * 40)
    done = run(name, *ON_THE_STACK[name], state=state)
    assert done.returncode == 1
    [line] = [line for line in (done.stdout + done.stderr).splitlines() if "refuses the login" in line]
    assert "not-authorized" in line and "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ON_THE_STACK)
def test_whoever_stops_reading_ends_it_quietly(platform: Platform, name: str):
    """As `| head` does, which has ended here before the script begins."""
    publish = ["--traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"]
    if name == "room":
        script(platform, "publish", "events/users-group-created.cloudevent.json")
        until(lambda: script(platform, "room", ROOM, code=None), "the room")
    if name == "trace":
        script(platform, "publish", "events/domain-created.bare.json", *publish)
        until(lambda: TRACE in (platform.paths.logs / "functions.log").read_text(), "the trace in a log")
    reading, writing = os.pipe()
    os.close(reading)
    command = [ROOT / "scripts" / name, *ON_THE_STACK[name], "--state", platform.paths.state]
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, env=BUFFERED)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", SCRIPTS)
def test_whoever_reads_no_help_ends_it_quietly(name: str):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([ROOT / "scripts" / name, "--help"], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True,
                          timeout=60, env=BUFFERED)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("argument", [b"M\xfcller@conference.example.test", b"--state=/no/M\xfcller"])
def test_what_is_not_utf8_is_told_in_one_line(name: str, argument: bytes):
    done = subprocess.run([ROOT / "scripts" / name, argument], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith(f"{name}: ") and r"M\udcfcller" in line and "is not UTF-8; " in line


def test_a_folder_may_be_called_as_it_likes(tmp_path: Path):
    folder = tmp_path / os.fsdecode(b"M\xfcller")
    folder.mkdir()
    done = run("status", state=folder)
    assert done.returncode == 1 and "scripts/run" in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("command", [
    ["trace", ""], ["trace", " "], ["room", ""], ["why", "room", ""], ["invoke", ""], ["token", ""], ["publish", ""], ["redrive", ""],
    ["redrive", "--show", ""], ["redrive", "broker", "--only", "", "--delete"],
    ["publish", "events/domain-created.bare.json", "--id", ""],
], ids=" ".join)
def test_nothing_names_nothing(platform: Platform, command: list[str]):
    """Not everything either: every line of a log holds an empty id."""
    done = run(*command, state=platform.paths.state)
    assert done.returncode == 2 and done.stdout == ""
    *usage, line = done.stderr.splitlines()
    assert re.match(f"{command[0]}: error: .*; (write|there are)", line) and usage[0].startswith("usage: ")


def test_errors_are_told_in_words():
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    assert in_words(refused) == "Connection refused"
    assert in_words(ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 9)")) == "Connection refused"
    assert in_words(RuntimeError("of a library", RuntimeError(refused))) == "Connection refused"
    assert in_words(FileNotFoundError(errno.ENOENT, "No such file or directory", "x.json")) == "No such file or directory: x.json"
    assert in_words(ValueError("no number")) == "no number" and in_words(ValueError()) == "ValueError"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3 * 3600 + 120, "3 h 2 min"),
                                               (2 * 86400 + 3 * 3600, "2 d 3 h")])
def test_time_spans_are_for_people(seconds: float, text: str):
    assert duration(seconds) == text


def test_a_terminal_shows_how_far_publishing_and_bringing_back_are(platform: Platform, tmp_path: Path):
    file = tmp_path / "conference-destroyed.bare.json"
    file.write_text('{"comment": "no such field"}')
    state = ["--state", str(platform.paths.state)]
    status, written = in_a_terminal([str(ROOT / "scripts" / "publish"), str(file), "--count", "300", *state])
    assert status == 0 and re.search(r"\r\x1b\[Kpublished \d+ of 300, \d+ s", written), written
    platform.wait_handled("conference-destroyed")
    status, written = in_a_terminal([str(ROOT / "scripts" / "redrive"), "conference-destroyed", "--delete", *state])
    assert status == 0 and re.search(r"\r\x1b\[Kdeleted \d+, \d+ s", written), written
    until(lambda: platform.dead_letters("conference-destroyed") == [], "no dead letter")


def test_a_file_has_no_progress_in_it(platform: Platform):
    output = script(platform, "publish", "events/domain-created.bare.json", "--count", "20", "--set", "domain=p{n}.test")
    assert output == "domain.created: 20 published\n"
