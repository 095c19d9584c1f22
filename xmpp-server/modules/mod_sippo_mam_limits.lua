--- A page of an archive (XEP-0313) is a whole number of messages (XEP-0059).
--
-- mod_mam and mod_muc_mam hand the client's `max` on to the store as it is, and to SQLite a negative limit is none: the
-- whole archive would be loaded at once.

local st = require "util.stanza";

local xmlns_mam = "urn:xmpp:mam:2";
local xmlns_rsm = "http://jabber.org/protocol/rsm";

local function guard(event)
	local origin, stanza = event.origin, event.stanza;
	local set = stanza.tags[1]:get_child("set", xmlns_rsm);
	for max in set and set:childtags("max") or function () end do -- of several, the last would count
		if not (max:get_text() or ""):match("^%s*%+?%d+%s*$") then -- as XML Schema writes one
			origin.send(st.error_reply(stanza, "modify", "bad-request", "Give max as a whole number, at least 0"));
			return true;
		end
	end
end

module:hook("iq-set/self/"..xmlns_mam..":query", guard, 10);
module:hook("iq-set/bare/"..xmlns_mam..":query", guard, 10);
