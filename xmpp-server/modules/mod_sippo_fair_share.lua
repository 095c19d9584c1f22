--- One user's stanzas take no more than a share of the server's time, and are not answered faster than they are read.
--
-- Prosody is one thread, and a small stanza may be a lot of work: a page of an archive, a presence in a room of a
-- thousand. So the next stanza of a user's session waits
--   * while all sessions of the user together have taken more than their share: `sippo_user_time_share` (default 0.5)
--     seconds of each second, and `sippo_user_time_burst` (default 0.25) seconds at once;
--   * while more than `sippo_unsent_limit` bytes (default 256 KiB) of what the session was sent before are not on
--     their way. So there is one long answer at a time, however many a client asks for. Messages do not wait for this:
--     they bring their sender nothing that is longer than themselves.
-- A session that waits is not read from until all that was read is handled: what came before the connection closed
-- is handled before that is seen. All of a session's stanzas are handled in their order, none is refused.
--
-- The service is on a host that does not load this.

local async = require "util.async";
local now = require "util.time".monotonic;

local time_budget = module:require "sippo_time_budget";
local unsent = module:require "sippo_send_buffer";

local budget = time_budget.spend;
local unsent_limit = module:get_option_number("sippo_unsent_limit", 256 * 1024);

-- Time -------------------------------------------------------------------------

--- Calls `f(…)`, which handles stanzas of `session`, and counts the time that it takes.
local function timed(session, f, ...)
	local began, username = now(), session.username;
	local ok, state, length = f(...);
	if username then budget(username, now() - began); end -- else the session has ended before
	return ok, state, length;
end

-- What was done for the user while no stanza of theirs was handled, or (below zero) for others while one was
module:hook("sippo-time-taken", function (event)
	local username = event.session.username;
	if username then budget(username, event.seconds); end
end);

-- Waiting --------------------------------------------------------------------------

local waiting = {}; -- session: what ends its wait, and the runner that waits
local held = setmetatable({}, { __mode = "k" }); -- runner: the connection of its session, which is not read from

--- Whether the other side has reset the connection.
local function is_gone(conn)
	local ok, peer = pcall(conn.conn.getpeername, conn.conn);
	return ok and not peer;
end

local function nothing_is_sent() return true; end

local go_on;

--- Has the loop not look at a connection whose other side has closed it. Nothing is kept for who cannot get it.
local function unwatch(session, conn, is_timed)
	conn.sippo_unwatched = true;
	conn:del();
	session.rawsend, session.sippo_gone = nothing_is_sent, conn;
	if not is_timed then module:add_timer(0, function () go_on(session); end); end -- nothing will be sent
end

--- Has a close that came together with the last data wait until these are handled. The server's own does not wait.
local function put_off_close(session, conn, is_timed)
	local on, close, destroy, is_put_off = conn.on, conn.close, conn.destroy, false;
	function conn:close(reason, ...) -- Prosody 0.12
		if reason ~= "closed" then return close(self, reason, ...); end
		self.sippo_closed = true;
		unwatch(session, self, is_timed);
	end
	function conn:on(what, reason, ...) -- Prosody 13, which destroys it next
		if what ~= "disconnect" or reason ~= "closed" then return on(self, what, reason, ...); end
		self.sippo_closed, is_put_off = true, true;
		unwatch(session, self, is_timed);
	end
	function conn:destroy()
		if not is_put_off then return destroy(self); end
		is_put_off = false;
	end
end

--- Has the connection not be read from. Its `pause` lasts until the limit of its rate has it read on.
-- The event loop tells that the other side has closed whether it was asked or not, again and again, and comes to no
-- timer meanwhile: the whole server would stand still. So the loop does not look at such a connection until what was
-- read is handled.
local function hold(session, conn, is_timed)
	conn.on, conn.close, conn.destroy = nil, nil, nil; -- of an earlier wait
	put_off_close(session, conn, is_timed);
	function conn:onreadable()
		if self._wantread then return self:set(false, nil); end
		if is_gone(self) then
			unwatch(session, self, is_timed);
		elseif is_timed then
			self.sippo_unwatched = true;
			self:del();
		else
			self.onreadable = nil;
			self:onreadable();
		end
	end
	conn:pause();
end

local function let_go(conn)
	if not conn.conn then return; end -- it has ended
	conn.onreadable, conn.on, conn.close, conn.destroy = nil, nil, nil, nil;
	if conn.sippo_closed then
		conn:on("disconnect", "closed");
		conn:destroy();
		return;
	end
	if conn.sippo_unwatched then
		conn.sippo_unwatched = nil;
		conn:add(true, unsent(conn) > 0);
	end
	conn:pausefor(0); -- what it has read already counts as well
end

--- Reads on, once the runner has handled all that was read.
local function read_on(session, thread)
	local conn = held[thread];
	if not conn or thread.state ~= "ready" or thread.queue[1] ~= nil then return; end
	if not session.sippo_waiting and not session.destroyed then return; end -- it is reading on just now
	session.sippo_waiting = nil;
	if session.sippo_reader and session.conn then session.data(""); end -- mod_sippo_websocket_limits has kept the rest
	if session.sippo_waiting then return; end -- again
	held[thread] = nil;
	let_go(conn);
end

function go_on(session)
	local wait = waiting[session];
	if not wait then return; end
	waiting[session] = nil;
	timed(session, wait.done);
	read_on(session, wait.thread);
end

-- Stanzas come to the session's runner one by one, and it works on them until the last one is done or waits.
module:hook("resource-bind", function (event)
	local session = event.session;
	local thread = session.thread;
	if not thread or rawget(thread, "run") then return; end
	local run = thread.run;
	function thread.run(...)
		local ok, state, length = timed(session, run, ...);
		read_on(session, thread);
		return ok, state, length;
	end
end);

--- Suspends the session's runner for some seconds, or (without) until its connection has sent all or ended.
local function wait_for(session, seconds)
	local conn, thread = session.conn, session.thread;
	local wait, done = async.waiter();
	waiting[session] = { done = done, thread = thread };
	if seconds then module:add_timer(seconds, function () go_on(session); end); end
	if conn and conn.conn then
		if held[thread] and held[thread] ~= conn then let_go(held[thread]); end -- of before a resumption (XEP-0198)
		held[thread], session.sippo_waiting = conn, true;
		hold(session, conn, seconds ~= nil);
		-- What mod_csi_simple keeps back for an inactive client would wait for ever: nothing is sent that it would go with.
		if not seconds and conn.resume_writes then conn:resume_writes(); end
	end
	wait();
end

local function too_much_unsent(session, stanza)
	local conn = session.conn;
	return stanza.name ~= "message" and conn and conn.conn and conn ~= session.sippo_gone and unsent(conn) > unsent_limit;
end

-- Before everybody else: what waits has not been looked at.
module:hook("pre-stanza", function (event)
	local session, stanza = event.origin, event.stanza;
	-- What comes of one that has ended is its farewell.
	if session.type ~= "c2s" or session.destroyed or not async.ready() then return; end
	while not session.destroyed do
		local left = budget(session.username, 0);
		if left < 0 then
			wait_for(session, -left / time_budget.share);
		elseif too_much_unsent(session, stanza) then
			wait_for(session);
		else
			return;
		end
	end
	return true; -- nobody is there to answer
end, 1000);

module:hook("c2s-ondrain", function (event) go_on(event.session); end);
module:hook("smacks-hibernation-start", function (event) go_on(event.origin); end);
module:hook("resource-unbind", function (event) go_on(event.session); end, 1000);
