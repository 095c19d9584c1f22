--- Periodic tasks of one tenant keep nobody else's from being run.
--
-- mod_cron runs the tasks of all hosts one after the other, in one runner. One that throws ends its timer, and no task
-- of any host is run again until Prosody is restarted; one that waits for a timer (mod_http_file_share does, when many
-- files are too old) while its host is unloaded is never gone on with, and all others wait for it. Here each task has a
-- runner of its own, and mod_cron waits
--   * until it is over. One that threw is not taken for done: it is tried again at the next turn;
--   * or until its host or its module is unloaded. Then nothing more is stored of it, and what was to be run of a host
--     that is not there any more is not run.
-- Load it globally.

module:set_global();

local async = require "util.async";
local add_task = require "util.timer".add_task;
local pack, unpack = table.pack, table.unpack;

local hook_global = module:require "sippo_global_hook";

local hosts = prosody.hosts;

local current; -- the task that runs: { task, host, finish = function }

--- Has mod_cron store nothing this time.
local function forget_run(task)
	local last, save = task.last, task.save;
	function task.save()
		task.last, task.save = last, save;
	end
end

--- Runs a task and waits until it is over; whether it was done.
local function run_apart(task, host, run, ...)
	local wait, go_on = async.waiter();
	local over, done = false, false;
	local function finish(is_done)
		if over then return; end
		over, done, current = true, is_done, nil;
		go_on();
	end
	current = { task = task, host = host, finish = finish };
	async.runner(function (arguments)
		run(task, unpack(arguments, 1, arguments.n));
		finish(true);
	end, { error = function (_, err)
		module:log("error", "Periodic task %s of %s failed, and is tried again in an hour: %s", task.id, host, err);
		finish(false);
	end }):run(pack(...));
	wait();
	return done;
end

--- What is under way is left as it is, if it meets `matches`. Not on the spot: who unloads a host may be in a
-- transaction, and what is run next would be in it as well.
local function give_up(matches)
	local task = current;
	if task and matches(task) then add_task(0, function () task.finish(false); end); end
end

local function adopt(task, host)
	if task.sippo_adopted then return; end
	task.sippo_adopted = true;
	local run, session = task.run, rawget(hosts, host);
	function task.run(self, ...)
		if rawget(hosts, host) ~= session or not run_apart(self, host, run, ...) then forget_run(self); end
	end
end

hook_global("host-deactivated", function (host)
	give_up(function (running) return running.host == host; end);
end);

function module.add_host(host_module)
	local host = host_module.host;
	-- mod_cron lets nobody else have it.
	host_module:hook("item-added/task", function (event) adopt(event.item, host); end, 1);
	host_module:hook("item-removed/task", function (event)
		give_up(function (running) return running.task == event.item; end);
	end, 1);
	for _, task in ipairs(host_module:get_host_items("task")) do adopt(task, host); end
end
