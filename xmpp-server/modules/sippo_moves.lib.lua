--- A tenant goes from server to server: what this one is to it meanwhile (part of mod_quobis_virtualhosts).
--
-- Each state is an entry of the list of hosts (sippo_hosts), so it survives a restart. `M` is the number of the move:
-- of a tenant's moves each has a higher one than those before.
--
--   { frozen = M, entry = {…} }      at the source: not served, nothing of it is written; `entry` is what it was before
--   { incoming = M, entry = {…}, cursor = C }   at the target: not served; rows up to the cursor are here
--   { opened = M, created = …, … }   at the target: served
--   { moved = M, to = URL }          at the source: gone, uploads are at URL
--   { thawed = M, created = …, … }   at the source, taken back: served
--   { discarded = M }                at the target, taken back: gone
--
-- A mover may be dead or late: each call may come again, and nothing is done for a move that is older than the newest
-- that is known here, or was taken back.

local purge = module:require "sippo_purge";
local slices = module:require "sippo_slices";
local transaction = module:require "sippo_transaction";

local link = module:shared "/*/sippo_cell_link/link"; -- empty where the server is no cell

local is_database = module:get_option_string("default_storage") == "sql"; -- nothing else can be moved
local uploads_url = module:get_option_string("http_external_url", "");

local lib = {};
local hosts; -- of sippo_hosts
local jobs = {}; -- domain: { over = boolean, err = string or nil }

local marks = { "frozen", "incoming", "opened", "moved", "thawed", "discarded", "seen" };

--- The number of the newest move that an entry tells of, or nil.
function lib.newest(entry)
	local newest;
	for _, mark in ipairs(marks) do
		local number = entry[mark];
		if number and number > (newest or 0) then newest = number; end
	end
	return newest;
end

--- Whether a host's entry says that it is not to be served here, because of a move.
function lib.keeps_away(entry)
	return entry.frozen or entry.incoming or entry.moved or entry.discarded;
end

--- Whether a host's entry says nothing of a host, and only which moves are over.
function lib.is_mark(entry)
	return not (entry.created or entry.deleted or entry.spared or lib.keeps_away(entry));
end

--- Has a host's new entry know of the moves that ended here.
function lib.mark(entry, before)
	entry.opened, entry.thawed, entry.seen = before.opened, before.thawed, before.seen;
	return entry;
end

--- What the marks of former moves leave of an entry.
local function plain(entry)
	if not entry or lib.is_mark(entry) then return nil; end
	return { created = entry.created, life = entry.life, spared = entry.spared };
end

--- The number of the newest move that an entry knows of.
local function newest(entry)
	return entry.frozen or entry.incoming or entry.moved or entry.discarded or entry.opened or entry.thawed or 0;
end

--- Does `work` by and by, once at a time for a domain.
-- @return true when it is done, false as long as it is not, or nil and what went wrong
local function by_and_by(domain, work)
	local job = jobs[domain];
	if not job then
		job = {};
		jobs[domain] = job;
		slices.run(function ()
			local called, ok, err = xpcall(work, debug.traceback);
			job.over, job.err = true, not (called and ok) and tostring(err or ok) or nil;
		end);
	end
	if not job.over then return false; end
	jobs[domain] = nil;
	if job.err then return nil, job.err; end
	return true;
end

local function purge_all(domain)
	for _, name in ipairs { domain, hosts.component_of(domain) } do
		local ok, err = purge(name);
		if not ok then return nil, err; end
	end
	return true;
end

--- Where the tenant's uploads are fetched.
local function uploads_of(domain)
	return uploads_url:gsub("/?$", "/", 1).."file_share/"..domain;
end

--- How it is with a tenant here.
-- @return { state = "served", "frozen", "incoming", "moved", "discarded", "absent" or "other", … }
function lib.state(domain)
	local entry = hosts.entry(domain) or {};
	local state = { uploads = uploads_of(domain), entry = entry.entry };
	if entry.frozen then
		state.state, state.move = "frozen", entry.frozen;
	elseif entry.incoming then
		state.state, state.move, state.cursor = "incoming", entry.incoming, entry.cursor;
	elseif entry.moved then
		state.state, state.move = "moved", entry.moved;
	elseif entry.discarded then
		state.state, state.move = "discarded", entry.discarded;
	else
		local kind = hosts.kind(domain);
		state.state = not is_database and "other" or kind == "dynamic" and "served"
			or (not kind or kind == "gone") and "absent" or "other";
		state.move = entry.opened or entry.thawed;
	end
	return state;
end

local function conflict(text) return nil, text, 409; end

--- Stops a tenant and keeps all that it has.
--
-- One transaction: whatever sessions and rooms had in memory is stored, and from then on nothing is, for no part of
-- Prosody finds the host any more.
-- What the cells of rooms' guests have not been told yet goes along (mod_sippo_cell_link).
local function freeze(domain, move)
	local before = hosts.entry(domain);
	local kind = hosts.kind(domain);
	if before and before.frozen == move then return true; end
	if before and (before.thawed == move or before.moved == move) then
		return conflict("This move was taken back, or is over: begin another");
	elseif before and (before.frozen or before.incoming or before.deleted) then
		return conflict("Another move, or the deletion, of this host goes on: wait for its end");
	elseif kind == "static" or kind == "reserved" then
		return conflict("The host is part of the server's configuration, and cannot be moved");
	end
	local frozen, take_back;
	local ok, err = transaction(function ()
		frozen = hosts.store:set(domain, { frozen = move, entry = plain(before) });
		hosts.park(domain);
		if link.hand_over then take_back = link.hand_over(hosts.component_of(domain)); end
	end);
	if not (ok and frozen) then
		if take_back then take_back(); end
		if before and before.created then hosts.serve(domain); end
		return nil, tostring(err or "its entry could not be written");
	end
	module:log("info", "Host %s is frozen: it moves to another server", domain);
	return true;
