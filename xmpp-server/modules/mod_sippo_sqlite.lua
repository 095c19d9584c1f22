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
local keep_selects = module:require "sippo_prepared_selects";
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

local function adopt(engine)
	if engine.params.driver ~= "SQLite3" then return; end
	keep_selects(engine, { statements = 100 }); -- some have lists in their text
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
