--- When a membership or a room of the service ends, the invitations to it are taken back (see mod_sippo_invitations).
--
-- `sippo-membership-ended` with `room` and `users` (bare JIDs) says that it is about to end, so that a crash between
-- the two is repaired by the repetition. A few users are done at once, with one commit; of more there is a list in the
-- store, which is worked off in slices, so that nobody waits for it, and after a crash from the start. Who has been
-- invited again by then is on it no more, and who is a member again after a crash is left alone.

local jid = require "util.jid";

local muc = module:depends "muc";
local rooms = module:require "sippo_rooms";
local transaction = module:require "sippo_transaction";

local slice = module:get_option_number("sippo_invitations_slice", 100); -- users
local pause = 0.01; -- seconds between slices

local lists = module:open_store("sippo_ended_memberships"); -- user: localpart of the room; { bare JID, … }

-- What is not done yet: { [localpart of the room] = { [bare JID] = true, … }, … }
local pending = {};

local function withdraw(room_jid, user)
	local node, host = jid.split(user);
	local tenant = node and prosody.hosts[host];
	if tenant then tenant.events.fire_event("sippo-invitation-withdrawn", { username = node, room = room_jid }); end
end

--- Takes back the invitations of some users, all or none. Whoever failed here keeps theirs: an invitation to nothing.
local function withdraw_all(room_jid, users)
	local ok, err = transaction(function ()
		for _, user in ipairs(users) do withdraw(room_jid, user); end
	end);
	if not ok then
		module:log("error", "Could not take back invitations to %s: %s; see that the store works", room_jid, err);
	end
	return ok;
end

local working = false;

--- Does a slice; the timer comes again as long as there is more to do.
local function work()
	local node, users = next(pending);
	if not node then
		working = false;
		return;
	end
	local some = {};
	for user in pairs(users) do
		some[#some + 1] = user;
		if #some == slice then break; end
	end
	if withdraw_all(node.."@"..module.host, some) then
		for _, user in ipairs(some) do users[user] = nil; end
		if next(users) == nil then
			lists:set(node, nil);
			pending[node] = nil;
		end
		return pause;
	end
	return 10;
end

local function start_work()
	if working then return; end
	working = true;
	module:add_timer(pause, work);
end

local function put_off(node, users)
	local set = pending[node] or {};
	for _, user in ipairs(users) do set[user] = true; end
	local list = {};
	for user in pairs(set) do list[#list + 1] = user; end
	if not lists:set(node, list) then
		module:log("error", "Could not store whose invitations to %s@%s are to be taken back; see that the store works",
			node, module.host);
	end
	pending[node] = set;
	start_work();
end

local done = setmetatable({}, { __mode = "k" }); -- rooms of which all members are done

module:hook("sippo-membership-ended", function (event)
	local room, users = event.room, event.users;
	if not rooms.is_service_room(room.jid) then return; end
	if event.all then done[room] = true; end
	if #users <= slice then
		withdraw_all(room.jid, users);
	else
		put_off(jid.node(room.jid), users);
	end
end);

--- The members of a room.
local function members(room)
	local users = {};
	for user, affiliation in room:each_affiliation() do
		if rooms.ranks[affiliation] >= rooms.ranks.member then users[#users + 1] = user; end
	end
	return users;
end

module:hook("sippo-room-ends", function (event)
	module:fire_event("sippo-membership-ended", { room = event.room, users = members(event.room), all = true });
end);

-- By the ways of XEP-0045: after the fact
module:hook("muc-room-destroyed", function (event)
	if not done[event.room] then module:fire_event("sippo-room-ends", { room = event.room }); end
end, 1);

module:hook("muc-set-affiliation", function (event)
	local ended = rooms.ranks[event.affiliation] < rooms.ranks.member
		and rooms.ranks[event.previous_affiliation or "none"] >= rooms.ranks.member;
	if ended and not event.room.sippo_batch then
		module:fire_event("sippo-membership-ended", { room = event.room, users = { event.jid } });
	end
end);

module:hook("sippo-invited", function (event)
	local users = pending[jid.node(event.room)];
	if not users or not users[event.user] then return; end
	withdraw(event.room, event.user);
	users[event.user] = nil;
end);

-- After a crash
local function resume()
	for node in lists:users() do
		local room = muc.get_room_from_jid(node.."@"..module.host);
		local left = {};
		for _, user in ipairs(lists:get(node) or {}) do
			if not room or not rooms.is_member(room, user) then left[#left + 1] = user; end
		end
		put_off(node, left);
	end
end
module:add_timer(0, resume);
