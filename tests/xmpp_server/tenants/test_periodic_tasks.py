"""mod_sippo_periodic_tasks: what a periodic task of one tenant does keeps nobody else's from being run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stack.paths import ROOT
from support.moves import Move
from support.prosody import Server
from support.wait import until

HOME, OTHER = "home.example", "other.example"

TASKS = """
local async = require "util.async";
module:daily("Listen", function ()
	module:log("info", "Task of %s begins", module.host);
	if module.host ~= "home.example" then return; end
	if not module:get_option_boolean("tests_wait") then error("it throws"); end
	local wait, done = async.waiter();
	module:add_timer(3600, done);
	wait();
end);
"""

TURNS = """
module:set_global();
local cron = module:depends "cron";
-- As mod_cron has it, but an hour takes a fifth of a second, and a day no longer. What is thrown ends a timer.
module:add_timer(0.2, function ()
	for host in pairs(prosody.hosts) do
		for _, task in ipairs(module:context(host):get_host_items("task")) do
			if task.id:find "^tasks/" then task.last = 0; end
		end
	end
	cron.scheduled.callback();
	return 0.2;
end);
"""


def config(folder: Path, waits: bool) -> Path:
    """The repository's configuration with tenants' tasks that wait or throw, and many turns."""
    shutil.copytree(ROOT / "xmpp-server", folder)
    (folder / "modules" / "mod_tasks.lua").write_text(TASKS)
    (folder / "modules" / "mod_turns.lua").write_text(TURNS)
    path = folder / "prosody.cfg.lua"
    text = path.read_text()
    for before, after in (('"sippo_chat_list",', '"sippo_chat_list", "tasks",'), ('"cron", ', '"cron", "turns", '),
                          ("disco_hidden = true, -- or", f"tests_wait = {str(waits).lower()}, disco_hidden = true, -- or")):
        assert text.count(before) == 1
        text = text.replace(before, after)
    path.write_text(text)
    return path


def runs(server: Server, domain: str) -> int:
    return server.log_text().count(f"Task of {domain} begins")


def await_runs(server: Server, domain: str, more: int = 1) -> None:
    before = runs(server, domain)
    until(lambda: runs(server, domain) >= before + more, f"the task of {domain}", 20)


def server_with(new_server, tmp_path: Path, waits: bool) -> Server:
    """One where the other tenant's task is run again and again."""
    server = new_server(config=config(tmp_path / "xmpp-server", waits)).start()
    for domain in (OTHER, HOME):
        server.create_host(domain)
    server.user(f"alice@{OTHER}").close()
    await_runs(server, OTHER)
    return server


def rows(server: Server, domain: str) -> int:
    with server.database() as db:
        return db.execute("SELECT count(*) FROM prosody WHERE host=? AND store='cron'", (domain,)).fetchone()[0]


@pytest.mark.parametrize("end", ["deleted", "frozen"])
def test_a_tenant_whose_task_waits_ends_and_the_others_tasks_are_run(new_server, tmp_path, end):
    server = server_with(new_server, tmp_path, True)
    server.user(f"alice@{HOME}").close()
    until(lambda: runs(server, HOME) == 1, "the task that waits", 20)
    if end == "deleted":
        server.delete_host(HOME)
    else:
        Move(HOME, server, server).freeze()
    before = rows(server, HOME)
    await_runs(server, OTHER, 3)
    assert runs(server, HOME) == 1
    assert rows(server, HOME) == before
    assert end == "frozen" or before == 0


@pytest.mark.provokes("Periodic task tasks/listen of home.example failed.*it throws")
def test_a_task_that_throws_is_tried_again_and_the_others_are_run(new_server, tmp_path):
    server = server_with(new_server, tmp_path, False)
    server.user(f"alice@{HOME}").close()
    until(lambda: runs(server, HOME) >= 2, "its second try", 20)
    await_runs(server, OTHER, 2)
    with server.database() as db:
        found = db.execute("""SELECT host FROM prosody WHERE store='cron' AND "key"='tasks/listen'""").fetchall()
    assert [tuple(row) for row in found] == [(OTHER,)]
