--- The block list (XEP-0191) holds against what comes by way of a room.
--
-- mod_blocklist sees the room's address as the sender. Whoever is blocked could go on by private messages, requests to
-- an occupant, and invitations. What is said to the whole room is the room's, and reaches all who are in it.

local st = require "util.stanza";
local jid = require "util.jid";

local muc = module:depends "muc";
local is_service = module:require "sippo_service".is_service;

--- Whether the user of this server has blocked the sender, by full JID, bare JID or domain.
local function has_blocked(user, sender)
	local node, host = jid.split(user);
	if not node or not prosody.hosts[host] or not prosody.hosts[host].modules.blocklist then return false; end
	local list = module:context(host):open_store("blocklist"):get(node);
	return list and (list[sender] or list[jid.bare(sender)] or list[jid.host(sender)]) and true or false;
end

local function refuse(event)
	event.origin.send(st.error_reply(event.stanza, "cancel", "service-unavailable", nil, module.host));
	return true;
end

local asked = { groupchat = false, error = false, result = false };

--- To an occupant
local function guard(event)
	local stanza = event.stanza;
	local from = stanza.attr.from;
	if asked[stanza.attr.type] == false or is_service(from) then return; end
	local room = muc.get_room_from_jid(jid.bare(stanza.attr.to));
	local occupant = room and room:get_occupant_jid(from) and room:get_occupant_by_nick(stanza.attr.to);
	if occupant and has_blocked(occupant.bare_jid, from) then return refuse(event); end
end

-- Before mod_muc (-2)
module:hook("message/full", guard, -1.5);
module:hook("iq/full", guard, -1.5);

--- To somebody whom the room is asked to tell
local function guard_relayed(name)
	return function (event)
		local room, stanza = event.room, event.stanza;
		local x = stanza:get_child("x", "http://jabber.org/protocol/muc#user");
		local payload = x and x:get_child(name);
		local addressee = payload and jid.prep(payload.attr.to);
		if not addressee then return; end
		local occupant = jid.bare(addressee) == room.jid and room:get_occupant_by_nick(addressee);
		if has_blocked(occupant and occupant.bare_jid or addressee, stanza.attr.from) then return refuse(event); end
	end
end
-- After those who may have told the sender that they may not ask for this at all (1000, 900)
module:hook("muc-pre-invite", guard_relayed("invite"), 500);
module:hook("muc-pre-decline", guard_relayed("decline"), 500);
