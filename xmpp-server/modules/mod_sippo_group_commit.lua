--- Messages that come together are archived with one commit, and delivered when it is done.
--
-- mod_mam stores each message twice, for its sender and for its recipient, and each commit waits for the disk. Here the
-- rows of messages between users (`chat`, `normal`) are held (see sippo_held_rows), and so is the rest of their
-- handling: carbon copies to the recipient and the delivery. Both are done, the rows first,
--   * before anything is written to any connection, so what somebody was sent, or told to be stored, is on the disk;
--   * before a stanza of any other kind is handled, also a message to or through a room, so all is in the order in
--     which it came, and before a session ends;
--   * before anything reads or changes an archive, and before any other transaction that stores something;
--   * when Prosody has nothing else to do: a message that comes alone waits for nobody;
--   * when there are many, or they have waited for some time.
-- A message that the store does not take is answered with an error, and nobody gets it.
--
-- A message to somebody who is away is stored for them as well, and refused when too many are: its rows are written
-- before that, and it is delivered on the spot. What does not come from a client of ours is handled as ever.
-- Load it globally.

module:set_global();
module:depends "sippo_sqlite"; -- they change the engines' methods, too
module:depends "sippo_postgresql";

local running = coroutine.running;
local async = require "util.async";
local backend = require "net.server".get_backend();
local jid_bare, jid_host = require "util.jid".bare, require "util.jid".host;
local now = require "util.time".monotonic;
local st = require "util.stanza";
local add_task = require "util.timer".add_task;

local held = module:require "sippo_held_rows";
local hook_global = module:require "sippo_global_hook";
local on_each_engine = module:require "sippo_sql_engines";
local unsent = module:require "sippo_send_buffer";

local most, longest = 100, 0.01; -- messages that wait, and seconds for which one does
local much_unsent = 1024 * 1024; -- bytes of a connection that are not kept waiting
local groupable = { chat = true, normal = true };

local bare_sessions, full_sessions, hosts = prosody.bare_sessions, prosody.full_sessions, prosody.hosts;

-- Of a message whose handling goes on when its rows are written: { event, name = the event's, host_module, here = our
-- handler, unit }
local waiting = {};
local group, began = 0, 0; -- the number of groups so far, and when the first message of this one came
local settling = false;

--- Whether a user or a session can be sent a message at once.
local function is_there(event)
	local to = event.stanza.attr.to;
	if event.to_self or not to then return false; end
	if full_sessions[to] then return true; end
	local user = bare_sessions[jid_bare(to)];
	return user and user.top_resources and true or false;
end

local function refuse(unit, stanza)
	module:log("error", "Could not archive a message to %s: %s; see that the store works", stanza.attr.to, unit.failure);
	unit.session.send(st.error_reply(stanza, "wait", "internal-server-error",
		"The message could not be stored; try again later"));
	return true;
end

--- Has the handlers behind ours handle an event.
local function go_on(message)
	local handlers, is_behind = message.events.get_handlers(message.name) or {}, false;
	for _, handler in ipairs(handlers) do
		if is_behind and handler(message.event) ~= nil then return; end -- mod_message takes each
		is_behind = is_behind or handler == message.here;
	end
end

--- In a runner of its own: if a handler waits, it keeps those behind it waiting, and nobody else.
local deliveries = async.runner(function (message)
	local unit, stanza = message.unit, message.event.stanza;
	if unit.failure then return refuse(unit, stanza); end
	local ok, err = xpcall(go_on, debug.traceback, message);
	if ok then return; end
	module:log("error", "Traceback[c2s]: a module failed at %s to %s; mend it, or report it: %s", message.name,
		stanza.attr.to, err);
	unit.session.send(st.error_reply(stanza, "cancel", "internal-server-error",
		"The server failed at this; tell its operator, whose log has more"));
end);

--- Has a session's user answer for time of the server (mod_sippo_fair_share), or not.
local function charge(session, seconds)
	local host = rawget(hosts, session.host or "");
	if host then host.events.fire_event("sippo-time-taken", { session = session, seconds = seconds }); end
end