end

--- Writes the entry of a tenant that comes to be served here, who has this server tell now what is to be told.
-- @return true, or nil and what went wrong
local function arrive(domain, entry)
	local ok, err = transaction(function ()
		local stored, problem = hosts.store:set(domain, entry);
		if not stored then error(problem or "its entry could not be written"); end
		if link.take_over then link.take_over(hosts.component_of(domain)); end
	end);
	if not ok then return nil, err; end
	if entry.created then
		ok, err = hosts.serve(domain);
		if not ok then return nil, err; end
		prosody.events.fire_event("sippo-tenant-arrived", { domain = domain });
		if hosts.has_unfinished(domain) then hosts.wake(domain); end -- nobody else may address it
	end
	return true;
end

--- Has a tenant that was frozen served again.
local function thaw(domain, move)
	local entry = hosts.entry(domain) or {};
	if entry.moved == move then return conflict("The host has moved: move it back"); end
	if entry.frozen and entry.frozen ~= move then return conflict("Another move has frozen the host"); end
	if not entry.frozen then
		entry.thawed = move; -- it was not frozen yet, nor may it be any more by this move
		return hosts.store:set(domain, entry);
	end
	local before = entry.entry or {};
	before.thawed = move;
	local ok, err = arrive(domain, before);
	if not ok then return nil, err; end
	module:log("info", "Host %s is served again: its move was taken back", domain);
	return true;
end

--- Makes ready for the tenant's rows. What an earlier move has left is removed.
local function expect(domain, move, before)
	local entry = hosts.entry(domain) or {};
	if entry.incoming == move or entry.opened == move then return true; end
	if entry.discarded == move then return conflict("This move was taken back: begin another"); end
	if entry.frozen or entry.created or entry.deleted then
		return conflict("The host is here already: move it from here, or delete it");
	end
	local kind = hosts.kind(domain);
	if kind == "static" or kind == "reserved" then
		return conflict("The name is taken by the server itself");
	end
	local done, err = by_and_by(domain, function ()
		local ok, problem = purge_all(domain);
		if not ok then return nil, problem; end
		return hosts.store:set(domain, { incoming = move, entry = plain(before), cursor = "" });
	end);
	return done, err;
end

--- Has the tenant served here from now on.
local function open(domain, move)
	local entry = hosts.entry(domain) or {};
	if entry.opened == move then return true; end
	if entry.incoming ~= move then return conflict("This move has brought nothing here"); end
	if entry.cursor ~= lib.last_cursor then return conflict("Not all rows of the host are here yet"); end
	local now = entry.entry or {};
	now.opened = move;
	local ok, err = arrive(domain, now);
	if not ok then return nil, err; end
	module:log("info", "Host %s is served here: it came from another server", domain);
	return true;
end

--- Removes what is left of a tenant that has moved, or a copy that was taken back.
local function remove(domain, move, from, after)
	local entry = hosts.entry(domain) or {};
	local mark = after.moved and "moved" or "discarded";
	if entry[mark] == move then return true; end
	if entry[from] ~= move then
		if from == "incoming" and not (entry.created or entry.frozen or entry.incoming or entry.deleted) then
			return hosts.store:set(domain, after); -- nothing has come, and nothing may any more
		end
		return conflict("This move has not left anything here");
	end
	local done, err = by_and_by(domain, function ()
		local ok, problem = purge_all(domain);
		if not ok then return nil, problem; end
		return hosts.store:set(domain, after);
	end);
	if done then module:log("info", "Host %s and its data are gone from here: %s", domain, mark); end
	return done, err;
end

--- Brings a tenant into a state, for a move. To be called in a runner of util.async.
-- @return true, or false as long as it goes on: ask again; or nil, what went wrong, and the HTTP status
function lib.change(domain, wanted)
	local move = wanted.move;
	local entry = hosts.entry(domain) or {};
	if move < (lib.newest(entry) or 0) or move <= (entry.seen or 0) then
		return conflict("A newer move of this host is known here, or the host was deleted: this move is over");
	end
	if move < newest(hosts.entry(domain) or {}) then
		return conflict("A newer move of this host is known here, or the host was deleted: this move is over");
	end
	if wanted.state == "frozen" then return freeze(domain, move); end
	if wanted.state == "served" then return thaw(domain, move); end
	if wanted.state == "incoming" then return expect(domain, move, wanted.entry); end
	if wanted.state == "opened" then return open(domain, move); end
	if wanted.state == "moved" then
		return remove(domain, move, "frozen", { moved = move, to = wanted.uploads });
	elseif wanted.state == "discarded" then
		return remove(domain, move, "incoming", { discarded = move });
	end
	return nil, "No such state: use frozen, served, incoming, opened, moved or discarded", 400;
end

--- Where an upload is by now, of a tenant that has moved: a URL, or nil.
function lib.redirect(domain, path)
	local called, entry = pcall(hosts.entry, domain);
	if not called or not entry or not entry.to then return nil; end
	return entry.to..path;
end

--- @param of  of sippo_hosts: entry, store, serve, park, component_of, kind
return function (of)
	hosts = of;
	return lib;
end
