--- Virtual hosts that come and go at run time, each with its room component (part of mod_quobis_virtualhosts).
--
-- The list lives in the storage of the host that loads this. An entry is written before its host is known and removed
-- after its data is gone, so that a crash in between is repaired by `replay` at the next start. A host is loaded when
-- something addresses it first (see sippo_dormant_hosts). An entry is one of
--
--   { created = time, life = L }    a host; its life, where the service named it (see sippo_lives)
--   { deleted = time, ended = E }   one whose deletion E goes on
--   { spared = E }                  gone, but for invitations newer than E, which wait for its next life
--   others                          one that goes to another server, or comes from one (see sippo_moves)
--
-- A deletion that names what it ends leaves a host of a newer life alone, so one that comes late, or twice, takes
-- nothing of a tenant that has come back. A host without a life is older than any deletion.

local configmanager = require "core.configmanager";
local hmac = require "util.hashes".hmac_sha256;
local long_id = require "util.id".long;
local hostmanager = require "core.hostmanager";
local jid_host = require "util.jid".host;

local async = require "util.async";
local st = require "util.stanza";

local dormant = module:require "sippo_dormant_hosts";
local invitations = module:require "sippo_invitations";
local lives = module:require "sippo_lives";
local purge = module:require "sippo_purge";
local sessions = module:require "sippo_sessions";
local slices = module:require "sippo_slices";
local transaction = module:require "sippo_transaction";
local withdraw_guests = module:require "sippo_guests";

local store = module:open_store("virtualhosts"); -- user: the domain
local host_options = module:get_option("quobis_virtualhosts_host_options", {});
local room_options = module:get_option("quobis_virtualhosts_room_options", {});
local admin_host = jid_host(module:get_option_string("sippo_admin_jid"));

-- The hosts started here, as opposed to those that the configuration file starts. Outlives a reload of the module.
local started = module:shared "started";

local component_prefix = "conference.";

--- What is loaded under a name, which wakes nobody.
local function loaded(name)
	return rawget(prosody.hosts, name);
end

-- Files cannot be asked what there is to do for tenants that are not loaded.
local loads_at_once = module:get_option_string("default_storage") ~= "sql";

local lib = {};
local moves = module:require "sippo_moves"(lib);

lib.moves, lib.store = moves, store;

--- The domain of a tenant's room component.
function lib.component_of(domain)
	return component_prefix..domain;
end

