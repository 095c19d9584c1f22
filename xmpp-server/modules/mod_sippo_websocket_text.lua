--- Stanzas are written to WebSocket connections without being copied first.
--
-- mod_websocket copies each stanza, with all that is in it, to give it the namespace that its frame needs, and
-- core.sessionmanager writes each opening tag once more for a line of the log that only the level `debug` has. Here the
-- stanza itself has the namespace while it is written, and the copies of a room's message share their text.
-- Load it globally.

module:set_global();

local filters = require "util.filters";

local text_of_copy = module:require "sippo_broadcast".text;

local xmlns_client, xmlns_streams = "jabber:client", "http://etherx.jabber.org/streams";
local internal = "sippo-delivery"; -- mod_sippo_delivery's attribute: nothing that leaves has it
local priority = -1000; -- of mod_websocket's filter

local is_debugging = module:get_option_boolean("sippo_log_debug", false);

--- Replaces mod_websocket's filter. What it returns is what is sent: no filter of elements comes after it.
local function write(stanza)
	local text = text_of_copy(stanza);
	if text then return text; end
	local attr = stanza.attr;
	local xmlns, streams, delivery = attr.xmlns, attr["xmlns:stream"], attr[internal];
	attr.xmlns, attr[internal] = xmlns or xmlns_client, nil;
	if stanza.name:find("^stream:") then attr["xmlns:stream"] = streams or xmlns_streams; end
	text = tostring(stanza);
	attr.xmlns, attr["xmlns:stream"], attr[internal] = xmlns, streams, delivery;
	return text;
end

--- mod_websocket's own filter of a session.
local function copying_filter(session)
	local list = session.filters["stanzas/out"];
	for _, filter in ipairs(list or {}) do
		if list[filter] == priority and debug.getinfo(filter, "S").source:find("mod_websocket.lua", 1, true) then
			return filter;
		end
	end
end

--- sessionmanager's function, which writes its line for the log only where one is kept. mod_smacks gives a resumed
-- session the `send` of the new connection, and sets `session` and `filter` in it by these names.
local function new_send(session, filter)
	return function (element)
		if is_debugging then
			session.log("debug", "Sending[%s]: %s", session.type,
				element.top_tag and element:top_tag() or element:match("^[^>]*>?"));
		end
		if element.name then element = filter("stanzas/out", element); end
		if element then return session.rawsend(element); end
		return true;
	end
end

module:hook("websocket-session", function (event)
	local session = event.session;
	local copying = copying_filter(session);
	if not copying then
		module:log("warn", "mod_websocket is not as expected; stanzas are written the long way");
		return;
	end
	filters.remove_filter(session, "stanzas/out", copying);
	filters.add_filter(session, "stanzas/out", write, priority);
	session.send = new_send(session, session.filter);
end, -1000);
