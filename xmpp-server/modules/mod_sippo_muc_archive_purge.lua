--- The archive of a room that has ended is removed in slices, so that others have their turn in between.
--
-- mod_muc_mam removes it in one piece. Here a small one goes at once; of a larger one the rest goes by and by, also
-- after a crash: which ones is in the store `sippo_archive_purge`. Nobody reads it meanwhile, since there is no such
-- room, and none of that name can be made until it is gone (`is_purging`).

local st = require "util.stanza";
local jid_node = require "util.jid".node;

module:depends "muc";

local slices = module:require "sippo_slices";

local archive = module:open_store("muc_log", "archive");
local unfinished = module:open_store("sippo_archive_purge", "map");

local purging = {}; -- localpart of the room: true
local unloaded = false;

local class = getmetatable(archive).__index;
local delete = class.delete;

-- What mod_muc_mam does when a room is destroyed
function class:delete(username, query)
	if self.store == "muc_log" and purging[username] and not (query and next(query)) then return 0; end
	return delete(self, username, query);
end

--- Deletes the next rows. Whether there may be more, or nil and what went wrong.
local function step(node)
	local rows = 0;
	for _, engine in pairs(module:shared "/*/sql/connections") do
		local deleted, err = slices.delete(engine, "prosodyarchive", '"host"=? AND "user"=? AND "store"=?', module.host, node,
			"muc_log");
		if not deleted then return nil, err; end
		rows = rows + deleted;
	end
	return rows >= slices.rows;
end

local function go_on(node)
	purging[node] = true;
	slices.run(function ()
		local ok, err = slices.each(function () return not unloaded and step(node); end);
		if unloaded then return; end
		if ok then ok, err = unfinished:set(nil, node, nil); end
		if not ok then
			module:log("error", "Could not remove all of the archive of %s@%s: %s; see that the database works, then restart",
				node, module.host, err);
			return;
		end
		purging[node] = nil;
		delete(archive, node); -- nothing is left but a count in memory
	end);
end

--- Whether messages of an earlier room of that name are still being removed.
function module.environment.is_purging(node)
	return purging[node] or false;
end

--- Removes the archive of a room, or begins to.
-- @return true, or nil and what went wrong
local function purge(node)
	if purging[node] then return true; end
	local more, err = step(node);
	if more == nil then return nil, err; end
	if not more then return delete(archive, node); end -- another kind of store, and counts in memory
	local ok, problem = unfinished:set(nil, node, true);
	if not ok then return nil, problem; end
	go_on(node);
	return true;
end

module.environment.purge = purge;

-- Before mod_muc_mam (0)
module:hook("muc-room-destroyed", function (event) purge(jid_node(event.room.jid)); end, 5);

-- Before those who make room for it in memory or count it
module:hook("muc-room-pre-create", function (event)
	if not purging[jid_node(event.room.jid)] then return; end
	event.origin.send(st.error_reply(event.stanza, "wait", "resource-constraint",
		"What was said in an earlier room of that name is still being removed: try again later", module.host));
	return true;
end, 1100);

for node in pairs(module:open_store("sippo_archive_purge"):get(nil) or {}) do go_on(node); end

function module.unload()
	unloaded = true;
	class.delete = delete;
end
