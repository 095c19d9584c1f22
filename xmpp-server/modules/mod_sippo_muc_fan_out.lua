--- A group message is not longer than what the room can be sent at once.
--
-- Each occupant gets a copy that is written out for them: in a room of a thousand a stanza of 256 KiB would be as many
-- megabytes, made in one go. A message whose copies would be more than `sippo_fan_out_limit` bytes (default 16 MiB) is
-- refused: to a thousand one may say 16 KiB, to sixty all that a stanza holds.

local st = require "util.stanza";

local size_of = module:require "sippo_stanza_size";
local is_service = module:require "sippo_service".is_service;

module:depends "muc";

local limit = module:get_option_number("sippo_fan_out_limit", 16 * 1024 * 1024);

local function receivers(room)
	local count = 0;
	for _, occupant in room:each_occupant() do
		for _ in occupant:each_session() do count = count + 1; end
	end
	return count;
end

-- Before the room's own checks: nothing of it is stored.
module:hook("muc-occupant-groupchat", function (event)
	local origin, stanza, room = event.origin, event.stanza, event.room;
	local bytes = size_of(stanza);
	if bytes < 1024 or is_service(stanza.attr.from) or bytes * receivers(room) <= limit then return; end
	origin.send(st.error_reply(stanza, "modify", "policy-violation",
		"The message is too long for so many occupants: say less at once, or upload it", room.jid));
	return true;
end, 100);