--- Whether a domain can only be a room component.
function lib.is_component_name(domain)
	return domain:sub(1, #component_prefix) == component_prefix;
end

local function entry(domain)
	local data, err = store:get(domain);
	if err then error("cannot read the list of hosts: "..tostring(err)); end
	return data;
end

lib.entry = entry;

--- What a domain is here:
--   "reserved"  the admin's host, a component, or its component's name is taken
--   "static"    a virtual host of the configuration file
--   "dynamic"   one started here
--   "broken"    one remembered here whose start or deletion failed
--   "gone"      one that was deleted, whose newest invitations wait for its next life
--   "moving"    one that goes to another server or has gone there, or comes from one
--   nil         unknown
function lib.kind(domain)
	local host = loaded(domain);
	if domain == admin_host or (host and host.type == "component") then
		return "reserved";
	elseif host and not started[domain] then
		return "static";
	end
	local data, served = entry(domain), host or dormant.is_dormant(domain);
	if data and moves.is_mark(data) then data = nil; end
	if data and moves.keeps_away(data) then return "moving"; end
	if data and data.spared and not served then
		return "gone";
	elseif data then
		return served and not data.deleted and "dynamic" or "broken";
	elseif loaded(lib.component_of(domain)) then
		return "reserved";
	end
end

--- The domains of all tenants, sorted.
function lib.list()
	local domains = dormant.list();
	for domain, host in pairs(prosody.hosts) do
		if host.type == "local" and domain ~= admin_host then domains[#domains + 1] = domain; end
	end
	table.sort(domains);
	return domains;
end

local function configure(name, options)
	configmanager.set(name, "defined", true);
	for option, value in pairs(options) do configmanager.set(name, option, value); end
end

local upload_secret = module:shared "upload-secret"; -- of this run of Prosody
upload_secret.value = upload_secret.value or long_id();

--- Gives a tenant's hosts their options; a reload takes them away. Upload slots outlive that the tenant sleeps.
local function configure_tenant(domain)
	local component = lib.component_of(domain);
	configure(domain, host_options);
	configmanager.set(domain, "http_file_share_secret", hmac(upload_secret.value, domain, true));
	configure(component, room_options);
	configmanager.set(component, "component_module", "muc");
end

local idle; -- sippo_idle_hosts

--- Loads a tenant's hosts.
local function start(domain)
	local component = lib.component_of(domain);
	dormant.remove(domain, component);
	if idle then idle.note(domain); end
	if loaded(domain) and not started[domain] then return true; end -- the configuration file has it by now
	started[domain] = true;
	configure_tenant(domain);
	for _, name in ipairs { domain, component } do
		if not loaded(name) then
			local ok, err = hostmanager.activate(name);
			if not ok then return nil, err; end
		end
	end
	if not loaded(component).modules.muc then
		return nil, "mod_muc was not loaded";
	end
	return true;
end

--- Has a tenant served from now on. One of which nothing is loaded is when something addresses it.
local function serve(domain)
	local component = lib.component_of(domain);
	if loaded(domain) or loaded(component) or loads_at_once then return start(domain); end
	dormant.add(domain, component);
	return true;
end

lib.serve = serve;

local gone = { condition = "host-gone", text = "This domain is no longer served" };

--- The mod_muc of a component, and a list of the rooms that it has in memory, which may be taken out of it one by one.
local function rooms_in_memory(component)
	local muc, rooms = loaded(component).modules.muc, {};
	for room in muc and muc.live_rooms() or pairs {} do rooms[#rooms + 1] = room; end
	return muc, rooms;
end

-- Occupants from other domains learn that the rooms are gone (XEP-0045, section 10.9). The data go with the host, so
-- mod_muc must neither take a room off the disk because it is empty, nor find any to save when it is unloaded.
local function close_rooms(component)
	local muc, rooms = rooms_in_memory(component);
	for _, room in ipairs(rooms) do
		local x = st.stanza("x", { xmlns = "http://jabber.org/protocol/muc#user" })
			:tag("destroy"):text_tag("reason", gone.text):up();
		room.destroying = true;
		local ok, err = pcall(room.clear, room, x);
		if not ok then module:log("warn", "Room %s could not be closed: %s", room.jid, err); end
		muc.forget_room(room);
	end
end

local function forget_options(name)
	local config = configmanager.getconfig();
	if rawget(config, name) then rawset(config, name, nil); end
end

local elsewhere = { condition = "reset", text = "This domain moves to another server: log in anew" };

-- A room that stays is written as it is when the server stops (mod_sippo_muc_shutdown), and its occupants from other
-- domains learn that it shuts down (XEP-0045, section 17.7.1), not that it is gone; a temporary one ends.
local function leave_rooms(component)
	local muc, rooms = rooms_in_memory(component);
	for _, room in ipairs(rooms) do
		local x = st.stanza("x", { xmlns = "http://jabber.org/protocol/muc#user" });
		x:tag("status", { code = "332" }):up();
		room.destroying = true; -- or else an empty one ends
		room:clear(x);
		room.destroying = nil;
		if room:get_persistent() then
			room:save(true, true);
		else
			module:context(component):fire_event("muc-room-destroyed", { room = room });
		end
		muc.forget_room(room);
	end
end

local function stop(domain, reason, end_rooms)
	local component = lib.component_of(domain);
	dormant.remove(domain, component);
	if loaded(domain) then
		sessions.close_all(domain, reason);
		hostmanager.deactivate(domain, reason);
	end
	if loaded(component) then
		end_rooms(component);
		hostmanager.deactivate(component, reason);
	end
	forget_options(domain);
	forget_options(component);
	started[domain] = nil;
end

--- Unloads a tenant of which nothing is in use, and whose rooms are saved, until something addresses it.
function lib.rest(domain)
	stop(domain, elsewhere, function (component)
		local muc, rooms = rooms_in_memory(component);
		for _, room in ipairs(rooms) do muc.forget_room(room); end
	end);
	dormant.add(domain, lib.component_of(domain));
end

--- The domains that were loaded here, sorted.
function lib.started_domains()
	local domains = {};
	for domain in pairs(started) do domains[#domains + 1] = domain; end
	table.sort(domains);
	return domains;
end

--- Stops a tenant that is to be served elsewhere, with all that its sessions and rooms have to store.
function lib.park(domain) stop(domain, elsewhere, leave_rooms); end

--- Starts a new tenant and remembers it. To be called in a runner of util.async.
-- @param life  its life, or nil
function lib.create(domain, life)
	local ok, err;
	local before = entry(domain) or {};
	if before.deleted then
		ok, err = lib.delete(domain, before.ended); -- what is left of its predecessor
		if not ok then return nil, err; end
		before = entry(domain) or {};
		-- Another has made it meanwhile.
		if (loaded(domain) or dormant.is_dormant(domain)) and before.created then return true; end
	end
	ok, err = store:set(domain, moves.mark({ created = os.time(), life = life }, before));
	if not ok then return nil, err; end
	ok, err = serve(domain);
	if not ok then
		stop(domain, gone, close_rooms);
		store:set(domain, (before.spared or moves.newest(before) and moves.is_mark(before)) and before or nil);
		return nil, err;
	end
	module:log("info", "Host %s created", domain);
	return true;
end

--- Whether an end is as late as another, where nil is later than all.
local function covers(ended, other)
	return invitations.later(ended or true, other or true) == (ended or true);
end

--- Closes a tenant, removes all its data but invitations that are newer than `ended`, and forgets it.
-- @param before  its entry
local function delete(domain, ended, before)
	if before.deleted and covers(before.ended, ended) then ended = before.ended; end
	local seen = moves.newest(before);
	local ok, err = store:set(domain, { deleted = os.time(), ended = ended, seen = seen });
	if not ok then return nil, err; end
	-- Many sessions and rooms may have something to store.
	ok, err = transaction(function () stop(domain, gone, close_rooms); end);
	if not ok then -- no matter: it would be removed now
		module:log("warn", "What the sessions and rooms of %s had to store is lost: %s; its deletion goes on", domain, err);
	end
	local component = lib.component_of(domain);
	if loaded(domain) or loaded(component) then
		return nil, "it could not be stopped: "..tostring(err or "see the log");
	end
	ok, err = withdraw_guests(component, ended);
	if not ok then return nil, err; end
	local spared = 0;
	for _, name in ipairs { domain, component } do
		local count, problem = purge(name, ended);
		if not count then return nil, problem; end
		spared = spared + count;
	end
	ok, err = store:set(domain, (spared > 0 or seen) and { spared = spared > 0 and ended or nil, seen = seen } or nil);
	if not ok then return nil, err; end
	module:log("info", "Host %s deleted with its data", domain);
	if spared > 0 then
		module:log("info", "Kept %d invitations to rooms of the next life of %s", spared, domain);
	end
	return true;
end

-- domain: { ended, over = boolean, ok, err = what `delete` returned, waiters = { function, … } }
local deleting = {};

--- The same, for any number of callers at once. It lasts; to be called in a runner of util.async.
-- @param ended  the deletion, as the service names it: a host of a newer life is left alone; or nil
-- @return true, or nil and what went wrong
function lib.delete(domain, ended)
	local before = entry(domain) or {};
	local life = lives.parse(before.life);
	if life and ended and lives.is_newer(life, lives.parse(ended)) then
		module:log("info", "Host %s is of a newer life than what is to be deleted, and stays", domain);
		return true;
	end
	local deletion = deleting[domain];
	if not deletion then
		deletion = { ended = ended, waiters = {} };
		deleting[domain] = deletion;
		slices.run(function ()
			local called, ok, err = xpcall(delete, debug.traceback, domain, ended, before);
			deletion.over, deletion.ok, deletion.err = true, called and ok, called and err or ok;
			deleting[domain] = nil;
			for _, go_on in ipairs(deletion.waiters) do go_on(); end
		end);
	end
	if not deletion.over then
		local wait, go_on = async.waiter();
		table.insert(deletion.waiters, go_on);
		wait();
	end
	if deletion.ok and not covers(deletion.ended, ended) and lib.kind(domain) then return lib.delete(domain, ended); end
	return deletion.ok or nil, deletion.err;
end

local function report(domain, what, err)
	module:log("error", "Host %s could not be %s: %s", domain, what, err);
end

local function replay_one(domain)
	local data = entry(domain);
	if data.spared or moves.keeps_away(data) or moves.is_mark(data) then return; end
	if not data.deleted then
		local ok, err = serve(domain);
		if not ok then report(domain, "started", err); end
		return;
	end
	slices.run(function ()
		local ok, err = lib.delete(domain, data.ended);
		if not ok then report(domain, "deleted", err); end
	end);
end

--- Loads a tenant that something addresses.
local function wake(domain)
	local called, ok, err = xpcall(start, debug.traceback, domain);
	if not called or not ok then return report(domain, "started", called and err or ok); end
	module:log("debug", "Host %s is loaded: something addresses it", domain);
end

local retry_after = 10; -- seconds
local retrying = false;

--- What keeps tenants from being served, in words; nil if nothing does.
function lib.problem()
	return retrying and "The list of hosts cannot be read, so tenants may be missing: see that the database works" or nil;
end

-- What a host finishes when it is loaded, after a crash
local unfinished = [[SELECT DISTINCT "host" FROM "prosody"
	WHERE "store" IN ('sippo_ended_memberships','sippo_bookmarks_due','sippo_archive_purge')]];

--- Whether something is stored that a tenant has to finish; true also when the store cannot tell.
function lib.has_unfinished(domain)
	for _, engine in pairs(module:shared "/*/sql/connections") do
		local found = false;
		local ok = engine:transaction(function ()
			local query = unfinished..[[ AND ("host"=? OR "host"=?) LIMIT 1]];
			for _ in engine:select(query, domain, lib.component_of(domain)) do found = true; end
		end);
		if not ok or found then return true; end
	end
	return false;
end

local too_old = [[SELECT "host" FROM "prosodyarchive" WHERE "host"=? AND "store"=? AND "when"<? LIMIT 1]];

--- Wakes tenants of which a SQL query names a host.
local function wake_hosts_of(query, ...)
	for _, engine in pairs(module:shared "/*/sql/connections") do
		local names = {};
		local values = table.pack(...);
		local ok, err = engine:transaction(function ()
			for row in engine:select(query, table.unpack(values, 1, values.n)) do names[#names + 1] = row[1]; end
		end);
		if not ok then error(err); end
		for _, name in ipairs(names) do dormant.wake(name); end
	end
end

local function replay_all()
	local domains = {};
	for domain in store:users() do domains[#domains + 1] = domain; end
	for _, domain in ipairs(domains) do
		local ok, err = pcall(replay_one, domain); -- one bad entry must not keep the others away
		if not ok then
			module:log("error", "Host %s could not be started: %s; mend its entry in the store virtualhosts of %s or take it "
				.."out, then send SIGHUP", domain, err, module.host);
		end
	end
	wake_hosts_of(unfinished);
end

--- Has all remembered tenants served and finishes deletions that a crash cut short. Safe to repeat; repeats itself as
-- long as the list cannot be read.
function lib.replay()
	dormant.enable(wake);
	for domain in pairs(started) do configure_tenant(domain); end
	local ok, err = pcall(replay_all);
	if ok or retrying then return; end
	retrying = true;
	module:log("error", "The list of hosts cannot be read: %s; it is tried again every %d s: see that the database works",
		err, retry_after);
	module:add_timer(retry_after, function ()
		retrying = not pcall(replay_all);
		return retrying and retry_after or nil;
	end);
end

-- As mod_mam has them
local seconds = { d = 24 * 60 * 60, w = 7 * 24 * 60 * 60, m = 31 * 24 * 60 * 60, y = 365.2425 * 24 * 60 * 60 };

--- For how long things are kept: { [name of a store] = seconds, … }
local function ages()
	local kept = { uploads = module:get_option_number("http_file_share_expires_after", seconds.w) };
	local number, unit = module:get_option_string("archive_expires_after", "never"):match("^(%d+)([dwmy])$");
	if number then kept.archive = tonumber(number) * seconds[unit]; end
	kept.muc_log = kept.archive;
	return kept;
end

--- Wakes tenants with something that is too old to be kept, or will be in a day: what removes it does so for hosts that
-- are loaded. To be called in a runner of util.async.
function lib.wake_for_expiry()
	local domains = dormant.list();
	return slices.each(function ()
		local domain = table.remove(domains);
		if not domain then return false; end
		for store_name, age in pairs(ages()) do
			for _, name in ipairs { domain, lib.component_of(domain) } do
				local before = math.floor(os.time() - age + seconds.d);
				if not loaded(name) then
					wake_hosts_of(too_old, name, store_name, before);
					if loaded(name) and idle then idle.note(domain, true); end
				end
			end
		end
		return true;
	end);
end

--- Loads a tenant if it sleeps; whether it did.
function lib.wake(domain)
	return dormant.is_dormant(domain) and dormant.wake(domain);
end

--- Lets all sleep that is not loaded: nothing wakes it any more.
lib.stop_waking = dormant.disable;

if not loads_at_once then idle = module:require "sippo_idle_hosts"(lib); end

return lib;
