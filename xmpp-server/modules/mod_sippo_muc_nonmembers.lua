--- Whoever does not belong to a room cannot tell it from one that does not exist (XEP-0045).
--
-- The names of groups and conferences can be guessed, and whether one exists or has ended is its members' business. So
-- whatever strangers send to a room of the service, there or not, has one and the same answer. The same holds for
-- `adhoc-…` rooms that are hidden and members-only. But who enters one that is not there makes it, and who
-- may not enter learns that it is there.
--
-- What nobody answers anyway (errors, results, farewells, probes) is dropped. Strangers of other tenants have an answer
-- of mod_sippo_tenant_isolation, which comes first: one for all addresses.

local st = require "util.stanza";
local jid_bare = require "util.jid".bare;
local jid_node = require "util.jid".node;

local muc = module:depends "muc";
local is_service = module:require "sippo_service".is_service;
local rooms = module:require "sippo_rooms";

local xmlns_muc = "http://jabber.org/protocol/muc";
local unanswered = { error = true, result = true, unavailable = true, probe = true };
local text = "There is no such room, or you do not belong to it; rooms of your own have names that begin with adhoc-";

local function belongs(room, user)
	return rooms.is_member(room, user) or room:get_occupant_jid(user) ~= nil;
end

--- Whether the room is none of the sender's business.
local function is_out_of_bounds(room, room_jid, stanza)
	if room == false or room and room._data.locked == math.huge then return false; end -- mod_muc says: unreadable
	if room and belongs(room, stanza.attr.from) then return false; end
	if rooms.is_service_room(room_jid) then return true; end
	-- Without the `x` mod_muc makes no room, and tells one that is there from one that is not.
	local enters = stanza.name == "presence" and stanza.attr.type == nil and stanza:get_child("x", xmlns_muc);
	return not enters and (not room or room:get_members_only() and not room:get_public());
end

--- Whether it is a request of the service's own kinds. They are answered before anybody looks for the room, and a
-- service that is not taken for the admin has to be told so, not that there is no room.
local function is_of_the_service(stanza)
	local payload = stanza.name == "iq" and stanza.tags[1];
	return payload and (payload.attr.xmlns or ""):find("urn:quobis:sippo:", 1, true) == 1;
end

local function guard(event)
	local origin, stanza = event.origin, event.stanza;
	local room_jid = jid_bare(stanza.attr.to);
	if not jid_node(room_jid) or is_service(stanza.attr.from) or is_of_the_service(stanza) then return; end
	if not is_out_of_bounds(muc.get_room_from_jid(room_jid), room_jid, stanza) then return; end
	if not unanswered[stanza.attr.type] then
		origin.send(st.error_reply(stanza, "cancel", "item-not-found", text, module.host));
	end
	return true;
end

-- After mod_sippo_tenant_isolation (1000)
for _, name in ipairs { "message", "presence", "iq" } do
	for _, address in ipairs { "bare", "full" } do module:hook(name.."/"..address, guard, 950); end
end
