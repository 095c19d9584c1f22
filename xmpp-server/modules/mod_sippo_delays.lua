--- Clients do not say in others' names that a message was held back (XEP-0203).
--
-- `<delay from='…' stamp='…'/>` is said by the address that `from` names. By one of the user's own server a client
-- knows what waited for it, and since when: with one that a sender made up, a message of today is shown among those of
-- last year. When they themselves wrote it is the sender's to say.

local jid_bare = require "util.jid".bare;
local jid_prep = require "util.jid".prep;

local is_delay = { ["urn:xmpp:delay"] = true, ["jabber:x:delay"] = true };

--- A function for `maptags` that takes out the delays of all others than `sender`.
local function without_delays_of_others(sender)
	return function (tag)
		local from = is_delay[tag.attr.xmlns] and tag.attr.from;
		if not from then return tag; end
		local prepared = jid_prep(from);
		if prepared and jid_bare(prepared) == sender then return tag; end
		return nil;
	end
end

-- Before anybody has looked at it
module:hook("pre-stanza", function (event)
	local stanza = event.stanza;
	if stanza.name ~= "message" then return; end
	for _, tag in ipairs(stanza.tags) do
		if is_delay[tag.attr.xmlns] then
			stanza:maptags(without_delays_of_others(jid_bare(stanza.attr.from)));
			return;
		end
	end
end, 2000);
