--- Has a database engine (util.sql) keep its SELECTs prepared for its connection, as it does with all that writes.
--
-- util.sql prepares each anew and closes it. To read the text takes SQLite eight times as long as to answer a small
-- query, and with PostgreSQL preparing and closing are two more ways there and back.
--
-- `limits`: `statements`, how many a connection keeps; `bytes`, the longest text of one; `rows`, the longest answer of
-- one, since a server may keep the last answer of a statement in memory.

--- Runs a statement; its rows, or nil and what the database says. All rows are read at once, so that another query may
-- run the same statement meanwhile.
local function rows_of(statement, ...)
	local ok, err = statement:execute(...);
	if not ok then return nil, err; end
	local rows = {};
	for row in statement:rows() do rows[#rows + 1] = row; end
	return rows;
end

return function (engine, limits)
	local most, longest, most_rows = limits.statements, limits.bytes or math.huge, limits.rows or math.huge;
	local prepare_anew, kept, count = engine.select, nil, 0; -- those of the connection that `kept` belongs to

	function engine:select(sql, ...)
		if kept ~= self.prepared then kept, count = self.prepared, 0; end -- a new connection, or all were closed
		local statement = kept[sql];
		if not statement then
			if count >= most or #sql > longest or not sql:find("^%s*SELECT") then return prepare_anew(self, sql, ...); end
			statement = assert(self.conn:prepare(sql));
			kept[sql], count = statement, count + 1;
		end
		local rows, err = rows_of(statement, ...);
		if not rows or #rows > most_rows then
			statement:close();
			kept[sql], count = nil, count - 1;
		end
		assert(rows, err);
		local position = 0;
		return function ()
			position = position + 1;
			return rows[position];
		end
	end
end
