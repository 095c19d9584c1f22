--- Sessions that wait to be resumed (XEP-0198, mod_smacks) end when another takes their resource.
--
-- A client that has lost its state logs in anew with the same resource. Prosody then closes the old session, but
-- mod_websocket does nothing to one without a connection: it would live on beside the new one, whose address its end
-- would take away, and what it has not delivered would never reach the offline store.

local resourceprep = require "util.encodings".stringprep.resourceprep;

local sessions = module:require "sippo_sessions";

local replaced = { condition = "conflict", text = "Replaced by a new session of this resource" };

local function sessions_of_user(session)
	local user = prosody.hosts[session.host].sessions[session.username];
	return user and user.sessions or {};
end

-- After those who may choose another resource or refuse
module:hook("pre-resource-bind", function (event)
	local old = sessions_of_user(event.session)[resourceprep(event.resource or "", true)];
	if old and not old.conn then sessions.close(old, replaced); end
end, -10);
