--- A client's roster set leaves an entry of the chat list in the list.
--
-- The list is a group of the user's roster (docs/decisions/roster-as-list.md). A roster set names all groups of an item
-- (RFC 6121, section 2.3), and a client that gives a contact a name or a group of the user's own knows nothing of ours:
-- the entry would be gone from the list. So the group is added where it is left out; it is the list's calls that take
-- an entry off, and the removal of the whole item (section 2.5).

local st = require "util.stanza";
local jid_prep = require "util.jid".prep;

local xmlns_roster = "jabber:iq:roster";
local group_name = module:get_option_string("sippo_chat_list_group", "individualChatList");

local function names_group(item)
	for group in item:childtags("group") do
		if group:get_text() == group_name then return true; end
	end
	return false;
end

-- Before mod_roster (0), which answers
module:hook("iq/self/"..xmlns_roster..":query", function (event)
	local session, stanza = event.origin, event.stanza;
	local item = stanza.attr.type == "set" and session.roster and stanza.tags[1]:get_child("item");
	if not item or item.attr.subscription == "remove" then return; end
	local entry = session.roster[item.attr.jid and jid_prep(item.attr.jid) or ""];
	if entry and entry.groups and entry.groups[group_name] and not names_group(item) then
		item:add_child(st.stanza("group", { xmlns = xmlns_roster }):text(group_name));
	end
end, 10);
