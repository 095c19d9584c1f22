-- The service: the one admin of this server (`ADMIN_JID`), and what only it may ask for.

local st = require "util.stanza";

local is_operator = module:require "sippo_compat".is_operator;
local refuse_if_expired = module:require "sippo_expiry".refuse_if_expired;

local _M = {};

--- Whether a full or bare JID is the service's. What is no string (mod_muc has `true` for itself as an actor) is not.
function _M.is_service(jid)
	return type(jid) == "string" and is_operator(jid);
end

--- Whether a stanza came over a session of the service's.
function _M.is_from_service(event)
	return event.origin.type == "c2s" and _M.is_service(event.stanza.attr.from);
end

--- Answers a request that is not the service's, or has expired (see sippo_expiry), and says true; else nil.
function _M.refuse_unless_current(event)
	if _M.is_from_service(event) then return refuse_if_expired(event); end
	event.origin.send(st.error_reply(event.stanza, "auth", "forbidden", "Only the service does this"));
	return true;
end

return _M;
