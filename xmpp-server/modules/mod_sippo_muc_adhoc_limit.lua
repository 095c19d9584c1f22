--- How many `adhoc-…` rooms one user may have made that are there still (see mod_sippo_muc_policy for who makes which).
--
-- Rooms stay on the disk for as long as their owners like, so somebody has to stop at some number: the creator, whoever
-- owns the room by now. Who made which is in the store `sippo_adhoc`, and each room carries its creator so that it can
-- be struck off. A crash takes rooms that were never stored and leaves their entries: before anybody is refused,
-- entries of rooms that are gone are struck off.

local st = require "util.stanza";
local jid_node = require "util.jid".node;
local new_cache = require "util.cache".new;

local muc = module:depends "muc";
local is_service = module:require "sippo_service".is_service;

local limit = module:get_option_number("sippo_adhoc_limit", 100);
local made_by = module:open_store("sippo_adhoc"); -- user: { localpart of the room = true, … }
local entries = module:open_store("sippo_adhoc", "map");
local stored = module:open_store("persistent", "map"); -- mod_muc's list of all rooms on the disk

-- When a user's entries were looked through last: one who tries again and again must not keep the server busy.
local looked = new_cache(1000);

local function strike_off_gone(user, rooms)
	if looked:get(user) == os.time() then return; end
	looked:set(user, os.time());
	local live = {};
	for room in muc.live_rooms() do live[jid_node(room.jid)] = true; end
	for node in pairs(rooms) do
		local there, err = live[node], nil;
		if not there then there, err = stored:get(nil, node.."@"..module.host); end
		if not (there or err) then
			entries:set(user, node, nil);
			rooms[node] = nil;
		end
	end
end

local function count(rooms)
	local n = 0;
	for _ in pairs(rooms) do n = n + 1; end
	return n;
end

--- Whether `user` has made as many as they may. If the store fails nobody is refused: rooms need it anyway.
local function has_enough(user)
	local rooms = made_by:get(user) or {};
	if count(rooms) < limit then return false; end
	strike_off_gone(user, rooms);
	return count(rooms) >= limit;
end

-- After mod_sippo_muc_policy (1000), before mod_muc keeps the room in memory
module:hook("muc-room-pre-create", function (event)
	local from = event.stanza.attr.from;
	if is_service(from) or not has_enough(jid_node(from)) then return; end
	event.origin.send(st.error_reply(event.stanza, "wait", "resource-constraint",
		"You have made as many rooms as you may: destroy one first", module.host));
	return true;
end, 900);

module:hook("muc-room-created", function (event)
	local room, from = event.room, event.stanza and event.stanza.attr.from; -- without a stanza the service made it
	if not from or is_service(from) then return; end
	room._data.sippo_creator = jid_node(from);
	entries:set(room._data.sippo_creator, jid_node(room.jid), true);
end);

module:hook("muc-room-destroyed", function (event)
	local creator = event.room._data.sippo_creator;
	if creator then entries:set(creator, jid_node(event.room.jid), nil); end
end, 1);
