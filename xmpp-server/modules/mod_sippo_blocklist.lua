--- Who is blocked (XEP-0191) cannot tell by the answer whether the blocker's device is online.
--
-- mod_blocklist answers a blocked message to an account, or to a device that is not there, with an error, but drops one
-- to a device that is there without a word. Here that gets the same error. What comes by way of a room stays without
-- an answer: the room would take the error for its occupant's and put the blocker out.

local jid_host = require "util.jid".host;
local st = require "util.stanza";

local answered_types = { chat = true, normal = true };
local full_sessions = prosody.full_sessions;

local function is_room(jid)
	local host = prosody.hosts[jid_host(jid)];
	return host and host.modules and host.modules.muc and true or false;
end

-- mod_blocklist (100) stands between the two.
module:hook("message/full", function (event) event.sippo_before_blocklist = true; end, 100.5);
module:hook("message/full", function (event) event.sippo_before_blocklist = nil; end, 99.5);

module:wrap_event("message/full", function (handlers, event_name, event)
	local origin, stanza = event.origin, event.stanza;
	if not answered_types[stanza.attr.type or "normal"] then return handlers(event_name, event); end
	local to, from = stanza.attr.to, stanza.attr.from;
	local result = handlers(event_name, event);
	if result and event.sippo_before_blocklist and full_sessions[to] and not is_room(from) then
		event.sippo_before_blocklist = nil;
		origin.send(st.error_reply(stanza, "cancel", "service-unavailable"));
	end
	return result;
end);
