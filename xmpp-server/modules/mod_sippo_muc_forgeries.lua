--- What only a room says, nobody says in a message to all (XEP-0045): elements of `muc#user` are taken out.
--
-- Status codes, invitations, refusals of them and affiliations are the room's word: clients believe them because they
-- come from its address. mod_muc takes them out of presence and private messages, but relays them in group messages.

module:depends "muc";

local is_rooms_own = {
	["http://jabber.org/protocol/muc"] = true,
	["http://jabber.org/protocol/muc#user"] = true,
};

-- After mod_muc has looked whether the sender may speak (50), before the message is kept and sent (0)
module:hook("muc-occupant-groupchat", function (event)
	event.stanza:maptags(function (tag)
		if is_rooms_own[tag.attr.xmlns] then return nil; end
		return tag;
	end);
end, 40);
