--- Sessions that wait to be resumed (XEP-0198, mod_smacks) end when another takes their resource or too many wait.
--
-- A client that has lost its state logs in anew with the same resource. Prosody then closes the old session, but
-- mod_websocket does nothing to one without a connection: it would live on beside the new one, whose address its end
-- would take away, and what it has not delivered would never reach the offline store.

local resourceprep = require "util.encodings".stringprep.resourceprep;

local sessions = module:require "sippo_sessions";

local limit = module:get_option_number("sippo_resume_limit", 20);

local replaced = { condition = "conflict", text = "Replaced by a new session of this resource" };
local too_many = { condition = "policy-violation", text = "Too many sessions of this user wait to be resumed" };

local function sessions_of_user(session)
	local user = prosody.hosts[session.host].sessions[session.username];
	return user and user.sessions or {};
end

-- After those who may choose another resource or refuse
module:hook("pre-resource-bind", function (event)
	local old = sessions_of_user(event.session)[resourceprep(event.resource or "", true)];
	if old and not old.conn then sessions.close(old, replaced); end
end, -10);

local started = 0; -- tells which began to wait first; the clock of mod_smacks has seconds

module:hook("smacks-hibernation-start", function (event)
	started = started + 1;
	event.origin.sippo_waits_since = started;
	local waiting = {};
	for _, session in pairs(sessions_of_user(event.origin)) do
		if session.hibernating then waiting[#waiting + 1] = session; end
	end
	table.sort(waiting, function (a, b) return (a.sippo_waits_since or 0) < (b.sippo_waits_since or 0); end);
	for i = 1, #waiting - limit do
		module:log("debug", "Session of %s ends: more than %d wait", waiting[i].full_jid, limit);
		sessions.close(waiting[i], too_many);
	end
end);
