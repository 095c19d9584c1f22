--- When the server stops, all rooms of a component are saved with one commit, and only those that have changed.
--
-- mod_muc writes each room in memory three times, with a commit each: a thousand take as long as a supervisor waits
-- before it kills. Yet rooms are written when they are changed: what is left are occupants, the last message, and
-- rooms that were made and not configured. One that is not persistent ends: no session survives, and whoever was saved
-- as its occupant, waiting to be resumed, would keep it for good.

local jid_node = require "util.jid".node;

local muc = module:depends "muc";
local hook_global = module:require "sippo_global_hook";
local transaction = module:require "sippo_transaction";

local configs = module:open_store("config");

local function same(a, b)
	if type(a) ~= "table" or type(b) ~= "table" then return a == b; end
	for key, value in pairs(a) do
		if not same(value, b[key]) then return false; end
	end
	for key in pairs(b) do
		if a[key] == nil then return false; end
	end
	return true;
end

--- Whether the store holds the room as it is. mod_muc takes its state (occupants, last message) off when it loads it.
local function is_stored(room)
	local config, state = room:freeze(true);
	return next(state) == nil and same(config, configs:get(jid_node(room.jid)));
end

--- Ends the room, with its archive and whatever counts it, unless it is persistent.
local function end_temporary(room)
	if room:get_persistent() then return false; end
	module:fire_event("muc-room-destroyed", { room = room });
	return true;
end

--- Its tenant is about to be unloaded, and no room is in use; true when all are stored.
module:hook("sippo-save-rooms", function ()
	local changed = {};
	for room in muc.live_rooms() do
		if not is_stored(room) then changed[#changed + 1] = room; end
	end
	if not changed[1] then return true; end
	return transaction(function ()
		for _, room in ipairs(changed) do room:save(nil, true); end
	end) or false;
end);

-- Just before mod_muc (-300): all sessions have ended.
hook_global("server-stopping", function ()
	local rooms = {};
	for room in muc.live_rooms() do rooms[#rooms + 1] = room; end
	local ok, err = transaction(function ()
		for _, room in ipairs(rooms) do
			if not (end_temporary(room) or is_stored(room)) then room:save(nil, true); end
		end
	end);
	if ok then
		for _, room in ipairs(rooms) do muc.forget_room(room); end -- nothing left for mod_muc
	else
		module:log("warn", "Could not save the rooms in one transaction: %s; each is saved by itself", err);
		for _, room in ipairs(rooms) do end_temporary(room); end
	end
end, -299);
