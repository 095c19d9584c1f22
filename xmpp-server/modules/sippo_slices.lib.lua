--- Long deletions in slices, so that others have their turn in between.

local async = require "util.async";
local now = require "util.time".monotonic;

local _M = {};

_M.rows = 2000; -- of a slice: less than 0.1 s
local shortest_pause = 0.01; -- seconds

-- What tells rows apart where they have no key
local row_ids = { SQLite3 = '"rowid"', PostgreSQL = '"ctid"' };

local function sleep(seconds)
	local wait, done = async.waiter();
	module:add_timer(seconds, done);
	wait();
end

--- Calls `step()` until it returns false, with half as much time for others in between as it took.
-- It has to be called in what `run` runs, or another util.async runner.
-- @return true, or nil and what went wrong when `step` returned that
function _M.each(step)
	while true do
		local began = now();
		local more, err = step();
		if more == nil then return nil, err; end
		if not more then return true; end
		sleep(math.max(shortest_pause, (now() - began) / 2));
	end
end

--- Calls `job()` by and by.
function _M.run(job)
	async.runner(function (f) f(); end, { error = function (_, err)
		module:log("error", "Traceback[slices]: %s", err);
	end }):run(job);
end

--- Deletes at most `rows` rows of the table `name` from a SQL engine.
-- @param condition  SQL, with a question mark for each of the further arguments
-- @return how many there were, or nil and what went wrong
function _M.delete(engine, name, condition, ...)
	local id = row_ids[engine.params.driver];
	local values = { ... };
	values[#values + 1] = _M.rows;
	local sql = ('DELETE FROM "%s" WHERE %s IN (SELECT %s FROM "%s" WHERE %s LIMIT ?)')
		:format(name, id, id, name, condition);
	local ok, result = engine:transaction(function ()
		return engine:delete(sql, table.unpack(values));
	end);
	if not ok then return nil, result; end
	local rows = result:affected();
	if rows > 0 then module:log("debug", "Deleted %d rows of %s", rows, name); end
	return rows;
end

return _M;
