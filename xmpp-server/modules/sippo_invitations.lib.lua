-- Invitations of the service to its rooms (XEP-0249), and what they are stored by.

local jid_prep = require "util.jid".prep;

local is_service = module:require "sippo_service".is_service;

local _M = {};

--- The room that a message of the service invites to, or nil.
function _M.room_of(stanza)
	local x = stanza.name == "message" and stanza:get_child("x", "jabber:x:conference");
	return x and x.attr.jid and is_service(stanza.attr.from) and jid_prep(x.attr.jid) or nil;
end

--- What the archives keep instead of the address that a message came from. No address looks like it, so nothing else
-- is found by it, and the store has an index of it.
function _M.with(room_jid)
	return "invitation/"..room_jid;
end

return _M;
