--- Runs a function with all that it stores in one SQL transaction.
--
-- mod_storage_sql commits each write for itself, and a commit waits for the disk. What a function does to memory or has
-- sent stays when the transaction fails, so it has to be something that is repeated then. Who keeps in memory what the
-- store holds hooks the global event `sippo-transaction-failed`. The function must not wait for anything (util.async):
-- others would write into its transaction and take their writes for committed.
--
-- The function gets another, `apart(f, …)`, which calls `f` and takes back what it has stored, and nothing else, if it
-- throws; true, or nil and the error. What the store itself refuses fails the transaction all the same.

local close_statements = module:require "sippo_statements";
local pack, unpack = table.pack, table.unpack;

--- Has what `engine` is asked to do join one transaction; returns what ends it.
local function open(engine)
	if engine.sippo_write_held then engine.sippo_write_held(); end -- mod_sippo_group_commit
	local used, failure, alone = false, nil, rawget(engine, "transaction");
	if engine.sippo_forget then engine.sippo_forget(); end
	function engine:transaction(func, ...)
		if failure then return false, failure; end
		used = true;
		if not self.conn then
			local ok, err = self:connect();
			if not ok then failure = err or "no connection"; return false, failure; end
		end
		local results;
		if self.sippo_flushed then -- mod_sippo_postgresql holds rows back
			results = pack(xpcall(self.sippo_flushed, debug.traceback, self, func, ...));
		else
			results = pack(xpcall(func, debug.traceback, ...));
		end
		if not results[1] then
			failure = results[2];
			module:log("error", "Error in SQL transaction: %s", failure);
		end
		return unpack(results, 1, results.n);
	end
	return function (keep)
		engine.transaction = alone; -- or the class's
		local conn = engine.conn;
		if not conn or not used then return not failure; end -- SQLite fails a commit of nothing
		if failure or not keep then
			conn:rollback();
			close_statements(engine);
			return false;
		end
		return conn:commit() and true or false;
	end
end

local function failed()
	prosody.events.fire_event("sippo-transaction-failed");
end

--- Has all of `engines` execute a statement; one that cannot fails the transaction.
local function all(engines, sql)
	for _, engine in ipairs(engines) do engine:transaction(engine.update, engine, sql); end
end

--- Calls `f`. True when all is on disk; nil and an error when nothing of it is: see the log, repeat later.
return function (f)
	local engines, closers = {}, {};
	for _, engine in pairs(module:shared("/*/sql/connections")) do
		engines[#engines + 1], closers[#closers + 1] = engine, open(engine);
	end
	local function apart(g, ...)
		all(engines, "SAVEPOINT sippo");
		local ok, err = xpcall(g, debug.traceback, ...);
		if not ok then all(engines, "ROLLBACK TO SAVEPOINT sippo"); end
		all(engines, "RELEASE SAVEPOINT sippo");
		if ok then return true; end
		failed();
		return nil, err;
	end
	local ok, err = xpcall(f, debug.traceback, apart);
	for _, close in ipairs(closers) do
		if not close(ok) then ok, err = nil, err or "the transaction failed"; end
	end
	if ok then return true; end
	failed();
	return nil, err;
end
