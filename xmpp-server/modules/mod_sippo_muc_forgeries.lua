--- What only a room says of its occupants and messages, nobody says in its stead (XEP-0045).
--
-- What comes from a room's address is the room's word to a client: status codes, invitations and affiliations
-- (`muc#user`), what an occupant is (hats, XEP-0317), who has sent what it hands on (`ofrom`, XEP-0033), when it came
-- (XEP-0203), and under which name somebody goes: a nickname beside the room's own (XEP-0172) would be anybody's.
-- mod_muc takes the first out of presence and private messages, and a delay of the room's out of group messages. Here
-- all of them are taken out of all three.

module:depends "muc";

local is_rooms_own = {
	["http://jabber.org/protocol/muc"] = true,
	["http://jabber.org/protocol/muc#user"] = true,
	["urn:xmpp:hats:0"] = true,
	["xmpp:prosody.im/protocol/hats:1"] = true, -- before it was a XEP
	["http://jabber.org/protocol/address"] = true,
	["http://jabber.org/protocol/nick"] = true,
};

-- mod_muc's table of what it takes out of presence, private messages and what it tells for others
local filtered = module:shared "muc/filtered-namespaces";
for xmlns in pairs(is_rooms_own) do filtered[xmlns] = true; end

local is_delay = { ["urn:xmpp:delay"] = true, ["jabber:x:delay"] = true };

-- After mod_muc has looked whether the sender may speak (50), before the message is kept and sent (0)
module:hook("muc-occupant-groupchat", function (event)
	event.stanza:maptags(function (tag)
		if is_rooms_own[tag.attr.xmlns] then return nil; end
		return tag;
	end);
end, 40);

--- Takes out what says when the room got it.
local function remove_delays(room, stanza)
	stanza:maptags(function (tag)
		if is_delay[tag.attr.xmlns] and tag.attr.from == room.jid then return nil; end
		return tag;
	end);
end

module:hook("muc-private-message", function (event) remove_delays(event.room, event.stanza); end, 1);

for _, step in ipairs { "join", "change", "leave" } do
	module:hook("muc-occupant-pre-"..step, function (event) remove_delays(event.room, event.stanza); end, 1);
end
