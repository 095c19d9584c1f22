"""Versions known to work: one table in README.md, which tests, scripts and the XMPP server keep to."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from stack import known_versions, prosody_program, rabbitmq_program
from stack.paths import ROOT
from support.prosody import Server

MODULE = ROOT / "xmpp-server" / "modules" / "mod_sippo_known_versions.lua"


@pytest.mark.parametrize("name, version, is_known", [
    ("Prosody", "0.12.3", True), ("Prosody", "13.0.2", True), ("Prosody", "13.0", True), ("Prosody", "13.1.0", False),
    ("Prosody", "0.11.9", False), ("Prosody", "hg:0123456789ab", False), ("RabbitMQ", "3.10.8", True), ("RabbitMQ", "3.1.0", False),
    ("RabbitMQ", "4.0.5", True), ("RabbitMQ", "4.1.0", False), ("prosody-modules", "0.0~hg20260101", False), ("RabbitMQ", "", True),
])
def test_what_is_not_known_is_said_in_a_line_with_both(name, version, is_known):
    line = known_versions.complaint(name, version)
    if is_known:
        assert line is None
    else:
        assert version in line
        assert ", ".join(known_versions.known(name)) in line
        assert "\n" not in line


def test_what_the_tests_run_against_is_known():
    assert known_versions.complaints() == []


def test_the_xmpp_server_knows_the_same():
    listed = re.search(r"local known = \{(.*?)\};", MODULE.read_text())[1]
    assert re.findall(r'"(.*?)"', listed) == known_versions.known("Prosody")


def test_what_is_taken_from_elsewhere_is_known():
    assert {series for _, series in prosody_program.BACKPORTS} <= set(known_versions.known("Prosody"))
    assert set(rabbitmq_program.RELEASES) <= set(known_versions.known("RabbitMQ"))


@pytest.fixture
def unknown(folder: Path) -> prosody_program.Program:
    """The Prosody of these tests, but that it calls itself 99.1.2."""
    real = prosody_program.program()
    library = folder / "unknown" / "prosody"
    library.mkdir(parents=True)
    for entry in real.library.iterdir():
        (library / entry.name).symlink_to(entry)
    (library / "prosody.version").unlink()
    (library / "prosody.version").write_text("99.1.2\n")
    executable = folder / "unknown" / "program"
    executable.write_text(real.executable.read_text().replace(f"'{real.library}", f"'{library}"))
    executable.chmod(0o755)
    return replace(real, executable=executable, library=library, version="99.1.2")


def test_an_unknown_one_is_told_at_the_servers_start(unknown, folder, monkeypatch):
    monkeypatch.setattr(prosody_program, "program", lambda series=None: unknown)
    server = Server(folder / "unknown" / "server").start()
    try:
        said = [line for line in server.log_text().splitlines() if "not known to work" in line]
        assert len(said) == 1
        assert "Prosody 99.1.2 " in said[0]
        assert ", ".join(known_versions.known("Prosody")) in said[0]
    finally:
        server.stop()
    assert [line for line in known_versions.complaints() if "99.1.2" in line]


def test_a_known_one_says_nothing(folder):
    server = Server(folder / "known").start()
    server.stop()
    assert "known to work" not in server.log_text()
