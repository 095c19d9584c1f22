--- What an account keeps for its owner is asked of one's own account only (XEP-0049, XEP-0048).
--
-- mod_bookmarks answers whoever asks, whomever they ask, with what the asker has stored: the bookmarks of somebody
-- else's account would seem to be one's own, and what is set there would be stored in one's own.

local st = require "util.stanza";

local function refuse(event)
	event.origin.send(st.error_reply(event.stanza, "auth", "forbidden", "Ask your own account: leave the address out"));
	return true;
end

--- Whether a pubsub request names the node of the old bookmarks, which mod_bookmarks makes of the new ones.
local function names_old_bookmarks(pubsub)
	for _, action in ipairs(pubsub.tags) do
		if action.attr.node == "storage:bookmarks" then return true; end
	end
	return false;
end

-- Before mod_bookmarks (0). What is addressed to one's own account has no `to` any more.
module:hook("iq/bare/jabber:iq:private:query", function (event)
	if event.stanza.attr.to then return refuse(event); end
end, 10);
module:hook("iq/bare/http://jabber.org/protocol/pubsub:pubsub", function (event)
	if event.stanza.attr.to and names_old_bookmarks(event.stanza.tags[1]) then return refuse(event); end
end, 10);
