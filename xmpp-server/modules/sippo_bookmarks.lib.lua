--- Bookmarks of the service's rooms (XEP-0402): who belongs to a room has it among theirs, and nobody else by us.
--
-- A bookmark follows from the room, by what the room is when somebody looks (`look`), not by what is asked for: however
-- late a request is handled, and however often, the bookmark is as the room is. What a look changes in memory or tells
-- somebody waits for the commit (`transact`), so that a store that fails leaves no trace.
--
-- A bookmark of ours bears a mark among its extensions, which says what the room is to its user:
--
--   <conference xmlns='urn:xmpp:bookmarks:1' name='Team 7' autojoin='true'><extensions>
--     <room xmlns='urn:quobis:sippo:bookmark:0' kind='usersGroup' affiliation='member' name='Team 7'/>
--   </extensions></conference>

local jid_split = require "util.jid".split;

local cells = module:require "sippo_routes";
local rooms = module:require "sippo_rooms";
local transaction = module:require "sippo_transaction";

local _M = {};

_M.node = "urn:xmpp:bookmarks:1";
_M.xmlns = "urn:quobis:sippo:bookmark:0";

--- How the node is (XEP-0402, section 4): for its owner alone, and nothing falls out of it.
_M.options = {
	persist_items = true, max_items = "max", send_last_published_item = "never", access_model = "whitelist",
};

local link = module:shared "/*/sippo_cell_link/link";

local unreadable = math.huge; -- what mod_muc has as `locked` in its stand-in for a room that it could not read

--- A name as an attribute has it once it was stored and read again (XML 1.0, section 3.3.3).
local function as_attribute(name)
	return name and (name:gsub("\r\n", " "):gsub("[\r\n\t]", " "));
end

--- What a room is to a user by their bare JID: { name, kind, affiliation }; nil if they do not belong to it, or it has
-- ended.
function _M.membership(room_jid, user)
	local _, component = jid_split(room_jid);
	local host = prosody.hosts[component];
	local muc = host and host.modules and host.modules.muc;
	local room = muc and muc.get_room_from_jid(room_jid);
	if not room or room._data.destroyed or room.sippo_ends then return nil; end
	if room._data.locked == unreadable then error("the room "..room_jid.." could not be read"); end
	local affiliation = room._affiliations[user];
	if not affiliation or rooms.ranks[affiliation] < rooms.ranks.member then return nil; end
	return {
		name = as_attribute(room._data.name), kind = room._data.sippo_kind or "usersGroup", affiliation = affiliation;
	};
end

--- Has a user's bookmark of a room agree with the room. Whose domain is not served has none; on another cell, or while
-- their tenant moves, it does as soon as that has been told (mod_sippo_cell_link).
-- @param changes  what `transact` gives
function _M.look(changes, room_jid, user)
	local username, domain = jid_split(user);
	local tenant = username and prosody.hosts[domain];
	if username and not tenant then cells.note_elsewhere(room_jid, user); end
	if not tenant or not tenant.modules or not tenant.modules.sippo_bookmarks then return; end
	tenant.events.fire_event("sippo-bookmark-set", {
		username = username, room = room_jid, membership = _M.membership(room_jid, user), changes = changes;
	});
end

--- Calls `go_on` when the users who are on other cells have bookmarks that agree with a room, as far as these answer.
function _M.when_told(room_jid, users, go_on)
	if not cells.has_cells then return go_on(); end
	return link.when_told(room_jid, users, 0.5, go_on); -- the service takes 1.5 s of silence for the end
end

--- Calls `f(changes)` in one transaction. True when all is on disk, and then it calls what is in `changes.after`; nil
-- and an error when nothing is, and then what is in `changes.undo`.
function _M.transact(f)
	local changes = { after = {}, undo = {} };
	local ok, err = transaction(function () f(changes); end);
	for _, follow in ipairs(ok and changes.after or changes.undo) do follow(); end
	return ok, err;
end

--- Whether an element is the mark.
local function is_mark(element)
	return element.attr.xmlns == _M.xmlns;
end

--- The mark of a bookmark of ours, or nil. What is no element of extensions is none.
function _M.mark_of(conference)
	local extensions = conference and conference:get_child("extensions", _M.node);
	return extensions and extensions:get_child("room", _M.xmlns);
end

--- Takes off a bookmark all that looks like our mark, wherever it is.
function _M.unmark(element)
	element:maptags(function (child)
		if is_mark(child) then return nil; end
		return _M.unmark(child);
	end);
	return element;
end

--- Puts a mark on a bookmark that has none.
function _M.put_mark(conference, attributes)
	local extensions = conference:get_child("extensions", _M.node);
	if not extensions then
		conference:reset():tag("extensions", { xmlns = _M.node }):reset();
		extensions = conference:get_child("extensions", _M.node);
	end
	extensions:reset():tag("room", attributes):reset();
	return conference;
end

return _M;
