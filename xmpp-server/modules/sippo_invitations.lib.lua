-- Invitations of the service to its rooms (XEP-0249), what they are stored by, and which of them an end takes back.
--
-- Each belongs to a spell of membership. The service names the event that began the spell, and with the end of a
-- membership the event that ended it, so that an end which is handled late leaves the next spell's invitation alone.
-- To a message of its own it adds
--
--   <membership xmlns='urn:quobis:sippo:invitation:0' since='L'/>
--
-- where L is written like a life (see sippo_lives). It is taken off before anybody sees it: the numbers in it are not
-- the tenant's to know.

local jid_prep = require "util.jid".prep;

local is_service = module:require "sippo_service".is_service;
local lives = module:require "sippo_lives";

local _M = {};

_M.xmlns = "urn:quobis:sippo:invitation:0";

local last_name, last_room; -- a group's invitations come together

--- A room's address in its one form, or nil.
local function prepare(name)
	if name ~= last_name then last_name, last_room = name, jid_prep(name); end
	return last_room;
end

--- The room that a message of the service invites to, or nil.
function _M.room_of(stanza)
	if stanza.name ~= "message" or not is_service(stanza.attr.from) then return nil; end
	local x = stanza:get_child("x", "jabber:x:conference");
	return x and x.attr.jid and prepare(x.attr.jid) or nil;
end

--- Takes off an invitation what it says of its membership: since when, or nil.
function _M.take_since(stanza)
	local membership = stanza:get_child("membership", _M.xmlns);
	if not membership then return nil; end
	stanza:remove_children("membership", _M.xmlns);
	return lives.parse(membership.attr.since) and membership.attr.since;
end

local prefix = "invitation/";

--- What the archives keep instead of the address that a message came from. No address looks like it, so nothing else
-- is found by it, and the store has an index of it.
function _M.with(room_jid, since)
	return prefix..room_jid..(since and "/"..since or "");
end

--- Since when the membership is whose invitation is kept with `with`; nil if that is unknown.
function _M.since_of(with)
	return with:match("^invitation/[^/]+/(.+)$");
end

--- SQL for the rows of the table prosodyarchive that are invitations.
_M.sql_is_invitation = ([["store" IN ('offline','archive') AND substr("with",1,%d)='%s']]):format(#prefix, prefix);

--- Whether an end takes back an invitation.
-- @param since  since when its membership is; nil if that is unknown, so before all
-- @param ended  what ended the membership, or the room; nil or true for an end that is later than all
function _M.is_over(since, ended)
	local from, to = lives.parse(since), lives.parse(ended ~= true and ended or nil);
	return not from or not to or not lives.is_newer(from, to);
end

--- The later of two ends, where nil is none.
function _M.later(a, b)
	if a == nil or b == nil then return a or b; end
	return a ~= true and (b == true or lives.is_newer(lives.parse(b), lives.parse(a))) and b or a;
end

return _M;
