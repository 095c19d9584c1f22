--- Ends each session a fixed time after its login, so that what was taken from a user since then takes effect.
--
-- The client logs in again with a fresh login token, if the platform still gives them one. Resuming a session
-- (XEP-0198) does not lengthen it, and a session that waits to be resumed ends as well.

local timer = require "util.timer";

local sessions = module:require "sippo_sessions";

local max_age = module:get_option_number("sippo_session_max_age", 12 * 60 * 60);

-- RFC 6120, section 4.9.3.16: `reset` asks the client to authenticate anew
local too_old = { condition = "reset", text = "The session has reached its greatest age: log in again" };

local function expire(_, _, session) -- the time, the timer's id
	session.sippo_age_timer = nil;
	-- Not one whose address another session has by now: its end would take it away from that one.
	if session.destroyed or prosody.full_sessions[session.full_jid] ~= session then return; end
	module:log("info", "Session of %s ends: logged in %d s ago", session.full_jid or session.username, max_age);
	sessions.close(session, too_old);
end

module:hook("authentication-success", function (event)
	event.session.sippo_login = os.time();
end);

local function remaining(session)
	return max_age - (os.time() - (session.sippo_login or os.time()));
end

-- Only a bound session can do anything; one that binds late has less time left, or none: then it must not even begin.
module:hook("pre-resource-bind", function (event)
	if remaining(event.session) > 0 then return; end
	sessions.close(event.session, too_old);
	return false;
end, 10);

module:hook("resource-bind", function (event)
	local session = event.session;
	session.sippo_age_timer = timer.add_task(remaining(session), expire, session);
end);

module:hook("resource-unbind", function (event)
	local session = event.session;
	if session.sippo_age_timer then
		timer.stop(session.sippo_age_timer);
		session.sippo_age_timer = nil;
	end
end);
