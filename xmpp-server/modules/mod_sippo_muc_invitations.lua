--- When a membership or a room of the service ends, the invitations to it are taken back (see mod_sippo_invitations).
--
-- `sippo-membership-ended` with `room` and `ends` says that it is about to end, so that a crash between the two is
-- repaired by the repetition. `ends` has for each bare JID what ended it, as the service names it (see
-- sippo_invitations), or true: invitations for a newer spell stay. A few users are done at once, with one commit; of
-- more there is a list in the store, which is worked off in slices, so that nobody waits for it, and after a crash from
-- the start. Who has been invited again by then is on it no more. After a crash whoever is a member again is left
-- alone, if it is not known what ended their membership.

local jid = require "util.jid";

local muc = module:depends "muc";
local cells = module:require "sippo_routes";
local invitations = module:require "sippo_invitations";
local rooms = module:require "sippo_rooms";
local transaction = module:require "sippo_transaction";

local slice = module:get_option_number("sippo_invitations_slice", 100); -- users
local pause = 0.01; -- seconds between slices

local lists = module:open_store("sippo_ended_memberships"); -- user: localpart of the room; { [bare JID] = end, … }

-- What is not done yet: { [localpart of the room] = { [bare JID] = end, … }, … }
local pending = {};

local function withdraw(room_jid, user, ended)
	local node, host = jid.split(user);
	local tenant = node and prosody.hosts[host];
	if not tenant then
		if node then cells.note_elsewhere(room_jid, user, ended); end
		return;
	end
	tenant.events.fire_event("sippo-invitation-withdrawn", {
		username = node, room = room_jid, ended = ended ~= true and ended or nil;
	});
end

--- Takes back the invitations of some users, all or none. Whoever failed here keeps theirs: an invitation to nothing.
local function withdraw_all(room_jid, ends)
	local ok, err = transaction(function ()
		for user, ended in pairs(ends) do withdraw(room_jid, user, ended); end
	end);
	if not ok then
		module:log("error", "Could not take back invitations to %s: %s; see that the store works", room_jid, err);
	end
	return ok;
end

local working = false;

--- Does a slice; the timer comes again as long as there is more to do.
local function work()
	local node, ends = next(pending);
	if not node then
		working = false;
		return;
	end
	local some, count = {}, 0;
	for user, ended in pairs(ends) do
		some[user], count = ended, count + 1;
		if count == slice then break; end
	end
	if withdraw_all(node.."@"..module.host, some) then
		for user in pairs(some) do ends[user] = nil; end
		if next(ends) == nil then
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

local function put_off(node, ends)
	local all = pending[node] or {};
	for user, ended in pairs(ends) do all[user] = invitations.later(all[user], ended); end
	if not lists:set(node, all) then
		module:log("error", "Could not store whose invitations to %s@%s are to be taken back; see that the store works",
			node, module.host);
	end
	pending[node] = all;
	start_work();
end

local done = setmetatable({}, { __mode = "k" }); -- rooms of which all members are done

--- Whether there are more than a slice.
local function is_long(ends)
	local count = 0;
	for _ in pairs(ends) do count = count + 1; end
	return count > slice;
end

module:hook("sippo-membership-ended", function (event)
	local room = event.room;
	if not rooms.is_service_room(room.jid) then return; end
	if event.all then done[room] = true; end
	if is_long(event.ends) then
		put_off(jid.node(room.jid), event.ends);
	else
		withdraw_all(room.jid, event.ends);
	end
end);

--- The members of a room, with what ended it.
local function members(room, ended)
	local ends = {};
	for user, affiliation in room:each_affiliation() do
		if rooms.ranks[affiliation] >= rooms.ranks.member then ends[user] = ended or true; end
	end
	return ends;
end

-- `ended` says what ended the room, if that is known.
module:hook("sippo-room-ends", function (event)
	local ends = members(event.room, event.ended);
	module:fire_event("sippo-membership-ended", { room = event.room, ends = ends, all = true });
end);

-- By the ways of XEP-0045: after the fact
module:hook("muc-room-destroyed", function (event)
	if not done[event.room] then module:fire_event("sippo-room-ends", { room = event.room }); end
end, 1);

module:hook("muc-set-affiliation", function (event)
	local ended = rooms.ranks[event.affiliation] < rooms.ranks.member
		and rooms.ranks[event.previous_affiliation or "none"] >= rooms.ranks.member;
	if ended and not event.room.sippo_batch then
		module:fire_event("sippo-membership-ended", { room = event.room, ends = { [event.jid] = true } });
	end
end);

module:hook("sippo-invited", function (event)
	if next(pending) == nil then return; end
	local ends = pending[jid.node(event.room)];
	if not ends or not ends[event.user] then return; end
	withdraw(event.room, event.user, ends[event.user]);
	ends[event.user] = nil;
end);

-- After a crash
local function resume()
	for node in lists:users() do
		local room = muc.get_room_from_jid(node.."@"..module.host);
		local left = {};
		for key, value in pairs(lists:get(node) or {}) do
			local user, ended = key, value;
			if type(key) == "number" then user, ended = value, true; end -- a list of an earlier release
			if ended ~= true or not room or not rooms.is_member(room, user) then left[user] = ended; end
		end
		put_off(node, left);
	end
end
module:add_timer(0, resume);
