--- The counts of handled stanzas that clients send (XEP-0198, `h`) are checked before mod_smacks calculates with them.
--
-- mod_smacks takes whatever Lua takes for a number, throws without one, and in Prosody 0.12 hands the session over to
-- the new connection before it looks. Here <resume/> with a count that cannot be gets <failed/>, and the session waits
-- on; <a/> with one ends the stream (section 4).

local jid_join = require "util.jid".join;
local st = require "util.stanza";

local xmlns_sm2, xmlns_sm3 = "urn:xmpp:sm:2", "urn:xmpp:sm:3";
local xmlns_errors = "urn:ietf:params:xml:ns:xmpp-stanzas";

local registry = module:shared "/*/smacks/resumption-tokens";

--- The count that a text says: a number of 32 bits in decimal (XEP-0198, section 4); else nil.
local function parse_count(text)
	local count = text and #text <= 10 and text:match("^%d+$") and math.tointeger(tonumber(text));
	return count and count < 2^32 and count or nil;
end

local function can_be(queue, count)
	return count and count >= queue:count_acked() and count <= queue:count_acked() + queue:count_unacked();
end

local function fail(session, xmlns, condition, handled)
	session.send(st.stanza("failed", { xmlns = xmlns, h = handled and ("%d"):format(handled) })
		:tag(condition, { xmlns = xmlns_errors }));
	return true;
end

local function check_resume(session, stanza)
	if session.full_jid or not session.username then return; end -- mod_smacks refuses the one, nobody takes the other
	local xmlns, previd = stanza.attr.xmlns, stanza.attr.previd;
	local count = parse_count(stanza.attr.h);
	if not count or not previd or previd == "" then return fail(session, xmlns, "bad-request"); end
	local original = registry[jid_join(session.username, session.host, previd)];
	if not original or original.destroyed or can_be(original.outgoing_stanza_queue, count) then return; end
	return fail(session, xmlns, "bad-request", original.handled_stanza_count);
end

local function check_acknowledgement(session, stanza)
	local queue = session.smacks and session.outgoing_stanza_queue;
	if not queue then return; end
	local count = parse_count(stanza.attr.h);
	if not count then
		session:close({ condition = "invalid-xml", text = "Give h, the number of stanzas handled" });
	elseif not can_be(queue, count) then
		local sent = queue:count_acked() + queue:count_unacked();
		session:close({ condition = "undefined-condition", text = "That many were not sent, or more acknowledged before",
			extra = st.stanza("handled-count-too-high",
				{ xmlns = stanza.attr.xmlns, h = ("%d"):format(count), ["send-count"] = ("%d"):format(sent) }) });
	else
		return;
	end
	return true;
end

for _, xmlns in ipairs { xmlns_sm2, xmlns_sm3 } do
	module:hook_tag(xmlns, "resume", check_resume, 10);
	module:hook_tag(xmlns, "a", check_acknowledgement, 10);
end
