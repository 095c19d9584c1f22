--- How much users store in a room, and have it say to whoever asks (XEP-0045).
--
-- A room's name is in every list of rooms, its configuration is written as a whole with each change, and the list of
-- those who belong to it, or are banned, is one answer. So
--   * a name, and each other text of the configuration form but the description, is at most 1,023 bytes; the
--     description and the subject are at most 4,096;
--   * in rooms of the users' own the addresses and nicknames of all who have an affiliation take
--     `sippo_affiliation_quota` bytes (default 128 KiB). Who belongs to the service's rooms is the service's to say.

local st = require "util.stanza";
local jid_bare = require "util.jid".bare;
local jid_prep = require "util.jid".prep;

local muc = module:depends "muc";
local is_service = module:require "sippo_service".is_service;
local is_service_room = module:require "sippo_rooms".is_service_room;

local quota = module:get_option_number("sippo_affiliation_quota", 128 * 1024);
local short, long = 1023, 4096;
local most_of = { ["muc#roomconfig_roomdesc"] = long };
local row = 32; -- what an affiliation takes besides its address

local function refuse(event, condition, text)
	event.origin.send(st.error_reply(event.stanza, "modify", condition, text, module.host));
	return true;
end

-- Texts -------------------------------------------------------------------------------------

--- The first field of a form whose values are too long together, and how long they may be.
local function too_long(form)
	for field in form:childtags("field") do
		local bytes, most = 0, most_of[field.attr.var] or short;
		for value in field:childtags("value") do bytes = bytes + #(value:get_text() or ""); end
		if bytes > most then return field.attr.var or "", most; end
	end
end

-- Before mod_muc, and before our modules that look into the form
module:hook("iq/bare/http://jabber.org/protocol/muc#owner:query", function (event)
	local stanza = event.stanza;
	local form = stanza.attr.type == "set" and stanza.tags[1]:get_child("x", "jabber:x:data");
	if not form or is_service(stanza.attr.from) then return; end
	local field, most = too_long(form);
	if field then return refuse(event, "not-acceptable", ("%s is at most %d bytes"):format(field:sub(1, 100), most)); end
end, 30);

-- Before the room takes it (20)
module:hook("muc-occupant-groupchat", function (event)
	local stanza = event.stanza;
	local subject = not stanza:get_child("body") and stanza:get_child_text("subject");
	if subject and #subject > long and not is_service(stanza.attr.from) then
		return refuse(event, "not-acceptable", ("A subject is at most %d bytes"):format(long));
	end
end, 45);

-- Affiliations ---------------------------------------------------------------------------------

--- Whether the room has no place for one more who has an affiliation.
local function is_full(room, jid)
	if is_service_room(room.jid) or room._affiliations[jid] then return false; end -- not by that of a whole domain
	local bytes = #jid + row;
	for other, _, data in room:each_affiliation() do
		bytes = bytes + #other + row + #(data and data.reserved_nickname or "");
	end
	return bytes > quota;
end

-- By whatever way: also an invitation and a registration make members.
module:hook("muc-pre-set-affiliation", function (event)
	if event.affiliation == "none" or is_service(event.actor) or not is_full(event.room, event.jid) then return; end
	event.allowed = false;
	event.error = { type = "wait", condition = "resource-constraint" };
end);

-- Whoever sets one is told why not.
module:hook("iq-set/bare/http://jabber.org/protocol/muc#admin:query", function (event)
	local stanza = event.stanza;
	local room = not is_service(stanza.attr.from) and muc.get_room_from_jid(jid_bare(stanza.attr.to));
	local item = room and stanza.tags[1]:get_child("item");
	local jid = item and item.attr.affiliation and item.attr.affiliation ~= "none" and jid_prep(item.attr.jid);
	if jid and is_full(room, jid_bare(jid)) then
		return refuse(event, "resource-constraint", "The room's lists are full: take somebody off first");
	end
end, 15);
