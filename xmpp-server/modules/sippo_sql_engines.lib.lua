--- The database engines (util.sql) of mod_storage_sql, which keeps them in a table shared by all hosts.
--
-- They connect when first used, and any host may be loaded before whoever wants to know them.

local engines = module:shared("/*/sql/connections");
local watchers = module:shared("/*/sippo_sql_engines/watchers");

local function meet(engine)
	for _, watcher in ipairs(watchers) do watcher(engine); end
end

if not getmetatable(engines) then
	setmetatable(engines, {
		__newindex = function (self, url, engine)
			meet(engine);
			rawset(self, url, engine);
		end,
	});
end

--- Calls `f` with each engine that there is, and with each that comes.
return function (f)
	watchers[#watchers + 1] = f;
	for _, engine in pairs(engines) do f(engine); end
end
