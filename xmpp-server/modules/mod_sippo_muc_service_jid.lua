--- Rooms do not show the service's address (XEP-0045): neither as who did something, nor as an occupant.
--
-- In a non-anonymous room mod_muc names the actor of each revocation, and everybody's JID. The service's is nobody's
-- business: it is the one account that may do everything.

local muc = module:depends "muc";
local is_service = module:require "sippo_service".is_service;

local room_mt = muc.room_mt;
local build_item_list = room_mt.build_item_list;

function room_mt:build_item_list(occupant, x, is_anonymous, nick, actor_nick, actor_jid, reason)
	if is_service(actor_jid) then actor_nick, actor_jid = nil, nil; end
	return build_item_list(self, occupant, x, is_anonymous or is_service(occupant.bare_jid), nick, actor_nick, actor_jid,
		reason);
end

-- The archive of a non-anonymous room notes who has spoken.
module:hook("muc-broadcast-message", function (event)
	local occupant = event.room._occupants[event.stanza.attr.from];
	if occupant and is_service(occupant.bare_jid) then event.stanza.attr.from = event.room.jid; end
end, 10);

function module.unload()
	room_mt.build_item_list = build_item_list;
end
