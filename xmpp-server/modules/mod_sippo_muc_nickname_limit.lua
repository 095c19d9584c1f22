--- In how many rooms one user has a nickname registered (XEP-0045, section 7.10).
--
-- A room keeps it, with an affiliation, for as long as there is the room. Who is registered where is in the store
-- `sippo_nicknames`; before anybody is refused, rooms in which they are not registered any more are struck off.

local st = require "util.stanza";
local jid_bare = require "util.jid".bare;
local jid_node = require "util.jid".node;

local muc = module:depends "muc";
local is_service = module:require "sippo_service".is_service;

local limit = module:get_option_number("sippo_nickname_limit", 100);
local registered_by = module:open_store("sippo_nicknames"); -- bare JID: { localpart of the room = true, … }
local entries = module:open_store("sippo_nicknames", "map");

local function is_registered(user, node)
	local room = muc.get_room_from_jid(node.."@"..module.host);
	local data = room and room:get_affiliation_data(user);
	return data and data.reserved_nickname;
end

--- Whether `user` is registered in as many other rooms as they may be.
local function has_enough(user, node)
	local count, rooms = 0, registered_by:get(user) or {};
	for other in pairs(rooms) do count = count + (other ~= node and 1 or 0); end
	if count < limit then return false; end
	for other in pairs(rooms) do
		if other ~= node and not is_registered(user, other) then
			entries:set(user, other, nil);
			count = count - 1;
		end
	end
	return count >= limit;
end

-- Before mod_muc (-2)
module:hook("iq/bare/jabber:iq:register:query", function (event)
	local origin, stanza = event.origin, event.stanza;
	if stanza.attr.type ~= "set" then return; end
	local user = jid_bare(stanza.attr.from);
	if is_service(user) or stanza.tags[1]:get_child("remove") or not has_enough(user, jid_node(stanza.attr.to)) then
		return;
	end
	origin.send(st.error_reply(stanza, "wait", "resource-constraint",
		"You have registered a nickname in as many rooms as you may: take one back first"));
	return true;
end, 5);

module:hook("muc-registration-submitted", function (event)
	entries:set(jid_bare(event.stanza.attr.from), jid_node(event.room.jid), true);
end);
