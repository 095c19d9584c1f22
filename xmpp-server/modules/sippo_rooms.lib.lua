-- Which rooms are the service's, and who belongs to a room.

local jid_bare = require "util.jid".bare;
local jid_node = require "util.jid".node;

local valid_affiliations = module:require "muc/util".valid_affiliations;

local _M = {};

--- Whether the service, not a user, decides about the room: the name says it, since a name cannot be forged.
function _M.is_service_room(room_jid)
	local node = jid_node(room_jid);
	return not node or node:sub(1, 6) ~= "adhoc-";
end

--- The rank of a user's affiliation with a room, to be compared with those of `_M.ranks`.
function _M.affiliation_rank(room, jid)
	return valid_affiliations[room:get_affiliation(jid) or "none"];
end

_M.ranks = valid_affiliations;

--- Whether a user, by a full or bare JID, is member, admin or owner.
function _M.is_member(room, jid)
	return _M.affiliation_rank(room, jid_bare(jid)) >= valid_affiliations.member;
end

--- What is wrong with a nickname whose characters Prosody's stringprep (RFC 3454, Unicode 3.2) does not know.
_M.unknown_characters = "Choose a nickname without emoji and without characters that are newer than Unicode 3.2";

return _M;
