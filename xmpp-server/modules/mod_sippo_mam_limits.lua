--- A page of an archive (XEP-0313) is a whole number of messages (XEP-0059), and not too large.
--
-- mod_mam and mod_muc_mam hand the client's `max` on to the store as it is, and to SQLite a negative limit is none: the
-- whole archive would be loaded at once. Fifty messages, which they send at most, may be as long as a stanza can be. A
-- page ends before the message with which it would be longer than `sippo_page_bytes` (default 256 KiB), and its <fin/>
-- says that there is more.

local st = require "util.stanza";

local pages = module:require "sippo_archive_pages";

local page_bytes = module:get_option_number("sippo_page_bytes", 256 * 1024);

local xmlns_mam = "urn:xmpp:mam:2";
local xmlns_rsm = "http://jabber.org/protocol/rsm";

local whose = module:get_host_type() == "component" and "bare" or "self";
local query_event = "iq-set/"..whose.."/"..xmlns_mam..":query";

--- Whether a form says that it has a type (XEP-0068) and not which: mod_mam misses util.dataforms' words for it.
local function has_empty_type(form)
	for field in form:childtags("field") do
		if field.attr.var == "FORM_TYPE" then return not field:get_child_text("value"); end
	end
	return false;
end

local function guard(event)
	local origin, stanza = event.origin, event.stanza;
	local form = stanza.tags[1]:get_child("x", "jabber:x:data");
	if form and has_empty_type(form) then
		origin.send(st.error_reply(stanza, "modify", "bad-request", "Give FORM_TYPE a value"));
		return true;
	end
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

pages.bound(whose == "self" and module:get_option_string("archive_store", "archive") or "muc_log");

module:wrap_event(query_event, function (handlers, name, event)
	local origin = event.origin;
	local send, fin = rawget(origin, "send"), nil;
	function origin.send(stanza)
		if not fin and st.is_stanza(stanza) and stanza:get_child("fin", xmlns_mam) then
			fin = stanza;
			return true;
		end
		return send(stanza);
	end
	local ok, cut, result = pcall(pages.read, page_bytes, handlers, name, event);
	origin.send = send;
	if not ok then error(cut, 0); end
	if fin then
		if cut then fin:get_child("fin", xmlns_mam).attr.complete = nil; end
		send(fin);
	end
	return result;
end);
