--- How much of a SQL store a user fills. Other kinds of stores are not counted.

local bytes_of = { SQLite3 = 'LENGTH(CAST("value" AS BLOB))', PostgreSQL = 'OCTET_LENGTH("value")' };

local _M = {};

--- Rows that meet a condition, bytes of their values, and whether a database has answered. None of either where it
-- cannot be asked: it will refuse what is to be stored as well.
-- @param condition  SQL, with a question mark for each of the further arguments
local function count(name, condition, ...)
	local rows, bytes, values, answered = 0, 0, { ... }, nil;
	for _, engine in pairs(module:shared "/*/sql/connections") do
		local sql = ('SELECT COUNT(*), COALESCE(SUM(%s), 0) FROM "%s" WHERE "host"=? AND "user"=? AND %s')
			:format(bytes_of[engine.params.driver], name, condition);
		local ok = engine:transaction(function ()
			for row in engine:select(sql, module.host, table.unpack(values)) do
				rows, bytes = rows + row[1], bytes + row[2];
			end
		end);
		answered = ok and answered ~= false;
	end
	return rows, bytes, answered or false;
end

--- Rows and bytes of a user's key-value store, but for what one key has.
function _M.of_keys(store, username, except)
	return count("prosody", '"store"=? AND "key"<>?', username, store, except or "");
end

--- Rows and bytes of a user's archives whose names begin with `prefix`, but for what one item of one of them has; and
-- whether a database has answered.
function _M.of_archives(prefix, username, except_store, except_key)
	local behind = prefix:sub(1, -2)..string.char(prefix:byte(-1) + 1);
	return count("prosodyarchive", '"store">=? AND "store"<? AND NOT ("store"=? AND "key"=?)', username, prefix, behind,
		except_store or "", except_key or "");
end

--- Rows and bytes of those items of a user's archive that have a text in them, but for what one key has.
-- @param text  without `%` and `_`
function _M.with_text(store, username, text, except)
	return count("prosodyarchive", [["store"=? AND "value" LIKE ? AND "key"<>?]], username, store, "%"..text.."%",
		except or "");
end

return _M;
