--- Takes back guests' invitations and bookmarks of the rooms of a tenant that goes (part of mod_quobis_virtualhosts).
--
-- What waits for the tenant's own users goes with the tenant; that of other tenants' users lies in their archives. It
-- works on the store, since the rooms are closed already, and also after a crash.

local jid_split = require "util.jid".split;

local cells = module:require "sippo_routes";
local is_known = module:require "sippo_dormant_hosts".is_known;
local slices = module:require "sippo_slices";
local bookmarks = module:require "sippo_bookmarks";

local rooms_at_a_time, guests_at_a_time = 20, 100;
local ranks = { member = true, admin = true, owner = true };

local next_rooms = [[SELECT DISTINCT "user" FROM "prosody" WHERE "host"=? AND "user">? ORDER BY "user" LIMIT ?]];
-- Rooms' affiliations by the users' addresses, and those that ended lately (mod_sippo_muc_invitations, …_bookmarks)
local affiliations = [[SELECT "user","store","key","value" FROM "prosody" WHERE "host"=? AND "user">? AND "user"<=?
	AND "store" IN ('config','sippo_ended_memberships','sippo_bookmarks_due') AND "key" LIKE '%@%']];

--- Reads who is a guest in the next rooms; may be repeated, when the connection was lost.
-- @return guests, the last of these rooms, whether there may be more
local function read_rooms(engine, component, after)
	local guests, last, count = {}, after, 0;
	for row in engine:select(next_rooms, component, after, rooms_at_a_time) do last, count = row[1], count + 1; end
	for row in engine:select(affiliations, component, after, last) do
		local username, host = jid_split(row[3]);
		local counts = row[2] ~= "config" or ranks[row[4]];
		if username and counts then
			guests[#guests + 1] = { host = host, username = username, room = row[1].."@"..component };
		end
	end
	return guests, last, count == rooms_at_a_time;
end

--- Takes back some invitations and bookmarks, all or none.
local function withdraw(guests, ended)
	return bookmarks.transact(function (changes)
		for _ = 1, math.min(guests_at_a_time, #guests) do
			local guest = table.remove(guests);
			local user = guest.username.."@"..guest.host;
			if is_known(guest.host) then
				prosody.hosts[guest.host].events.fire_event("sippo-invitation-withdrawn", {
					username = guest.username, room = guest.room, ended = ended;
				});
				bookmarks.look(changes, guest.room, user);
			else
				cells.note_elsewhere(guest.room, user, ended or true);
			end
		end
	end);
end

--- Takes back what guests have of the rooms of `component`. To be called in a runner of util.async.
-- @param ended  what ended them (see sippo_invitations), or nil
-- @return true, or nil and what went wrong. Safe to repeat.
return function (component, ended)
	for _, engine in pairs(module:shared "/*/sql/connections") do
		local guests, after, more = {}, "", true;
		local ok, err = slices.each(function ()
			if guests[1] then
				local done, problem = withdraw(guests, ended);
				if not done then return nil, problem; end
			else
				local done;
				done, guests, after, more = engine:transaction(read_rooms, engine, component, after);
				if not done then return nil, guests; end
			end
			return guests[1] ~= nil or more;
		end);
		if not ok then return nil, err; end
	end
	return true;
end
