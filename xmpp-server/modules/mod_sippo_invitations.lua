--- Invitations to rooms that have ended, or that one has left, are taken back while nobody has seen them.
--
-- An invitation of the service to somebody offline lies in the offline store and in the archive, for weeks perhaps. So
-- that those of one room are found without looking through all of a user's messages, both keep the room with it, in
-- the place of the correspondent's address, and since when the membership is. mod_sippo_muc_invitations says when to
-- take them back, by the event `sippo-invitation-withdrawn` with `username`, `room` and, if it is known, what `ended`
-- the membership: what was sent for a newer spell stays. One that is still under way to a lost session (mod_smacks)
-- becomes an empty message, since what has been counted has to come, and is not stored when that session's time is up.
-- One that comes only after it was taken back is dropped.

local jid_host = require "util.jid".host;
local jid_node = require "util.jid".node;
local new_cache = require "util.cache".new;

module:depends "offline";

local invitations = module:require "sippo_invitations";
local is_service = module:require "sippo_service".is_service;

local stores = { module:open_store("offline", "archive"), module:open_store("archive", "archive") };
local archive = stores[2];
local is_sql = archive.caps and archive.caps.wildcard_delete;

-- What ended the memberships that ended lately, or true; others under way since then are forgotten with the sessions
-- they go to.
local withdrawn = new_cache(10000);

-- Since when the memberships are whose invitations were sent lately.
local sent = new_cache(10000);

local function mark_of(username, room)
	return username.." "..room;
end

local function sent_mark(username, room, id)
	return mark_of(username, room).." "..(id or "");
end

--- Since when the membership is that a message of ours invites to, by what it was when it was sent.
local function since_of(username, room, stanza)
	return sent:get(sent_mark(username, room, stanza.attr.id));
end

-- mod_mam and mod_offline store it with the address it came from, or none. To change that afterwards would be a second
-- statement for each of a group's thousand; so what they call, the class of this host's archives, knows better.
local class = getmetatable(archive).__index;
local append = class.append;
local stores_invitations = { offline = true, archive = true };

function class.append(self, username, key, value, when, with)
	local room = stores_invitations[self.store] and invitations.room_of(value);
	if room and username == jid_node(value.attr.to) then
		with = invitations.with(room, since_of(username, room, value));
	end
	return append(self, username, key, value, when, with);
end

function module.unload()
	class.append = append;
end

-- A new one; mod_sippo_muc_invitations may have older ones on its list still.
module:hook("message/bare", function (event)
	local stanza = event.stanza;
	local room = invitations.room_of(stanza);
	if not room then return; end
	local since, username = invitations.take_since(stanza), jid_node(stanza.attr.to);
	local host = prosody.hosts[jid_host(room)];
	if host then host.events.fire_event("sippo-invited", { room = room, user = stanza.attr.to }); end
	local mark = mark_of(username, room);
	local ended = withdrawn:get(mark);
	if since and ended and ended ~= true and invitations.is_over(since, ended) then return true; end
	if not since or ended == true then withdrawn:set(mark, nil); end
	sent:set(sent_mark(username, room, stanza.attr.id), since);
end, 20);

--- Empties what has not reached a lost session yet.
local function empty_queues(username, room, ended)
	local user = prosody.hosts[module.host].sessions[username];
	for _, session in pairs(user and user.sessions or {}) do
		local queue = session.hibernating and session.outgoing_stanza_queue;
		for _, stanza in ipairs(queue and queue:table() or {}) do
			if invitations.room_of(stanza) == room and invitations.is_over(since_of(username, room, stanza), ended) then
				stanza:maptags(function () return nil; end);
				stanza:tag("withdrawn", { xmlns = invitations.xmlns }):up();
			end
		end
	end
end

-- Before mod_cloud_notify (1) would tell of it, and mod_sippo_offline_quota (-0.5) count it
module:hook("message/offline/handle", function (event)
	local room, username = invitations.room_of(event.stanza), event.username;
	local ended = room and withdrawn:get(mark_of(username, room));
	if ended and invitations.is_over(since_of(username, room, event.stanza), ended) then return true; end
	if event.stanza:get_child("withdrawn", invitations.xmlns) and is_service(event.stanza.attr.from) then return true; end
end, 5);

-- Bytes in order, whatever the database's idea of letters is
local collations = { SQLite3 = "BINARY", PostgreSQL = '"C"' };
local range = [[SELECT DISTINCT "with" FROM "prosodyarchive" WHERE "host"=? AND "user"=? AND "store"=?
	AND "with" COLLATE %s >= ? AND "with" COLLATE %s < ?]];

--- Adds to `found` what a user's invitations to a room are kept with in a SQL store. An index answers it.
local function find_in_sql(engine, store, username, room, found)
	local first = invitations.with(room);
	local collation = collations[engine.params.driver];
	local ok, err = engine:transaction(function ()
		-- Behind the room's name comes nothing, or a slash; the next character is 0.
		for row in engine:select(range:format(collation, collation), module.host, username, store.store, first, first.."0") do
			found[row[1]] = true;
		end
	end);
	if not ok then error(err or "the store failed"); end
end

--- What a user's invitations to a room are kept with. A deletion has the store count all that the user has the next
-- time, so it is worth a look first.
local function kept_with(store, username, room)
	local found = {};
	if is_sql then
		for _, engine in pairs(module:shared "/*/sql/connections") do find_in_sql(engine, store, username, room, found); end
		return found;
	end
	local items, err = store:find(username, {});
	if not items and err and err ~= "item-not-found" then error(err); end
	for _, _, _, with in items or function () end do
		if with == invitations.with(room) or (with or ""):find(invitations.with(room).."/", 1, true) == 1 then
			found[with] = true;
		end
	end
	return found;
end

module:hook("sippo-invitation-withdrawn", function (event)
	local username, room, ended = event.username, event.room, event.ended;
	local mark = mark_of(username, room);
	withdrawn:set(mark, invitations.later(withdrawn:get(mark), ended or true));
	empty_queues(username, room, ended);
	for _, store in ipairs(stores) do
		for with in pairs(kept_with(store, username, room)) do
			local over = with == invitations.with(room) or invitations.is_over(invitations.since_of(with), ended);
			if over and not store:delete(username, { with = with }) then error("the store failed"); end
		end
	end
	module:fire_event("sippo-offline-changed", { username = username });
end);
