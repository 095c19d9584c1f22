--- Ends client sessions, whatever state they are in.

local destroy_session = require "core.sessionmanager".destroy_session;

local lib = {};

--- Ends one session with a stream error (RFC 6120, section 4.9). It cannot be resumed afterwards (XEP-0198).
function lib.close(session, reason)
	if session.conn then
		session:close(reason);
	elseif session.host then
		-- Hibernating: no connection to close, and mod_smacks would keep the session for the client to come back.
		module:context(session.host):fire_event("pre-session-close", { session = session, reason = reason });
		destroy_session(session, reason.text);
	end
end

--- Ends all sessions of a host, also those that have not logged in or bound a resource yet.
function lib.close_all(host, reason)
	local found = {};
	for _, user in pairs(prosody.hosts[host].sessions) do
		for _, session in pairs(user.sessions) do found[session] = true; end
	end
	for _, session in pairs(module:shared "/*/c2s/sessions") do
		if session.host == host then found[session] = true; end
	end
	for session in pairs(found) do lib.close(session, reason); end
end

return lib;
