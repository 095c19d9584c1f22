--- Requests to a room that mod_muc throws at are refused before it sees them (XEP-0045).
--
--   * A list of members, or of occupants, asked for without saying of whom (section 9.5);
--   * a nickname registered by a form that has none (section 7.10);
--   * an invitation, or what declines one, of another namespace than `muc#user` (section 7.8.2);
--   * a `whois` of the configuration that is none (section 10.2).

local st = require "util.stanza";

local function refuse(event, text)
	event.origin.send(st.error_reply(event.stanza, "modify", "bad-request", text));
	return true;
end

--- Whether the first field of that name, which counts, has a value.
local function has_value(form, name)
	for field in form:childtags("field") do
		if field.attr.var == name then return (field:get_child_text("value") or "") ~= ""; end
	end
	return false;
end

-- Before mod_muc, and before our modules that look into the same requests
module:hook("iq-get/bare/http://jabber.org/protocol/muc#admin:query", function (event)
	if not event.stanza.tags[1].tags[1] then return refuse(event, "Give an item with an affiliation or a role"); end
end, 20);

module:hook("iq/bare/jabber:iq:register:query", function (event)
	local form = event.stanza.attr.type == "set" and event.stanza.tags[1]:get_child("x", "jabber:x:data");
	if form and not (has_value(form, "FORM_TYPE") and has_value(form, "muc#register_roomnick")) then
		return refuse(event, "Give a form with a FORM_TYPE and a nickname");
	end
end, 20);

local asks = { invite = true, decline = true };

module:hook("message/bare", function (event)
	local x = event.stanza:get_child("x", "http://jabber.org/protocol/muc#user");
	local payload = event.stanza.attr.type ~= "error" and x and x.tags[1];
	if payload and asks[payload.name] and payload.attr.xmlns ~= x.attr.xmlns then
		return refuse(event, "Invite and decline by elements of muc#user");
	end
end, 20);

local xmlns_owner = "http://jabber.org/protocol/muc#owner";
local whois_values = { moderators = true, anyone = true };

module:hook("iq/bare/"..xmlns_owner..":query", function (event)
	local form = event.stanza.attr.type == "set" and event.stanza.tags[1]:get_child("x", "jabber:x:data");
	for field in form and form:childtags("field") or function () end do
		local value = field.attr.var == "muc#roomconfig_whois" and field:get_child_text("value");
		if value and not whois_values[value] then return refuse(event, "whois is moderators or anyone"); end
	end
end, 20);
