--- SQLite with a write-ahead log, where mod_storage_sql leaves the rollback journal.
--
-- With the rollback journal each commit waits for the disk several times and writes pages twice, with the log once. The
-- mode stays in the file: one of before is converted when it is opened, and no later release has to know.
--
-- `sippo_sqlite_synchronous` says what a loss of power may cost. `full` (default): nothing that was answered. `normal`:
-- the commits since the last checkpoint, the file stays sound; a commit does not wait for the disk at all. The end of
-- Prosody alone, however sudden, costs nothing in either.
--
-- Queries are prepared once. Other databases are left as they are. Load it globally.

module:set_global();

local close_statements = module:require "sippo_statements";
local on_each_engine = module:require "sippo_sql_engines";
local synchronous = module:get_option_string("sippo_sqlite_synchronous", "full");

--- The first value that a pragma answers; nil if it answers none. Throws what SQLite says.
local function pragma(conn, text)
	local statement = assert(conn:prepare("PRAGMA "..text));
	assert(statement:execute());
	local row = statement:fetch();
	statement:close();
	return row and row[1];
end

--- Neither pragma may stand in a transaction, which LuaDBI begins by itself unless told not to.
local function tune(conn)
	conn:autocommit(true);
	local ok, mode = pcall(pragma, conn, "journal_mode=WAL");
	local set, err = pcall(pragma, conn, "synchronous="..synchronous);
	local _, level = pcall(pragma, conn, "synchronous");
	conn:autocommit(false);
	module:log("debug", "SQLite has journal_mode=%s, synchronous=%s", mode, level);
	if not ok or mode ~= "wal" then
		module:log("warn", "SQLite keeps its journal mode (%s), so each write waits long for the disk; put the data on a"
			.." local file system, and see that nothing else has the database open", mode);
	end
	if not set then
		module:log("warn", "SQLite does not take synchronous=%s: %s; it keeps its default, full", synchronous, err);
	end
end

local most_kept = 100; -- queries of a connection: some have lists in their text

--- Has a connection prepare each query once, as Prosody does with all that writes. To read the text anew takes SQLite
-- eight times as long as to answer a small one.
local function keep_queries(engine)
	local prepare_anew, counted, count = engine.select, nil, 0;
	function engine:select(sql, ...)
		local kept = self.prepared;
		if kept ~= counted then counted, count = kept, 0; end -- a new connection, or all were closed
		local statement = kept[sql];
		if not statement then
			if count >= most_kept or not sql:find("^%s*SELECT") then return prepare_anew(self, sql, ...); end
			statement = assert(self.conn:prepare(sql));
			kept[sql], count = statement, count + 1;
		end
		assert(statement:execute(...));
		local rows, position = {}, 0;
		for row in statement:rows() do rows[#rows + 1] = row; end
		return function ()
			position = position + 1;
			return rows[position];
		end
	end
end

local function adopt(engine)
	if engine.params.driver ~= "SQLite3" then return; end
	keep_queries(engine);
	local onconnect = engine.onconnect;
	function engine:onconnect()
		tune(self.conn);
		return onconnect(self);
	end
	if engine.conn then tune(engine.conn); end
	local transaction = engine._transaction;
	function engine:_transaction(...)
		local ok, a, b, c = transaction(self, ...);
		if not ok then close_statements(self); end
		return ok, a, b, c;
	end
end

on_each_engine(adopt);
