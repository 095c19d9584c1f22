-- The service: the one admin of this server (`ADMIN_JID`), and what only it may ask for.

local jid_prep = require "util.jid".prep;
local st = require "util.stanza";

local refuse_if_expired = module:require "sippo_expiry".refuse_if_expired;

local _M = {};

local service_jid = jid_prep(module:get_option_string("sippo_admin_jid"));
local length, slash = #service_jid, ("/"):byte();

--- Whether a full or bare JID is the service's. What is no string (mod_muc has `true` for itself as an actor) is not.
-- It is asked several times for every stanza and occupant, hence by the name alone: no role in a store makes another.
function _M.is_service(jid)
	if type(jid) ~= "string" or jid:sub(1, length) ~= service_jid then return false; end
	local behind = jid:byte(length + 1);
	return behind == nil or behind == slash;
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
