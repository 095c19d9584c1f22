--- Push notifications (XEP-0357, mod_cloud_notify) are announced only if a push service can be reached, and registered
--- only with one.
--
-- mod_cloud_notify announces them in any case and takes any text for a service's JID. A client that relies on them goes
-- to sleep and hears of nothing; and a stanza to what is no JID, sent while a message waits to be stored, makes other
-- modules fail, so that the message is lost.

local st = require "util.stanza";
local jid_prep = require "util.jid".prep;

local services = module:require "sippo_push_services";

local xmlns = "urn:xmpp:push:0";

module:hook("cloud_notify/registration", function (event)
	local reply;
	if not jid_prep(event.push_info.jid) then
		reply = st.error_reply(event.stanza, "modify", "jid-malformed", "Give the push service's JID");
	elseif not services.is_reachable(event.push_info.jid) then
		reply = st.error_reply(event.stanza, "cancel", "item-not-found", "This server reaches no such push service");
	else
		return;
	end
	event.origin.send(reply);
	return false;
end);

-- Those that are in the store already
module:hook("cloud_notify/push", function (event)
	if services.is_reachable(event.push_info.jid) then return; end
	event.reason = "the push service cannot be reached";
	return true;
end);

-- After mod_cloud_notify has announced them
module:hook("account-disco-info", function (event)
	if services.is_any() then return; end
	event.reply.tags[1]:maptags(function (tag)
		if tag.name == "feature" and tag.attr.var == xmlns then return nil; end
		return tag;
	end);
end, -1000);
