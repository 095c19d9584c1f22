--- Push notifications (XEP-0357, mod_cloud_notify) go to addresses that can be one.
--
-- mod_cloud_notify takes any text for a push service's JID and sends to it while a message waits to be stored: a stanza
-- to nowhere makes other modules fail then, and the message is lost.

local st = require "util.stanza";
local jid_prep = require "util.jid".prep;

module:hook("cloud_notify/registration", function (event)
	if jid_prep(event.push_info.jid) then return; end
	event.origin.send(st.error_reply(event.stanza, "modify", "jid-malformed", "Give the push service's JID"));
	return false;
end);

-- Those that are in the store already
module:hook("cloud_notify/push", function (event)
	if jid_prep(event.push_info.jid) then return; end
	event.reason = "the push service's JID is malformed";
	return true;
end);
