--- Removes all that a host has stored, in SQL and in files (part of mod_quobis_virtualhosts).
--
-- Prosody's own purge works by user and has to know each; nothing lists the users of archives, uploads and caches.

local lfs = require "lfs";
local path_encode = require "util.datamanager".path_encode;

local function purge_sql(host)
	for _, engine in pairs(module:shared "/*/sql/connections") do
		local ok, err = engine:transaction(function ()
			engine:delete("DELETE FROM \"prosody\" WHERE \"host\"=?", host);
			engine:delete("DELETE FROM \"prosodyarchive\" WHERE \"host\"=?", host);
		end);
		if not ok then return nil, err; end
	end
	return true;
end

-- Directories stay, empty, until the server's end: util.datamanager remembers which it has made and would not make
-- them again for a host that comes back.
local function remove_files(path)
	for name in lfs.dir(path) do
		if name ~= "." and name ~= ".." then
			local child = path.."/"..name;
			local ok, err;
			if lfs.symlinkattributes(child, "mode") == "directory" then
				ok, err = remove_files(child);
			else
				ok, err = os.remove(child);
			end
			if not ok then return nil, err; end
		end
	end
	return true;
end

--- Removes the data of a host that is no longer active.
-- @return true, or nil and what went wrong. Safe to repeat.
return function (host)
	local ok, err = purge_sql(host);
	if not ok then return nil, err; end
	local path = prosody.paths.data.."/"..path_encode(host);
	if lfs.attributes(path, "mode") ~= "directory" then return true; end
	return remove_files(path);
end
