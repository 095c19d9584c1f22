--- Only occupants ask for voice, and only they grant it (XEP-0045, sections 7.13 and 8.6): mod_muc throws at others.

local st = require "util.stanza";

local get_room_from_jid = module:depends "muc".get_room_from_jid;

local voice_form = "http://jabber.org/protocol/muc#request";

local function is_voice_form(form)
	for field in form:childtags("field") do
		if field.attr.var == "FORM_TYPE" then return field:get_child_text("value") == voice_form; end
	end
	return false;
end

module:hook("message/bare", function (event)
	local stanza = event.stanza;
	local form = stanza.attr.type ~= "error" and stanza:get_child("x", "jabber:x:data");
	if not form or not is_voice_form(form) then return; end
	local room = get_room_from_jid(stanza.attr.to);
	if not room or room:get_occupant_by_real_jid(stanza.attr.from) then return; end
	event.origin.send(st.error_reply(stanza, "auth", "forbidden", "Enter the room first"));
	return true;
end, 10);
