--- Bounds what is read of an archive at once by its bytes.
--
-- Callers of a store (mod_mam, mod_muc_mam) bound the number of items only, and take the end of what they get for the
-- end of the archive. So the store itself reads a few items at a time, and stops when they have become too large.

local st = require "util.stanza";

local size_of = module:require "sippo_stanza_size";

local batch = 5; -- items that are read before their size is looked at

local reading; -- while a bounded call runs: { left = bytes, cut = whether there was more }

local function size(item)
	return size_of(st.is_stanza(item) and item or st.deserialize(item));
end

--- Adds the items that still fit to `rows`, the first in any case. Reads all, so that the statement is done with.
local function take(rows, items)
	local count, last = 0, nil;
	for id, item, when, with in items do
		count, last = count + 1, id;
		local bytes = reading.cut or size(item);
		if reading.cut or rows[1] and bytes > reading.left then
			reading.cut = true;
		else
			reading.left = reading.left - bytes;
			rows[#rows + 1] = { id, item, when, with };
		end
	end
	return count, last;
end

local function find_bounded(find, store, username, query)
	local part, rows, wanted, total = {}, {}, query.limit, nil;
	for key, value in pairs(query) do part[key] = value; end
	repeat
		part.limit = math.min(batch, wanted);
		local items, count_or_error = find(store, username, part);
		if not items then return nil, count_or_error; end
		if part.total then total, part.total = count_or_error, nil; end
		local count, last = take(rows, items);
		wanted = wanted - count;
		part[query.reverse and "before" or "after"] = last;
	until count < part.limit or wanted == 0 or reading.cut
	local index = 0;
	return function ()
		index = index + 1;
		if rows[index] then return table.unpack(rows[index], 1, 4); end
	end, total;
end

local _M = {};

--- Has finds with a limit in the archives called `name` stop when `read` says how many bytes may be read.
function _M.bound(name)
	local class = getmetatable(module:open_store(name, "archive")).__index;
	local find = class.find;
	function class:find(username, query)
		if not reading or self.store ~= name or not query or (query.limit or 0) == 0 then
			return find(self, username, query);
		end
		return find_bounded(find, self, username, query);
	end
end

--- Calls `f(…)`, which may read `bytes` of an archive (one item in any case).
-- @return whether there was more, and what `f` returns
function _M.read(bytes, f, ...)
	reading = { left = bytes, cut = false };
	local ok, result = xpcall(f, debug.traceback, ...);
	local cut = reading.cut;
	reading = nil;
	if not ok then error(result, 0); end
	return cut, result;
end

return _M;