--- Calls `f`, which does something for `sessions`; what it takes.
local function charged(sessions, f, ...)
	local start = now();
	f(...);
	local seconds = now() - start;
	for _, session in ipairs(sessions) do charge(session, seconds / #sessions); end
	return seconds;
end

--- Writes all that is held and delivers it.
-- @param caller  the session whose stanza is handled: what others' messages take is not its user's time
local function settle(caller)
	if settling or not waiting[1] and not held.are_there() then return; end
	settling, group = true, group + 1;
	local open, seconds, sessions = held.open, 0, {};
	held.open = nil;
	for i, message in ipairs(waiting) do sessions[i] = message.unit.session; end
	if not sessions[1] then sessions[1] = caller; end
	seconds = seconds + charged(sessions, held.write);
	local messages = waiting;
	waiting = {};
	for _, message in ipairs(messages) do
		seconds = seconds + charged({ message.unit.session }, deliveries.run, deliveries, message);
	end
	if caller then charge(caller, -seconds); end
	held.open, settling = open, false;
end

--- Whether what waits should wait no longer.
local function is_due()
	return waiting[most] ~= nil or now() - began > longest;
end

local function when_idle() settle(); end

--- Has a message wait, and sees to it that it does not wait for long.
local function put_off(message)
	if not waiting[1] then
		began = now();
		add_task(0, when_idle);
	end
	waiting[#waiting + 1] = message;
end

-- Messages ---------------------------------------------------------------------------

local function is_groupable(stanza)
	return stanza.name == "message" and not stanza.attr.xmlns and groupable[stanza.attr.type or "normal"];
end

--- Handles what a session sends, after all that came before it.
local function in_order(session, handle)
	return function (item)
		if not st.is_stanza(item) then return handle(item); end
		if not is_groupable(item) and not item.attr.xmlns then settle(session); end
		handle(item);
		local unit = held.open;
		if unit and unit.thread == running() then held.open = nil; end
		if not waiting[1] then settle(session); end -- what is held of a message that was not delivered
	end
end

--- Has the rows of a message held from now on, if it is one to a user of this server.
local function open(event)
	local session, stanza = event.origin, event.stanza;
	if session.type ~= "c2s" or not session.thread or not is_groupable(stanza) then return; end
	local host = hosts[jid_host(stanza.attr.to) or session.host];
	if not host then return; end
	local is_held = host.type == "local"; -- a room hands on at once what it gets
	if waiting[1] and (is_due() or not is_held) then settle(session); end
	if not is_held then return; end
	held.open = { session = session, thread = running(), rows = {} };
end

local function hook_messages(host_module, name)
	local function here(event)
		local unit = held.open;
		if not unit or unit.session ~= event.origin or unit.thread ~= running() then return; end
		if is_there(event) then
			if not unit.rows[1] and not waiting[1] then return; end
			put_off { event = event, name = name, events = hosts[host_module.host].events, here = here, unit = unit };
			return true;
		end
		held.open = nil; -- what comes now is stored at once
		settle(unit.session);
		if unit.failure then return refuse(unit, event.stanza); end
	end
	host_module:hook(name, here, -0.2); -- behind mod_mam (0), before mod_carbons (-0.5)
end

-- Connections --------------------------------------------------------------------------

--- Has all connections write only what is settled. One that can be written to while messages wait is left for the
-- loop's next look at all of them (it says so again), so that what has come meanwhile is in the same group.
local function guard(class)
	local write, read = class.onwritable, class.onreadable;
	function class:onwritable(...)
		if waiting[1] or held.are_there() then
			if self.sippo_group ~= group and unsent(self) < much_unsent then
				self.sippo_group = group;
				return true;
			end
			settle();
		end
		return write(self, ...);
	end
	function class:onreadable(...) -- the loop comes to no timer while there is always something to read
		if waiting[1] and is_due() then settle(); end
		return read(self, ...);
	end
end

local class; -- of all connections

local function adopt(session)
	if not class then
		class = getmetatable(session.conn).__index;
		guard(class);
	end
	session.thread.func = in_order(session, session.thread.func); -- it has not begun
end

if backend == "epoll" then -- Prosody's others write at other moments
	module:hook("websocket-session", function (event) adopt(event.session); end);
	on_each_engine(held.adopt);
end

hook_global("host-deactivating", function () settle(); end, 1000);
hook_global("server-stopping", function () settle(); end, 1000);

function module.add_host(host_module)
	if hosts[host_module.host].type ~= "local" then return; end
	for _, name in ipairs { "message/bare", "message/full" } do
		host_module:hook("pre-"..name, open, 1000); -- behind pre-stanza, where mod_sippo_fair_share has it wait
		hook_messages(host_module, name);
	end
	host_module:hook("resource-unbind", function () settle(); end, 1000); -- before others hear that they are unavailable
end
