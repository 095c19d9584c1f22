--- Removes all that a host has stored, in SQL and in files (part of mod_quobis_virtualhosts).
--
-- Prosody's own purge works by user and has to know each; nothing lists the users of archives, uploads and caches.
-- It goes in slices (sippo_slices): a tenant may have stored for years. Where the service says which deletion it is,
-- the invitations for memberships that began after it stay: it may be handled late, when rooms of the domain's next
-- life are there already, and the service does not send an invitation again that was stored.

local lfs = require "lfs";
local path_encode = require "util.datamanager".path_encode;

local invitations = module:require "sippo_invitations";
local slices = module:require "sippo_slices";

local all = '"host"=?';
local all_but_invitations = '"host"=? AND NOT ('..invitations.sql_is_invitation..')';
local next_invitations = 'SELECT "sort_id","with" FROM "prosodyarchive" WHERE "host"=? AND '
	..invitations.sql_is_invitation..' AND "sort_id">? ORDER BY "sort_id" LIMIT ?';

local function delete_rows(engine, name, condition, host)
	return slices.each(function ()
		local deleted, problem = slices.delete(engine, name, condition, host);
		if not deleted then return nil, problem; end
		return deleted >= slices.rows;
	end);
end

--- Deletes the invitations that `ended` takes back.
-- @return how many stay, or nil and what went wrong
local function delete_invitations(engine, host, ended)
	local last, left = -1, 0;
	local function delete_next() -- may be repeated, when the connection was lost
		local seen, newest, over = 0, last, {};
		for row in engine:select(next_invitations, host, last, slices.rows) do
			seen, newest = seen + 1, tonumber(row[1]);
			if invitations.is_over(invitations.since_of(row[2]), ended) then over[#over + 1] = ("%d"):format(newest); end
		end
		if over[1] then
			engine:delete('DELETE FROM "prosodyarchive" WHERE "sort_id" IN ('..table.concat(over, ",")..')');
		end
		return { newest = newest, left = seen - #over, more = seen >= slices.rows };
	end
	local ok, err = slices.each(function ()
		local done, outcome = engine:transaction(delete_next);
		if not done then return nil, outcome; end
		last, left = outcome.newest, left + outcome.left;
		return outcome.more;
	end);
	return ok and left or nil, err;
end

local function purge_sql(host, ended)
	local spared = 0;
	for _, engine in pairs(module:shared "/*/sql/connections") do
		local ok, err = delete_rows(engine, "prosodyarchive", ended and all_but_invitations or all, host);
		if not ok then return nil, err; end
		if ended then
			local left, problem = delete_invitations(engine, host, ended);
			if not left then return nil, problem; end
			spared = spared + left;
		end
		ok, err = delete_rows(engine, "prosody", all, host);
		if not ok then return nil, err; end
	end
	return spared;
end

--- Adds the files below `path` to `files`.
local function list_files(path, files)
	for name in lfs.dir(path) do
		if name ~= "." and name ~= ".." then
			local child = path.."/"..name;
			if lfs.symlinkattributes(child, "mode") == "directory" then
				list_files(child, files);
			else
				files[#files + 1] = child;
			end
		end
	end
end

-- Directories stay, empty, until the server's end: util.datamanager remembers which it has made and would not make
-- them again for a host that comes back.
local function remove_files(path)
	local files = {};
	list_files(path, files);
	return slices.each(function ()
		for _ = 1, slices.rows do
			local file = table.remove(files);
			if not file then return false; end
			local ok, err = os.remove(file);
			if not ok then return nil, err; end
		end
		return true;
	end);
end

--- Removes the data of a host that is no longer active. To be called in a runner of util.async.
-- @param ended  the deletion (see sippo_invitations), or nil: nothing stays
-- @return how many invitations stay, or nil and what went wrong. Safe to repeat.
return function (host, ended)
	local spared, err = purge_sql(host, ended);
	if not spared then return nil, err; end
	local path = prosody.paths.data.."/"..path_encode(host);
	if lfs.attributes(path, "mode") == "directory" then
		local ok, problem = remove_files(path);
		if not ok then return nil, problem; end
	end
	return spared;
end
