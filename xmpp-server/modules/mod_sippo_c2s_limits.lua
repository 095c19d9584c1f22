--- How many sessions a user has, and how much is kept for one that does not read.
--
--   * `sippo_session_limit` (default 20) sessions of a user are connected at most; another is refused a resource
--     (RFC 6120, section 7.7.2.1). Those that wait to be resumed have a limit of their own (mod_sippo_smacks_limits).
--     As many connections of a user may have logged in and not bound a resource yet, for 60 s.
--   * A connection ends when `sippo_send_buffer_limit` bytes (default 3 MiB) lie unsent on it for a second. A session
--     ends when as many bytes were sent to it, or wait for it to be resumed, and were not acknowledged (XEP-0198): they
--     go where all goes that a lost session did not get. From half of it on, its requests are refused.

local st = require "util.stanza";
local resourceprep = require "util.encodings".stringprep.resourceprep;
local add_filter = require "util.filters".add_filter;

local sessions = module:require "sippo_sessions";
local size_of = module:require "sippo_stanza_size";
local unsent = module:require "sippo_send_buffer";

local session_limit = module:get_option_number("sippo_session_limit", 20);
local buffer_limit = module:get_option_number("sippo_send_buffer_limit", 4 * 1024 * 1024);
local reading_time = 1; -- seconds, for what came at once to get under way
local unbound_time = 60; -- seconds, as c2s_timeout has it for those who do not log in

local full_sessions = prosody.full_sessions;
local c2s_sessions = module:shared("/*/c2s/sessions"); -- connection: session

-- Sessions ---------------------------------------------------------------------------

local function connected(username)
	local count, user = 0, prosody.hosts[module.host].sessions[username];
	for _, session in pairs(user and user.sessions or {}) do
		if session.conn then count = count + 1; end
	end
	return count;
end

--- Whether binding `resource` replaces a session, so that there are not more of them afterwards.
local function replaces(session, resource)
	local prepared = resourceprep(resource or "", true) or "";
	local old = full_sessions[session.username.."@"..session.host.."/"..prepared];
	return old and old.conn;
end

module:hook("pre-resource-bind", function (event)
	local session = event.session;
	if connected(session.username) < session_limit or replaces(session, event.resource) then return; end
	module:log("info", "%s@%s has %d sessions: another is refused", session.username, module.host, session_limit);
	event.error = { type = "wait", condition = "resource-constraint",
		text = "You have as many sessions as you may: close one first" };
	return false;
end, 5);

local unbound = {}; -- username: { session = true, … } of those that have logged in and are not bound

local function forget_unbound(session)
	local of_user = unbound[session.username];
	if not of_user then return; end
	of_user[session] = nil;
	if not next(of_user) then unbound[session.username] = nil; end
end

local function end_unbound(session, condition, text)
	if session.destroyed or session.type ~= "c2s_unbound" then return; end
	sessions.close(session, { condition = condition, text = text });
end

module:hook("authentication-success", function (event)
	local session = event.session;
	local of_user, count = unbound[session.username] or {}, 0;
	unbound[session.username] = of_user;
	for other in pairs(of_user) do
		if other.destroyed or other.type ~= "c2s_unbound" then of_user[other] = nil; else count = count + 1; end
	end
	of_user[session] = true;
	local delay, condition, text = unbound_time, "connection-timeout", "No resource was bound in time";
	if count >= session_limit then
		delay, condition, text = 0, "policy-violation", "Too many connections of yours have no resource yet";
	end
	session.sippo_unbound_timer = module:add_timer(delay, function () -- not before the answer
		forget_unbound(session);
		end_unbound(session, condition, text);
	end);
end);

module:hook("resource-bind", function (event)
	local session = event.session;
	forget_unbound(session);
	if session.sippo_unbound_timer then session.sippo_unbound_timer:stop(); end
	session.sippo_unbound_timer = nil;
end);

-- What was not sent or acknowledged ---------------------------------------------------

--- Whether more than `limit` bytes were not acknowledged. Looks at the stanzas only when as much was sent since.
local function is_unacknowledged(session, limit)
	local queue = session.outgoing_stanza_queue;
	if not queue or (session.sippo_unacknowledged or 0) <= limit then return false; end
	local bytes = 0;
	for _, stanza in queue:resume() do bytes = bytes + size_of(stanza); end
	session.sippo_unacknowledged = bytes;
	return bytes > limit;
end

local too_much = { condition = "resource-constraint", text = "You were sent more than you have read or acknowledged" };

local function end_session(session)
	if session.destroyed then return; end
	module:log("info", "%s has not acknowledged what it was sent: its session ends", session.full_jid);
	sessions.close(session, too_much);
end

--- Ends the connection, if it has not had its fill read by now, without what it was to send; and the session if that
-- cannot have it later.
local function cut(conn)
	local session = c2s_sessions[conn];
	if not session or unsent(conn) <= buffer_limit then return; end
	module:log("info", "%s does not read what it is sent: its connection ends", session.full_jid);
	conn.writebuffer = nil;
	if is_unacknowledged(session, buffer_limit) then end_session(session); else conn:close(); end
end

--- Counts what is written to the connection, and looks closer whenever that may have become too much. What follows
-- from it comes later: nothing is sent while an answer is made, and this may be one of many to whom something goes.
local function watch(conn)
	local written, is_full, is_ending = 0, false, false;
	return function (data)
		written = written + #data;
		if written > buffer_limit and not is_full then
			written = unsent(conn);
			is_full = written > buffer_limit;
			if is_full then
				module:add_timer(reading_time, function ()
					is_full = false;
					cut(conn);
				end);
			end
		end
		local session = c2s_sessions[conn];
		if session and session.smacks and not is_ending then
			session.sippo_unacknowledged = (session.sippo_unacknowledged or 0) + #data;
			is_ending = is_unacknowledged(session, buffer_limit);
			if is_ending then module:add_timer(0, function () end_session(session); end); end
		end
		return data;
	end
end

module:hook("authentication-success", function (event)
	add_filter(event.session, "bytes/out", watch(event.session.conn), -10000);
end);

module:hook("smacks-hibernation-stanza-queued", function (event)
	local session = event.origin;
	session.sippo_unacknowledged = (session.sippo_unacknowledged or 0) + size_of(event.stanza);
	if not is_unacknowledged(session, buffer_limit) then return; end
	module:add_timer(0, function () end_session(session); end);
end);

-- After a wait for what is unsent (mod_sippo_fair_share, 1000)
module:hook("pre-stanza", function (event)
	local session, stanza = event.origin, event.stanza;
	if stanza.name ~= "iq" or stanza.attr.type == "result" or stanza.attr.type == "error"
		or not is_unacknowledged(session, buffer_limit / 2) then return; end
	session.send(st.error_reply(stanza, "wait", "resource-constraint", "Acknowledge what you were sent first (XEP-0198)"));
	return true;
end, 900);
