--- Invitations to rooms that have ended, or that one has left, are taken back while nobody has seen them.
--
-- An invitation of the service to somebody offline lies in the offline store and in the archive, for weeks perhaps. So
-- that those of one room are found without looking through all of a user's messages, both keep the room with it, in
-- the place of the correspondent's address. mod_sippo_muc_invitations says when to take them back, by the event
-- `sippo-invitation-withdrawn` with `username` and `room`. One that is still under way to a lost session (mod_smacks)
-- becomes an empty message, since what has been counted has to come, and is not stored when that session's time is up.

local jid_host = require "util.jid".host;
local jid_node = require "util.jid".node;
local new_cache = require "util.cache".new;

module:depends "offline";

local invitations = module:require "sippo_invitations";
local is_service = module:require "sippo_service".is_service;

local xmlns_withdrawn = "urn:quobis:sippo:invitation:0";

local stores = { module:open_store("offline", "archive"), module:open_store("archive", "archive") };
local offline, archive = stores[1], stores[2];
local is_sql = archive.caps and archive.caps.wildcard_delete; -- can change `with` alone; files need the message again

-- Those that were taken back lately. Others under way since then are forgotten with the sessions they go to.
local withdrawn = new_cache(10000);

local function mark_of(username, room)
	return username.." "..room;
end

-- mod_mam has stored it
module:hook("archive-message-added", function (event)
	local room = invitations.room_of(event.stanza);
	if not room or event.for_user ~= jid_node(event.stanza.attr.to) then return; end
	archive:set(event.for_user, event.id, not is_sql and event.stanza or nil, nil, invitations.with(room));
end);

-- A new one; mod_sippo_muc_invitations may have older ones on its list still.
module:hook("message/bare", function (event)
	local room = invitations.room_of(event.stanza);
	local host = room and prosody.hosts[jid_host(room)];
	if not host then return; end
	host.events.fire_event("sippo-invited", { room = room, user = event.stanza.attr.to });
	withdrawn:set(mark_of(jid_node(event.stanza.attr.to), room), nil);
end, 20);

--- Empties what has not reached a lost session yet.
local function empty_queues(username, room)
	local user = prosody.hosts[module.host].sessions[username];
	for _, session in pairs(user and user.sessions or {}) do
		local queue = session.hibernating and session.outgoing_stanza_queue;
		for _, stanza in ipairs(queue and queue:table() or {}) do
			if invitations.room_of(stanza) == room then
				stanza:maptags(function () return nil; end);
				stanza:tag("withdrawn", { xmlns = xmlns_withdrawn }):up();
			end
		end
	end
end

-- Before mod_cloud_notify (1) would tell of it, and mod_sippo_offline_quota (-0.5) count it
module:hook("message/offline/handle", function (event)
	local room = invitations.room_of(event.stanza);
	if room and withdrawn:get(mark_of(event.username, room)) then return true; end
	if event.stanza:get_child("withdrawn", xmlns_withdrawn) and is_service(event.stanza.attr.from) then return true; end
end, 5);

-- Just before mod_offline (-1), which would store it without the room
module:hook("message/offline/handle", function (event)
	local room = invitations.room_of(event.stanza);
	local stored = room and offline:append(event.username, nil, event.stanza, os.time(), invitations.with(room));
	return stored and true or nil;
end, -0.9);

--- Whether the user has stored any. By the count of them: to find the first, the store would look through all there is.
local function holds_any(store, username, query)
	if not store.summary then return true; end
	local summary, err = store:summary(username, query);
	if not summary then error(err or "the store failed"); end
	return next(summary.counts) ~= nil;
end

module:hook("sippo-invitation-withdrawn", function (event)
	local username, query = event.username, { with = invitations.with(event.room) };
	withdrawn:set(mark_of(username, event.room), true);
	empty_queues(username, event.room);
	for _, store in ipairs(stores) do
		-- A deletion has the store count all that the user has the next time, so look first.
		if holds_any(store, username, query) and not store:delete(username, query) then error("the store failed"); end
	end
	module:fire_event("sippo-offline-changed", { username = username });
end);
