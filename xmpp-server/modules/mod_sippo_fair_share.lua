--- One user's stanzas take no more than a share of the server's time, and are not answered faster than they are read.
--
-- Prosody is one thread, and a small stanza may be a lot of work: a page of an archive, a presence in a room of a
-- thousand. So the next stanza of a user's session waits
--   * while all sessions of the user together have taken more than their share: `sippo_user_time_share` (default 0.5)
--     seconds of each second, and `sippo_user_time_burst` (default 0.25) seconds at once;
--   * while more than `sippo_unsent_limit` bytes (default 256 KiB) of what the session was sent before are not on
--     their way. So there is one long answer at a time, however many a client asks for. Messages do not wait for this:
--     they bring their sender nothing that is longer than themselves.
-- A session that waits is not read from. All of a session's stanzas are handled in their order, none is refused.
--
-- The service is on a host that does not load this.

local async = require "util.async";
local now = require "util.time".monotonic;
local new_cache = require "util.cache".new;

local unsent = module:require "sippo_send_buffer";

local share = module:get_option_number("sippo_user_time_share", 0.5);
local burst = module:get_option_number("sippo_user_time_burst", 0.25);
local unsent_limit = module:get_option_number("sippo_unsent_limit", 256 * 1024);

-- Time -------------------------------------------------------------------------

local budgets = new_cache(10000); -- username: { left = seconds, at = when that was so }

--- Seconds that the user may still take, below zero when there are none; what was taken is `spent` more.
local function budget(username, spent)
	local time, known = now(), budgets:get(username);
	if not known then
		known = { left = burst, at = time };
		budgets:set(username, known);
	end
	known.left = math.min(burst, known.left + (time - known.at) * share) - spent;
	known.at = time;
	return known.left;
end

--- Calls `f(…)`, which handles stanzas of `session`, and counts the time that it takes.
local function timed(session, f, ...)
	local began, username = now(), session.username;
	local ok, state, length = f(...);
	if username then budget(username, now() - began); end -- else the session has ended before
	return ok, state, length;
end

-- Stanzas come to the session's runner one by one, and it works on them until the last one is done or waits.
module:hook("resource-bind", function (event)
	local session = event.session;
	local thread = session.thread;
	if not thread or rawget(thread, "run") then return; end
	local run = thread.run;
	function thread.run(...) return timed(session, run, ...); end
end);

-- Waiting --------------------------------------------------------------------------

local waiting = {}; -- session: what ends its wait

--- Has the connection not be read from. Its `pause` lasts until the limit of its rate has it read on.
-- The event loop tells that the other side has closed whether it was asked or not, again and again, and comes to no
-- timer meanwhile: the whole server would stand still. So the loop does not look at such a connection until its wait is
-- over, or if only writing can end the wait, it is read to its end.
local function hold(conn, is_timed)
	function conn:onreadable()
		if self._wantread then return self:set(false, nil); end
		if is_timed then
			self.sippo_unwatched = true;
			return self:del();
		end
		self.onreadable = nil;
		return self:onreadable();
	end
	conn:pause();
end

local function let_go(conn)
	if not conn.conn then return; end -- it has ended
	conn.onreadable = nil;
	if conn.sippo_unwatched then
		conn.sippo_unwatched = nil;
		conn:add(true, unsent(conn) > 0);
	end
	conn:pausefor(0); -- what it has read already counts as well
end

local function go_on(session)
	local done = waiting[session];
	if not done then return; end
	waiting[session] = nil;
	timed(session, done);
end

--- Suspends the session's runner for some seconds, or (without) until its connection has sent all or ended.
local function wait_for(session, seconds)
	local conn = session.conn;
	local wait, done = async.waiter();
	waiting[session] = done;
	if seconds then module:add_timer(seconds, function () go_on(session); end); end
	if conn then
		hold(conn, seconds ~= nil);
		-- What mod_csi_simple keeps back for an inactive client would wait for ever: nothing is sent that it would go with.
		if not seconds and conn.resume_writes then conn:resume_writes(); end
	end
	wait();
	if conn then let_go(conn); end
end

local function too_much_unsent(session, stanza)
	return stanza.name ~= "message" and session.conn and unsent(session.conn) > unsent_limit;
end

-- Before everybody else: what waits has not been looked at.
module:hook("pre-stanza", function (event)
	local session, stanza = event.origin, event.stanza;
	-- What comes of one that has ended is its farewell.
	if session.type ~= "c2s" or session.destroyed or not async.ready() then return; end
	while not session.destroyed do
		local left = budget(session.username, 0);
		if left < 0 then
			wait_for(session, -left / share);
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
