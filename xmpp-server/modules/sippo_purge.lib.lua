--- Removes all that a host has stored, in SQL and in files (part of mod_quobis_virtualhosts).
--
-- Prosody's own purge works by user and has to know each; nothing lists the users of archives, uploads and caches.
-- It goes in slices (sippo_slices): a tenant may have stored for years.

local lfs = require "lfs";
local path_encode = require "util.datamanager".path_encode;

local slices = module:require "sippo_slices";

local function purge_sql(host)
	for _, engine in pairs(module:shared "/*/sql/connections") do
		for _, name in ipairs { "prosodyarchive", "prosody" } do
			local ok, err = slices.each(function ()
				local deleted, problem = slices.delete(engine, name, '"host"=?', host);
				if not deleted then return nil, problem; end
				return deleted >= slices.rows;
			end);
			if not ok then return nil, err; end
		end
	end
	return true;
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
-- @return true, or nil and what went wrong. Safe to repeat.
return function (host)
	local ok, err = purge_sql(host);
	if not ok then return nil, err; end
	local path = prosody.paths.data.."/"..path_encode(host);
	if lfs.attributes(path, "mode") ~= "directory" then return true; end
	return remove_files(path);
end
