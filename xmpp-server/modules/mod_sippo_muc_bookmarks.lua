--- Who belongs to a room of the service has it among their bookmarks (see sippo_bookmarks, mod_sippo_bookmarks).
--
-- Whose bookmarks are to be looked at is known when memberships change (mod_muc_admin_batch waits for `agree` before it
-- answers, so that a request that fails half-way comes again), when a room ends, and when its owner renames it. Of the
-- last two there is a list in the store if they are many, which is worked off in slices, after a crash as well.

local jid = require "util.jid";

module:depends "muc";
local bookmarks = module:require "sippo_bookmarks";
local rooms = module:require "sippo_rooms";

local at_once = module:get_option_number("sippo_bookmarks_at_once", 100); -- users
local slice = 0.1; -- seconds of the processor's time: some 1,000 users
local pause = 0.01; -- seconds for others
local again = 10; -- seconds until a store that has failed is tried again

local lists = module:open_store("sippo_bookmarks_due"); -- user: localpart of the room; { [bare JID] = true, … }

--- Looks at the bookmarks of users from the one at `index`, for as long as a slice.
-- @return the index of the next one, or nil and what went wrong
local function look_at_some(room_jid, users, index)
	local began, next_index = os.clock(), index;
	local ok, err = bookmarks.transact(function (changes)
		repeat
			bookmarks.look(changes, room_jid, users[next_index]);
			next_index = next_index + 1;
		until not users[next_index] or os.clock() - began > slice;
	end);
	if not ok then return nil, err; end
	return next_index;
end

--- Has the bookmarks of `users` (a list of bare JIDs) agree with a room. Others have their turn in between, if they are
-- many.
-- @param done  is called with whether that succeeded
local function agree(room_jid, users, done)
	if not users[1] or not rooms.is_service_room(room_jid) then return done(true); end
	local index = 1;
	local function go_on()
		local following, err = look_at_some(room_jid, users, index);
		if not following then
			module:log("error", "Could not store bookmarks of %s: %s; see that the store works", room_jid, err);
			return done(false);
		elseif not users[following] then
			return bookmarks.when_told(room_jid, users, function () done(true); end);
		end
		index = following;
		module:add_timer(pause, go_on);
	end
	go_on();
end

module.environment.agree = agree;

local put_off;

--- Has those whose membership is about to end have no bookmark, before the room is saved without them: the room's end
-- would not find them there. Of many there is a list instead. To be called when the room in memory is without them.
-- @return whether that is on the disk
function module.environment.end_memberships(room, users)
	if not users[1] or not rooms.is_service_room(room.jid) then return true; end
	if #users > at_once then return put_off(jid.node(room.jid), users); end
	local index = 1;
	while users[index] do
		local following, err = look_at_some(room.jid, users, index);
		if not following then
			module:log("error", "Could not store bookmarks of %s: %s; see that the store works", room.jid, err);
			return false;
		end
		index = following;
	end
	return true;
end

-- Lists ---------------------------------------------------------------------------

-- What is not done yet, by the localpart of the room: { [bare JID] = what stands for the time they were put there, … }
local pending = {};
local working = false;

local work;

--- Does what is on one room's list; whoever is put on it meanwhile, once more, is done the next time.
local function work_off(node)
	local users, times = {}, {};
	for user, time in pairs(pending[node]) do users[#users + 1], times[user] = user, time; end
	agree(node.."@"..module.host, users, function (ok)
		if ok then
			for _, user in ipairs(users) do
				if pending[node][user] == times[user] then pending[node][user] = nil; end
			end
			if next(pending[node]) == nil then
				pending[node] = nil;
				lists:set(node, nil);
			end
		end
		module:add_timer(ok and pause or again, work);
	end);
end

function work()
	local node = next(pending);
	working = node ~= nil;
	if node then work_off(node); end
end

--- @return whether the list is on the disk
function put_off(node, users)
	local all, kept, time = pending[node] or {}, {}, {};
	for _, user in ipairs(users) do all[user] = time; end
	for user in pairs(all) do kept[user] = true; end
	pending[node] = all;
	local stored = lists:set(node, kept);
	if not stored then
		module:log("error", "Could not store whose bookmarks of %s@%s are to be looked at; see that the store works", node,
			module.host);
	end
	if not working then
		working = true;
		module:add_timer(pause, work);
	end
	return stored and true or false;
end

local function members(room)
	local users = {};
	for user, affiliation in room:each_affiliation() do
		if rooms.ranks[affiliation] >= rooms.ranks.member then users[#users + 1] = user; end
	end
	return users;
end

--- A room ends: it counts as gone from now on, whether or not what follows succeeds, since it is tried again.
local function room_ends(room)
	if room.sippo_ends or not rooms.is_service_room(room.jid) then return; end
	room.sippo_ends = true;
	local users = members(room);
	if #users > at_once then
		put_off(jid.node(room.jid), users);
		return;
	end
	agree(room.jid, users, function (ok)
		if not ok then put_off(jid.node(room.jid), users); end
	end);
end

module:hook("sippo-room-ends", function (event) room_ends(event.room); end);
module:hook("muc-room-destroyed", function (event) room_ends(event.room); end);

-- One at a time, by the ways of XEP-0045
module:hook("muc-set-affiliation", function (event)
	if not event.room.sippo_batch then
		agree(event.room.jid, { event.jid }, function (ok)
			if not ok then put_off(jid.node(event.room.jid), { event.jid }); end
		end);
	end
end);

-- Before mod_muc (0) takes the name. It is there when the list is begun.
module:hook("muc-config-submitted/muc#roomconfig_roomname", function (event)
	local room = event.room;
	if rooms.is_service_room(room.jid) and event.value ~= room._data.name then
		put_off(jid.node(room.jid), members(room));
	end
end, 1);

-- After a crash
module:add_timer(0, function ()
	for node in lists:users() do
		local users = {};
		for user in pairs(lists:get(node) or {}) do users[#users + 1] = user; end
		if users[1] then put_off(node, users); end
	end
end);
