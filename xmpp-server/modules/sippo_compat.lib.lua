-- What Prosody 0.12 and 13 do differently, behind one name each. Once 0.12 is no longer known to work here, what is
-- marked with it goes, and this file with the last of it.

local hosts = prosody.hosts;
local jid_bare = require "util.jid".bare;

local _M = {};

--- Whether a full or bare JID is an operator by the configuration (`admins`), seen from this host. Not by a role in a
-- store: that would be a query for each stanza, and nobody here can be given one.
function _M.is_operator(jid)
	local authz = hosts[module.host].authz;
	-- Raw: on 0.12 it is a module's environment, which logs a traceback of whatever is read and not there.
	if not rawget(authz, "get_jid_role") then -- 0.12: one role, the same on every host
		local roles = authz.get_jid_roles(jid_bare(jid));
		return roles ~= nil and roles["prosody:admin"] == true;
	end
	local role = authz.get_jid_role(jid);
	return role ~= nil and role.name == "prosody:operator";
end

--- The status that an HTTP handler has answered with.
function _M.status_of(answer)
	return type(answer) == "table" and answer.code or answer; -- 0.12: a number in any case
end

--- LuaSec's own context in what core.certmanager makes. 0.12: it makes nothing else.
function _M.raw_tls_context(context)
	return type(context) == "table" and context._inner or context;
end

--- The table in which net.server looks for a server name's context. 0.12: it belongs to the listener.
function _M.sni_contexts(server)
	return type(server.tls_ctx) == "table" and server.tls_ctx._sni_contexts or server.hosts;
end

return _M;
