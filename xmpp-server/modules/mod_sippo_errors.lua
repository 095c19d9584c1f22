--- What a module throws is answered, and takes nobody else's turn.
--
-- Prosody logs what is thrown while a stanza is handled, and its sender waits in vain. Here
--   * a stanza whose handling throws gets `internal-server-error` (RFC 6120, section 8.3.3.6), unless it is an answer
--     itself; an error that would be answered with an error is dropped (RFC 6120, section 8.3.1);
--   * any other element whose handling throws ends its stream with that condition;
--   * what is thrown in Prosody's main thread, which handles signals, is logged and no more: under Prosody 0.12 it
--     would have later signals ignored;
--   * a first-level element that nobody takes ends its stream as ever, but only its name is logged: Prosody logs all of
--     it, and it may hold a token; one that waited when its session ended is dropped;
--   * a stanza whose address has a line break or another control character is refused here: Prosody would log it, and
--     the log would have a line of the sender's making.
-- `origin.sippo_rethrow` lets through what is thrown, for who handles it better (mod_sippo_message_batch).

module:set_global();

local filters = require "util.filters";
local st = require "util.stanza";

local traceback = debug.traceback;
local stanza_names = { message = true, presence = true, iq = true };

-- Stanzas ----------------------------------------------------------------------------

--- Answers a stanza with these attributes where an answer is due.
local function answer(origin, name, id, kind, from, to)
	if not origin.send or kind == "error" or kind == "result" or name == "presence" and not to then return; end
	origin.send(st.error_reply(st.stanza(name, { id = id, from = from, to = to }), "cancel", "internal-server-error",
		"The server failed at this; tell its operator, whose log has more"));
end

--- An event of `util.events`, so that the stanza which it brings is answered if a handler throws.
local function guard(handlers, event_name, event)
	local origin, stanza = event and event.origin, event and event.stanza;
	if not origin or not stanza or origin.sippo_rethrow then return handlers(event_name, event); end
	local attr = stanza.attr;
	local id, kind, from, to = attr.id, attr.type, attr.from, attr.to; -- handlers change addresses
	local ok, result = xpcall(handlers, traceback, event_name, event);
	if ok then return result; end
	if kind == "error" and result:find("must not be replied to", 1, true) then -- util.stanza's words
		module:log("debug", "Dropped an error from %s to %s: it would be answered with an error", from, to);
		return true;
	end
	module:log("error", "Traceback[%s]: a module failed at %s from %s to %s; mend it, or report it: %s", origin.type,
		event_name, from, to, result); -- begins as Prosody's own line does
	answer(origin, stanza.name, id, kind, from, to);
	return true;
end

local function guard_stanzas(host_module)
	for name in pairs(stanza_names) do
		for _, address in ipairs { "bare", "full", "host", "self" } do
			host_module:wrap_event(name.."/"..address, guard);
			host_module:wrap_event("pre-"..name.."/"..address, guard);
		end
	end
	host_module:wrap_event("pre-stanza", guard);
end

-- Other elements of a stream -----------------------------------------------------------

--- Ends the stream as Prosody does, but tells the log nothing except the name.
local function refuse(event)
	local session, element = event.origin, event.stanza;
	local xmlns = (element.attr.xmlns or "jabber:client"):gsub("%c", "?");
	module:log("warn", "Unhandled stream element from %s: %s; xmlns=%s", session.full_jid or session.ip, element.name,
		xmlns);
	session:close("unsupported-stanza-type");
	return true;
end

local function name_of(element)
	local xmlns = element.attr.xmlns;
	return "stanza/"..(xmlns and xmlns..":" or "")..element.name;
end

local refusing = setmetatable({}, { __mode = "k" }); -- [host's events] = { [event name] = true }

local function has_control_character(text)
	return text and text:find("%c");
end

--- Answers a stanza with such an address, if it is one.
local function refuse_address(stanza, session)
	local attr = stanza.attr;
	if not has_control_character(attr.to) and not has_control_character(attr.from) then return false; end
	attr.from = nil;
	if attr.type ~= "error" and attr.type ~= "result" then
		session.send(st.error_reply(stanza, "modify", "jid-malformed", "An address has no control characters"));
	end
	return true;
end

--- Refuses what no handler is there for, and sees to it that what is there for a handler but not taken is refused.
local function check_element(element, session)
	local host = element and prosody.hosts[session.host];
	if not host then return element; end
	if stanza_names[element.name] and not element.attr.xmlns then
		return not (session.full_jid and refuse_address(element, session)) and element or nil;
	end
	local name, events = name_of(element), host.events;
	if not element.attr.xmlns and session.type ~= "c2s_unauthed" or not events.get_handlers(name) then
		refuse({ origin = session, stanza = element });
		return nil;
	end
	local names = refusing[events] or {};
	refusing[events] = names;
	if not names[name] then -- as many names as modules hook
		names[name] = true;
		events.add_handler(name, refuse, -1000);
	end
	return element;
end

--- What came from a session that has ended is nobody's: Prosody would look for who takes it, and log all of it.
local function unless_ended(session, handle_item)
	return function (item)
		if not session.destroyed or not st.is_stanza(item) then return handle_item(item); end
		session.log("debug", "Dropped %s of a session that has ended", item.name);
	end
end

local function fail(runner, err, log_error)
	log_error(runner, err);
	local session = runner.data;
	if session.conn then session:close({ condition = "internal-server-error", text = "The server failed at this" }); end
end

module:hook("websocket-session", function (event)
	local session = event.session;
	filters.add_filter(session, "stanzas/in", check_element, 900); -- after mod_sippo_tenant_isolation's
	session.thread.func = unless_ended(session, session.thread.func); -- it has not begun
	local watchers = session.thread.watchers;
	session.thread.watchers = setmetatable({
		error = function (runner, err) fail(runner, err, watchers.error); end,
	}, { __index = watchers });
end);

-- The main thread ------------------------------------------------------------------------

-- It has no name yet while modules are loaded at start.
module:add_timer(0, function ()
	prosody.main_thread:onerror(function (_, err)
		module:log("error", "A handler of a signal failed; what comes behind it was not done: %s", err);
	end);
end);

function module.add_host(host_module)
	guard_stanzas(host_module);
end
