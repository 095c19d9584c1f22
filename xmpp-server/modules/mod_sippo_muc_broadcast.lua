--- A room says which message it sends to all its occupants, so that what the copies have in common is done once.
--
-- See sippo_broadcast; mod_sippo_groupchat and mod_sippo_websocket_text make use of it.

local during = module:require "sippo_broadcast".during;

local room_mt = module:depends "muc".room_mt;
local broadcast = room_mt.broadcast;

function room_mt:broadcast(stanza, ...)
	return during(stanza, broadcast, self, stanza, ...);
end

function module.unload()
	room_mt.broadcast = broadcast;
end
