--- Tenants that nobody has used for a while sleep again (part of mod_quobis_virtualhosts).
--
-- A tenant is loaded when something addresses it (sippo_dormant_hosts), and takes a MiB from then on. One that is not
-- in use for `quobis_virtualhosts_idle_time` seconds (default 2 hours) is unloaded, and loaded again like any other
-- that sleeps. To its data this is a restart of the server, when nobody is there who would notice. It stays
--   * while it has a session, also one that waits to be resumed or has not logged in yet, a stream from or to another
--     server, an occupant in one of its rooms, a room that is not persistent, or an upload under way;
--   * while one of its modules waits for a timer: what it was doing would never go on, and Prosody's periodic tasks
--     wait for each other;
--   * while something is stored that it has to finish: what it would finish only when it is loaded again;
--   * until its periodic tasks have run, if it was loaded for their sake (what is too old is removed by them);
--   * if its rooms cannot be saved, or it is about to be deleted or moved.

local api = require "core.moduleapi";
local now = require "util.time".monotonic;

local idle_time = module:get_option_number("quobis_virtualhosts_idle_time", 2 * 60 * 60);
local check_interval = math.min(60, idle_time / 4);
local at_once = 20; -- tenants that go to sleep at one check: some 2 ms each

-- Timers -----------------------------------------------------------------------------

-- [host] = timers of its modules that are to come
local pending = module:shared "pending-timers";

local function count(host, change)
	local timers = (pending[host] or 0) + change;
	pending[host] = timers ~= 0 and timers or nil;
end

--- Counts timers from now on. A callback that throws counts for ever, which keeps its tenant loaded.
local function count_timers()
	local add_timer = api.add_timer;
	function api:add_timer(delay, callback, ...)
		local host, is_pending = self.host, true;
		local function end_it()
			if is_pending then count(host, -1); end
			is_pending = false;
		end
		count(host, 1);
		local timer = add_timer(self, delay, function (...)
			local again = callback(...);
			if type(again) ~= "number" then end_it(); end
			return again;
		end, ...);
		local stop = timer.stop;
		function timer.stop(...)
			end_it();
			return stop(...);
		end
		return timer;
	end
end

if not pending.is_counted then -- a module that is loaded anew counts on
	pending.is_counted = true;
	count_timers();
end

-- Who is there -------------------------------------------------------------------------

local function loaded(name)
	return rawget(prosody.hosts, name);
end

--- The hosts that have a connection of a client, or of another server.
local function connected_hosts()
	local found = {};
	for _, session in pairs(module:shared "/*/c2s/sessions") do
		if session.host then found[session.host] = true; end
	end
	for session in pairs(prosody.incoming_s2s or {}) do
		if session.to_host then found[session.to_host] = true; end
		for name in pairs(session.hosts or {}) do found[name] = true; end
	end
	return found;
end

local function is_in_use(name, connected)
	local host = loaded(name);
	return connected[name] or pending[name] or next(host.sessions or {}) or next(host.s2sout or {})
		or host.events.fire_event("sippo-in-use") or false;
end

--- Whether a room has to stay in memory.
local function has_room_in_use(component)
	for room in loaded(component).modules.muc.live_rooms() do
		if next(room._occupants) or not room:get_persistent() then return true; end
	end
	return false;
end

--- Whether the periodic tasks of a host have all run since then.
local function have_run(name, since)
	for _, task in ipairs(module:context(name):get_host_items("task")) do
		if (task.last or 0) < since then return false; end
	end
	return true;
end

-- Sleep ----------------------------------------------------------------------------------

--- @param hosts  of sippo_hosts: component_of, has_unfinished, kind, rest, started_domains
return function (hosts)
	local lib = {};
	local used = {}; -- [domain] = when it was in use for the last time, as far as is known
	local awaited = {}; -- [domain] = since when its tasks have to run

	--- A tenant is loaded.
	-- @param for_tasks  whether for its periodic tasks
	function lib.note(domain, for_tasks)
		used[domain] = now();
		if for_tasks then awaited[domain] = os.time(); end
	end

	local function forget(domain)
		used[domain], awaited[domain] = nil, nil;
	end

	local function may_sleep(domain, component)
		if hosts.kind(domain) ~= "dynamic" or hosts.has_unfinished(domain) then return false; end
		local since = awaited[domain];
		return not since or have_run(domain, since) and have_run(component, since);
	end

	--- Puts a tenant to sleep, if it may. Whether it does.
	local function try(domain, component)
		if has_room_in_use(component) or not may_sleep(domain, component) then return false; end
		if not loaded(component).events.fire_event("sippo-save-rooms") then return false; end
		hosts.rest(domain);
		forget(domain);
		module:log("debug", "Host %s sleeps: it is not in use", domain);
		return true;
	end

	local function check()
		local connected, slept, time = connected_hosts(), 0, now();
		for _, domain in ipairs(hosts.started_domains()) do
			local component = hosts.component_of(domain);
			if not (loaded(domain) and loaded(component)) then
				forget(domain);
			elseif not used[domain] or is_in_use(domain, connected) or is_in_use(component, connected) then
				used[domain] = time;
			elseif time - used[domain] >= idle_time and slept < at_once then
				local called, sleeps = xpcall(try, debug.traceback, domain, component);
				if not called then -- the store cannot be read, for one: others would fare no better
					module:log("warn", "Host %s could not be put to sleep, which is tried again: %s", domain, sleeps);
					break;
				end
				if sleeps then slept = slept + 1; end
			end
		end
		return check_interval;
	end

	module:add_timer(check_interval, check);

	return lib;
end
