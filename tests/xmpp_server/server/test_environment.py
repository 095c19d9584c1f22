"""What is wrong with the environment stops the start, with the variable and what to do about it."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import replace

import pytest

from stack import prosody
from stack.authority import Authority
from stack.ports import free_port


def stopped(server, **environment: str | None) -> str:
    """What it says when it is started with this in its environment; None takes a variable away."""
    before = len(server.log_text())
    plain = prosody.Settings.environment

    def changed(settings) -> dict[str, str]:
        given = plain(settings) | {f"SIPPO_XMPP_{name}": value for name, value in environment.items() if value is not None}
        taken = {f"SIPPO_XMPP_{name}" for name, value in environment.items() if value is None}
        return {name: value for name, value in given.items() if name not in taken}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prosody.Settings, "environment", changed)
        process = server.launch()
    assert process.wait(20) != 0
    said = server.log_text()[before:]
    assert "raceback" not in said
    return said


@pytest.fixture
def stopped_server(new_server):
    """One that was never started, with a data folder."""
    server = new_server()
    server.data.mkdir(parents=True)
    return server


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try what root is told")
def test_root(stopped_server):
    said = stopped(stopped_server, RUN_AS_ROOT=None)
    assert "SIPPO_XMPP_RUN_AS_ROOT: root runs this server" in said


@pytest.mark.parametrize("name, meant", [
    ("ADMIN_TOKN", "SIPPO_XMPP_ADMIN_TOKEN"), ("OFFLINE_QOUTA", "SIPPO_XMPP_OFFLINE_QUOTA"),
    ("LOGLEVEL", "SIPPO_XMPP_LOG_LEVEL"),
    ("SOMETHING_ELSE_ALTOGETHER", ""), ("admin_token", ""),
])
def test_a_misspelt_variable(stopped_server, name, meant):
    said = stopped(stopped_server, **{name: "x"})
    assert f"SIPPO_XMPP_{name} is no variable of this server: unset it, or give it its right name" in said
    assert meant in said


@pytest.mark.sqlite
def test_variables_of_other_programs_and_of_other_settings_are_no_matter(new_server):
    server = new_server(extra={"_ADMIN_TOKEN": "the functions' own", "KEY": "no.pem", "STORAGE_PASSWORD": "for PostgreSQL"})
    server.start()


@pytest.mark.parametrize("variable", ["HTTP_PORT", "HTTPS_PORT"])
def test_a_port_that_is_taken(stopped_server, tmp_path, variable):
    certificate, key = Authority(tmp_path).issue("a.example")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        others = {"HTTPS_PORT": str(free_port()), "CERTIFICATE": str(certificate), "KEY": str(key)}
        said = stopped(stopped_server, **others | {variable: port})
    assert f"SIPPO_XMPP_{variable}: 127.0.0.1:{port} cannot be listened on" in said


def test_one_port_for_both(stopped_server):
    said = stopped(stopped_server, HTTPS_PORT=str(stopped_server.settings.http_port))
    assert "SIPPO_XMPP_HTTPS_PORT and SIPPO_XMPP_HTTP_PORT are the same" in said


@pytest.mark.parametrize("what", ["missing", "a file"])
def test_the_data_folder(stopped_server, tmp_path, what):
    path = tmp_path / "data"
    if what == "a file":
        path.write_text("")
    said = stopped(stopped_server, DATA=str(path))
    assert f"SIPPO_XMPP_DATA: there is no folder {path}" in said


@pytest.mark.parametrize("wrong", ["no certificate", "no key", "no PEM", "another's key", "one too few"])
def test_certificate_and_key(stopped_server, tmp_path, wrong):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("a.example")
    _, another = authority.issue("b.example")
    if wrong == "no PEM":
        certificate.write_text("no certificate")
    given = {
        "no certificate": (tmp_path / "none.pem", key), "no key": (certificate, tmp_path / "none.pem"),
        "no PEM": (certificate, key), "another's key": (certificate, another),
        "one too few": (f"{certificate},{certificate}", key),
    }[wrong]
    said = stopped(stopped_server, HTTPS_PORT=str(free_port()), CERTIFICATE=str(given[0]), KEY=str(given[1]))
    assert ("SIPPO_XMPP_KEY" if wrong == "no key" else "SIPPO_XMPP_CERTIFICATE") in said


# A reload -----------------------------------------------------------------------------


@pytest.fixture
def rotating(new_server):
    """A server whose tokens stand in files, of which the previous one's is not there."""
    server = new_server()
    (server.folder / "token").write_text(server.admin_token)
    server.settings = replace(server.settings, extra={
        "ADMIN_TOKEN": "", "ADMIN_TOKEN_FILE": str(server.folder / "token"),
        "ADMIN_TOKEN_PREVIOUS_FILE": str(server.folder / "previous")})
    return server.start()



def test_a_sound_server_is_healthy(server):
    answer = server.health()
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "problems": []})
    assert server.health(token="x" * 32).status_code == 401


def test_the_admin_token_is_changed_there_and_back_with_sessions_open(rotating):
    server, old, new = rotating, rotating.admin_token, secrets.token_hex(32)
    domain = server.create_host("rotate.example")
    token, previous = server.folder / "token", server.folder / "previous"
    alice, admin = server.user(f"alice@{domain}"), server.admin()

    def accepted() -> list[bool]:
        return [server.hosts_api("GET", token=one).status_code == 200 for one in (old, new)]

    for before, after, only in ((old, new, [False, True]), (new, old, [True, False])):
        previous.write_text(before)
        token.write_text(after)
        server.reload()
        assert accepted() == [True, True]
        previous.write_text("")
        server.reload()
        assert accepted() == only
        previous.unlink()
        server.reload()
        assert accepted() == only
        alice.sync()
        admin.sync()
    assert server.health(token=old).status_code == 200


@pytest.mark.provokes("There was an error parsing the configuration file")
def test_what_a_reload_refused_is_told(rotating):
    server = rotating
    (server.folder / "token").write_text("too short")
    server.reload()
    answer = server.health()
    assert answer.status_code == 503
    [problem] = answer.json()["problems"]
    assert "SIPPO_XMPP_ADMIN_TOKEN_FILE has 9 characters instead of 32 to 512" in problem and "too short" not in problem
    (server.folder / "token").write_text(server.admin_token)
    server.reload()
    assert server.health().json() == {"status": "ok", "problems": []}
