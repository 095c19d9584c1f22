--- PostgreSQL is asked less often: each statement is a way there and back, and Prosody stands still meanwhile.
--
-- mod_storage_sql writes what it stores row by row: a room with 500 members is saved with more than 500 statements.
-- Here rows that follow each other go together, at the latest when the function that stores them returns, so what fails
-- still fails the same transaction. And util.sql prepares each SELECT anew and closes it, three ways instead of one:
-- here it stays prepared. What is committed when, and what a commit waits for, is as before.
--
-- Other databases are left as they are. Load it globally.

module:set_global();

local keep_selects = module:require "sippo_prepared_selects";
local on_each_engine = module:require "sippo_sql_engines";
local pack, unpack = table.pack, table.unpack;

local insert_pattern = '^%s*(INSERT INTO "prosody%l*"%s*%b()%s*VALUES%s*)(%([?,%s]+%))%s*;?%s*$';
local at_once = { 100, 10, 1 }; -- rows in one statement: few sizes, for each stays prepared
-- Those of archives are of many kinds; what names many ids is never asked again.
local select_limits = { statements = 200, bytes = 2000, rows = 100 };

local one_row = { affected = function () return 1; end, rowcount = function () return 1; end };

--- The statement that inserts `count` rows.
local function statement(head, row, count)
	return head..row..(","..row):rep(count - 1);
end

--- `{ head, row }` of a statement that inserts one row and nothing else, or false. There are few such statements.
local parsed = {};
local function parse(sql)
	if parsed[sql] == nil then
		local head, row = sql:match(insert_pattern);
		parsed[sql] = head and { head = head, row = row } or false;
	end
	return parsed[sql];
end

--- Sends rows that follow each other together. `class` has the engine's own methods.
local function send_together(engine, class)
	local waiting, sql_of_waiting = {}, nil; -- rows, each with its number of values as `n`

	--- Drops the rows that wait: what stored them has failed.
	local function forget() waiting, sql_of_waiting = {}, nil; end

	--- Sends the rows that wait; throws what PostgreSQL says.
	function engine:sippo_flush()
		if not sql_of_waiting then return; end
		local rows, insert = waiting, parse(sql_of_waiting);
		forget();
		local sent = 0;
		for _, count in ipairs(at_once) do
			while #rows - sent >= count do
				local values, n = {}, 0;
				for i = sent + 1, sent + count do
					for j = 1, rows[i].n do values[n + j] = rows[i][j]; end
					n = n + rows[i].n;
				end
				class.insert(self, statement(insert.head, insert.row, count), unpack(values, 1, n));
				sent = sent + count;
			end
		end
	end

	function engine:insert(sql, ...)
		if not parse(sql) then
			self:sippo_flush();
			return class.insert(self, sql, ...);
		end
		if sql ~= sql_of_waiting then self:sippo_flush(); end
		sql_of_waiting = sql;
		waiting[#waiting + 1] = pack(...);
		return one_row;
	end

	for _, method in ipairs { "select", "delete", "update", "execute" } do
		local run = engine[method];
		engine[method] = function (self, ...)
			self:sippo_flush();
			return run(self, ...);
		end
	end

	--- Calls `func`, and sends what it has stored: within a transaction.
	function engine:sippo_flushed(func, ...)
		local results = pack(func(...));
		self:sippo_flush();
		return unpack(results, 1, results.n);
	end

	engine.sippo_forget = forget;

	function engine:_transaction(func, ...)
		if not self.__transaction then forget(); end
		return class._transaction(self, self.sippo_flushed, self, func, ...);
	end
end

on_each_engine(function (engine)
	if engine.params.driver ~= "PostgreSQL" then return; end
	local class = getmetatable(engine).__index;
	keep_selects(engine, select_limits);
	send_together(engine, class);
end);
