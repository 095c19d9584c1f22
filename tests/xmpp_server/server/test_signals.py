"""mod_sippo_signals: a signal is handled between two pieces of work, never in the middle of one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from stack.paths import ROOT
from support.wait import until

WORKS = """
module:set_global();

local signal = require "util.signal";
local at_work = false;

local function tell(what)
	return function () module:log("info", "%s %s", what, at_work and "in the middle of work" or "between two pieces of work"); end;
end
module:hook("config-reloaded", tell "reloaded");
module:hook("server-stopping", tell "stopping");

local function work(...)
	at_work = true;
	for _, name in ipairs { ... } do
		signal.raise(name);
		for _ = 1, 1000 do tostring(name); end
	end
	at_work = false;
end
-- Behind mod_posix's, which handles signals from the event loop's first turn on.
module:hook("server-started", function () module:add_timer(0, function () work("SIGHUP"); end); end);
module:hook("config-reloaded", function () module:add_timer(0, function () work("SIGTERM"); end); end, -1);
"""


def with_module(folder: Path, name: str, source: str) -> Path:
    """The repository's configuration in a folder of its own, with one module more."""
    shutil.copytree(ROOT / "xmpp-server", folder)
    (folder / "modules" / f"mod_{name}.lua").write_text(source)
    config = folder / "prosody.cfg.lua"
    text, count = re.subn(r"^local enabled, disabled = \{", rf'\g<0> "{name}",', config.read_text(), flags=re.MULTILINE)
    assert count == 1
    config.write_text(text)
    return config


@pytest.fixture
def server(new_server, tmp_path):
    return new_server(config=with_module(tmp_path / "xmpp-server", "works", WORKS))


def test_a_signal_waits_for_the_work_at_hand(server):
    server.launch()
    until(lambda: not server.running, "its end by the signal it sends itself", 30)
    told = re.findall(r"(reloaded|stopping) (in the middle|between)", server.log_text())
    assert told == [("reloaded", "between"), ("stopping", "between")]


MANY = WORKS.replace('work("SIGHUP")', 'work("SIGHUP", "SIGHUP", "SIGHUP", "SIGTERM")')


@pytest.fixture
def asked_often(new_server, tmp_path):
    return new_server(config=with_module(tmp_path / "xmpp-server", "works", MANY))


def test_a_stop_does_not_wait_for_many_reloads(asked_often):
    asked_often.launch()
    until(lambda: not asked_often.running, "its end by the signal it sends itself", 30)
    told = re.findall("reloaded|stopping", asked_often.log_text())
    assert told in (["reloaded", "stopping"], ["stopping"])  # Prosody 13 stops first
