--- Keeps what the service says of where tenants are (part of mod_quobis_virtualhosts; see sippo_routes).

local cells = module:require "sippo_routes";
local transaction = module:require "sippo_transaction";

local again = 10; -- seconds until a store that has failed is tried again
local key = "routes"; -- all in one, so that they are read at once

local map = module:open_store("sippo_routes", "map");
local all = module:open_store("sippo_routes");
local routes = module:shared "/*/sippo_routes/routes";

local lib = {};

--- What there is, once it could be read.
local function load()
	local ok, stored, err = pcall(all.get, all, key);
	if not ok or err then
		module:log("error", "Could not read which cell others' tenants are on: %s; see that the store works",
			ok and err or stored);
		return again;
	end
	for domain, cell in pairs(stored or {}) do routes[domain] = routes[domain] or cell; end
end

if cells.has_cells then
	local delay = load();
	if delay then module:add_timer(delay, load); end
end

--- Notes that `domains` are on the cell `name`. It is on the disk then.
-- @return true, or nil and what went wrong
function lib.set(name, domains)
	local value = name ~= cells.own and name or nil;
	local changed = {};
	for _, domain in ipairs(domains) do
		if routes[domain] ~= value then changed[#changed + 1] = domain; end
	end
	if not changed[1] then return true; end
	local ok, err = transaction(function ()
		for _, domain in ipairs(changed) do
			local stored, problem = map:set(key, domain, value);
			if not stored then error(problem or "the store failed"); end
		end
	end);
	if not ok then return nil, err; end
	for _, domain in ipairs(changed) do routes[domain] = value; end
	prosody.events.fire_event("sippo-routes-changed", { domains = changed });
	return true;
end

--- All of them: { [domain] = cell, … }
function lib.all()
	local copy = {};
	for domain, cell in pairs(routes) do copy[domain] = cell; end
	return copy;
end

return lib;
