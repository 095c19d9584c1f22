--- The group message that a room is sending to its occupants at this moment. What its copies have in common is found
-- out once, and written once: only the address differs. A copy in which anything else differs is none.
--
-- The state is shared by the rooms' components, which say what they send, the tenants, who deliver it, and what writes
-- it to connections.

local jid_bare = require "util.jid".bare;
local st = require "util.stanza";

local state = module:shared("/*/sippo_broadcast/state"); -- `current`, while a room sends

local xmlns_client, xmlns_stanza_id = "jabber:client", "urn:xmpp:sid:0";

-- Of what mod_mam and mod_carbons may make something even in a group message
local told_apart = {
	["urn:xmpp:carbons:2"] = true, ["urn:xmpp:jingle-message:0"] = true, ["urn:xmpp:jingle-message:1"] = true,
};

local function is_plain(stanza)
	if stanza.name ~= "message" or stanza.attr.type ~= "groupchat" or stanza.attr.xmlns then return false; end
	local room = jid_bare(stanza.attr.from);
	for _, child in ipairs(stanza.tags) do
		local xmlns = child.attr.xmlns;
		if told_apart[xmlns] or xmlns == xmlns_stanza_id and child.attr.by ~= room then return false; end
	end
	return true;
end

--- What all copies have beside the address: its parts, to know them by, and as text what comes before and after it.
local function write_common(stanza)
	local top, content, attr_count = st.clone(stanza, true), {}, 0;
	top.attr.to = nil;
	local attr = st.clone(top, true).attr;
	for _ in pairs(attr) do attr_count = attr_count + 1; end
	top.attr.xmlns = xmlns_client;
	for i, child in ipairs(stanza) do
		content[i] = child.name and tostring(child) or st.xml_escape(child);
	end
	return {
		attr = attr, attr_count = attr_count, children = table.move(stanza, 1, #stanza, 1, {}),
		before = top:top_tag():sub(1, -2),
		after = ">"..table.concat(content).."</"..stanza.name..">",
	};
end

local function is_common(common, stanza)
	local attr, attr_count, children = common.attr, 0, common.children;
	for name, value in pairs(stanza.attr) do
		if name ~= "to" then
			if attr[name] ~= value then return false; end
			attr_count = attr_count + 1;
		end
	end
	if attr_count ~= common.attr_count or #stanza ~= #children then return false; end
	for i = 1, #children do
		if stanza[i] ~= children[i] then return false; end
	end
	return true;
end

local _M = {};

--- Calls `f`, which sends copies of `stanza`.
function _M.during(stanza, f, ...)
	local before = state.current;
	local _ <close> = setmetatable({}, { __close = function () state.current = before; end });
	state.current = { stanza = stanza, is_plain = is_plain(stanza) };
	return f(...);
end

--- Whether a stanza is such a copy, and has nothing in it that means something to its addressee's archive or other
-- sessions.
function _M.is_plain(stanza)
	local current = state.current;
	return current ~= nil and current.stanza == stanza and current.is_plain;
end

--- A copy as text, in the namespace `jabber:client`; nil of all other stanzas.
function _M.text(stanza)
	if not _M.is_plain(stanza) then return nil; end
	local current = state.current;
	local common = current.common;
	if not common then
		common = write_common(stanza);
		current.common = common;
	end
	if not is_common(common, stanza) then return nil; end
	return common.before.." to='"..st.xml_escape(stanza.attr.to).."'"..common.after;
end

return _M;
