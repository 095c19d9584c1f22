--- Holds rows of archives back, so that those of many messages are written with one commit.
--
-- What mod_storage_sql stores it stores in a function given to `engine:transaction`. While a unit is open, such a
-- function is tried out first: if all that it does is to insert rows into archives, the rows are held, and it is told
-- that it has stored them. If it does anything else, nothing of it has been done yet, what is held is written, and it
-- runs as ever (Prosody repeats it, too, when a connection breaks). So nothing reads an archive, or changes it, past
-- rows that are held. `write` tells each unit what has become of its rows.
--
-- A unit: { thread = the coroutine in which it is handled, rows = those of its rows that are held, failure = what the
-- store said if it did not take all of them }.

local running = coroutine.running;
local pack, unpack = table.pack, table.unpack;

local lib = {};

--- The unit whose rows are held, or nil: then nothing is.
lib.open = nil;

local held = {}; -- units with rows, in order
local held_by; -- the engine that gets them

-- As mod_storage_sql has it. What looks otherwise is not held.
local insertion = 'INSERT INTO "prosodyarchive" '
	..'("host", "user", "store", "when", "with", "key", "type", "value") VALUES (?,?,?,?,?,?,?,?);';
local host, user, store, key = 1, 2, 3, 6; -- the values that tell a row apart
local removal = 'DELETE FROM "prosodyarchive" WHERE "host"=? AND "user"=? AND "store"=? AND "key"=?';

local recognized = {}; -- [SQL] = whether it is the insertion; there are few statements
local function is_insertion(sql)
	if recognized[sql] == nil then
		recognized[sql] = sql:gsub("%s+", " "):match("^%s*(.-)%s*$") == insertion;
	end
	return recognized[sql];
end

--- Writes the rows of `units` in one transaction. `again`: some may be there already.
local function write(engine, units, again)
	return engine.sippo_unheld(engine, function ()
		for _, unit in ipairs(units) do
			for _, row in ipairs(unit.rows) do
				if again then engine:delete(removal, row[host], row[user], row[store], row[key]); end
				engine:insert(row.sql, unpack(row, 1, row.n));
			end
		end
		again = true; -- when the connection breaks it is called once more, and nobody knows whether it was committed
	end);
end

--- Writes all that is held. After a failure each unit is written for itself, so that one row that the store does not
-- take costs nobody else's.
function lib.write()
	local engine, units = held_by, held;
	if not engine then return; end
	held, held_by = {}, nil;
	module:log("debug", "Archiving messages in one transaction: %d", #units);
	local ok, err = write(engine, units, false);
	local is_there = ok or engine.conn and engine.conn:ping();
	for _, unit in ipairs(units) do
		if not ok then
			local stored, reason = false, err;
			if is_there then stored, reason = write(engine, { unit }, true); end
			if not stored then unit.failure = tostring(reason or "the transaction failed"); end
		end
		unit.rows = {};
	end
end

--- Whether there is anything that `write` would write.
function lib.are_there()
	return held_by ~= nil;
end

local function hold(engine, unit, rows)
	if not rows[1] then return; end
	if held_by ~= engine then
		lib.write();
		held_by = engine;
	end
	if not unit.rows[1] then held[#held + 1] = unit; end
	for _, row in ipairs(rows) do unit.rows[#unit.rows + 1] = row; end
end

local one_row = { affected = function () return 1; end, rowcount = function () return 1; end };

local function is_settings(name, sql)
	return name == "select" and not sql:find("prosodyarchive", 1, true);
end

--- Has something done before each statement that is no insertion.
-- @param prepare  function (name, sql)
local function before_others(engine, prepare)
	for _, name in ipairs { "select", "delete", "update", "execute" } do
		local method = engine[name];
		engine[name] = function (self, sql, ...)
			prepare(name, sql);
			return method(self, sql, ...);
		end
	end
end

--- Has the rows of an engine (util.sql) held. Call it behind all who change the engine's methods themselves.
function lib.adopt(engine)
	local tried; -- { rows = of the function that is tried out, failed = the first other statement's "settings" or "more" }
	local reads_settings = false; -- whether a function runs that has read nothing but settings so far
	local insert, transaction = engine.insert, engine.transaction;

	local function give_up(reason)
		tried.failed = tried.failed or reason;
		error("not held", 0);
	end

	--- Sees to it that a statement finds what is held in the database, if it has to do with it.
	local function prepare(name, sql)
		if tried then give_up(is_settings(name, sql) and "settings" or "more"); end
		if reads_settings and not is_settings(name, sql) then
			reads_settings = false;
			lib.write(); -- ends a transaction in which nothing was changed
		end
	end

	engine.sippo_unheld, engine.sippo_write_held = transaction, lib.write;

	function engine:insert(sql, ...)
		if not tried or not is_insertion(sql) then
			prepare("insert", sql);
			return insert(self, sql, ...);
		end
		local row = pack(...);
		row.sql = sql;
		tried.rows[#tried.rows + 1] = row;
		return one_row;
	end

	before_others(engine, prepare);

	function engine:transaction(func, ...)
		local unit = lib.open;
		if tried then give_up("more"); end
		if not unit or unit.thread ~= running() then
			lib.write();
			return transaction(self, func, ...);
		end
		tried = { rows = {} };
		local results, trial = pack(pcall(func, ...)), tried;
		tried = nil;
		if results[1] and not trial.failed then
			hold(self, unit, trial.rows);
			return unpack(results, 1, results.n);
		end
		reads_settings = trial.failed == "settings";
		if not reads_settings then lib.write(); end
		results = pack(transaction(self, func, ...));
		reads_settings = false;
		return unpack(results, 1, results.n);
	end
end

return lib;
