--- Push services (XEP-0357) that this server can reach: components of its own, other than rooms. It talks to no other
--- server.

local jid_host = require "util.jid".host;
local jid_prep = require "util.jid".prep;

local _M = {};

local function is_service_host(host)
	return host ~= nil and host.type == "component" and not host.modules.muc;
end

--- Whether a JID is one of a push service's here.
function _M.is_reachable(jid)
	local prepared = jid_prep(jid);
	return prepared ~= nil and is_service_host(prosody.hosts[jid_host(prepared)]);
end

--- Whether there is any.
function _M.is_any()
	for _, host in pairs(prosody.hosts) do
		if is_service_host(host) then return true; end
	end
	return false;
end

return _M;
