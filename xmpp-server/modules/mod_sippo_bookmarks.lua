--- The service's rooms among its users' bookmarks (XEP-0402; see sippo_bookmarks).
--
--   * `sippo-bookmark-set` with `username`, `room`, `membership` and `changes` has a bookmark agree with the room. What
--     the user set in it stays: whether to enter by itself, nickname, password, extensions, a name of their own.
--   * What the service put, only it takes away: from a client a retraction of such a bookmark is refused, a bookmark
--     that is published in its place keeps the mark, one that is purged or synchronised away (XEP-0048) stays. Nobody
--     puts a mark of their own.
--   * The node keeps what is in it, for its owner alone, whatever a client asks: with PEP's defaults it would keep one
--     bookmark, and show it to all contacts.
--   * The server admin asks a user's bare JID for the rooms of the service that they belong to:
--
--       <iq type='get' to='alice@a.example'><rooms xmlns='urn:quobis:sippo:bookmark:0'/></iq>
--       <iq type='result' from='alice@a.example'><rooms xmlns='urn:quobis:sippo:bookmark:0'>
--         <room jid='…' kind='usersGroup' affiliation='member' name='Team 7'/> …</rooms></iq>
--
-- It writes to the store of mod_pep, not through mod_pep's service of a user: that has to be loaded for each user, and
-- mod_bookmarks reads all bookmarks at each publication, to tell clients of XEP-0048 of it. Of whoever is online it
-- takes the service, to tell those clients that want to know.

local st = require "util.stanza";
local jid_split = require "util.jid".split;
local new_cache = require "util.cache".new;
local storagemanager = require "core.storagemanager";

local pep = module:depends "pep";
local bookmarks = module:require "sippo_bookmarks";
local service = module:require "sippo_service";

local xmlns, node = bookmarks.xmlns, bookmarks.node;
local xmlns_pubsub, old_node = "http://jabber.org/protocol/pubsub", "storage:bookmarks";

-- As mod_pep opens them
local items = storagemanager.get_driver(module.host, "pep_data"):open("pep_"..node, "archive");
local nodes = module:open_store("pep", "map");

local pubsub_of = {}; -- users' services as far as mod_pep has them in memory
local right = new_cache(10000); -- users whose node is right on the disk: to read that is a third of a bookmark's costs

module:add_feature(xmlns);

local function copy(options)
	local all = {};
	for key, value in pairs(options) do all[key] = value; end
	return all;
end

local function check(ok, err)
	if not ok then error(err or "the store failed"); end
	return ok;
end

--- The bookmark with this id, or nil; what is none counts as none.
local function stored(username, id)
	local _, payload = check(items:find(username, { key = id, reverse = true, limit = 1 }))();
	return payload and payload.name == "conference" and payload.attr.xmlns == node and payload or nil;
end

-- The node -------------------------------------------------------------------------

--- Whether a node keeps its items, and for its owner alone.
local function is_right(config)
	for key, value in pairs(bookmarks.options) do
		if config[key] ~= value then return false; end
	end
	return true;
end

local function corrected(config)
	local all = copy(config);
	for key, value in pairs(bookmarks.options) do all[key] = value; end
	return all;
end

--- Has the user have the node. `changes.undo` forgets what mod_pep has in memory of it.
local function ensure_node(username, changes)
	local pubsub = pubsub_of[username];
	if pubsub then
		local found = pubsub.nodes[node];
		if found and is_right(found.config) then return; end
		changes.undo[#changes.undo + 1] = function ()
			pubsub.nodes[node] = found;
			if not found then pubsub.data[node] = nil; end
		end;
		if found then
			pubsub.nodes[node] = copy(found); -- `undo` has the old one
			check(pubsub:set_node_config(node, true, copy(found.config)));
		else
			check(pubsub:create(node, true, {}));
		end
		return;
	end
	if right:get(username) then return; end
	table.insert(changes.after, function () right:set(username, true); end);
	local found = check(nodes:get(username, node) or {});
	if found == true or not found.config then
		found = { name = node, config = {}, subscribers = {}, affiliations = {} };
	elseif is_right(found.config) then
		return;
	end
	found.config = corrected(found.config);
	check(nodes:set(username, node, found));
end

-- What the service puts and takes away -------------------------------------------------

--- Whether anybody of the user's is there to be told.
local function has_sessions(username)
	return prosody.hosts[module.host].sessions[username] ~= nil;
end

--- Tells a user's clients of what is on the disk already, as util.pubsub would.
-- @param payload  the bookmark, or nil if it is gone
local function notify(username, id, payload)
	local pubsub = pep.get_pep_service(username);
	local node_object = pubsub.nodes[node];
	if not node_object then return; end
	local item = st.stanza("item", { xmlns = xmlns_pubsub, id = id });
	if payload then item:add_child(payload); end
	-- mod_bookmarks reads all bookmarks for clients of XEP-0048: only if there are any.
	if next(pubsub.config.subscriber_filter({}, old_node)) ~= nil then
		local event = { service = pubsub, node = node, actor = true, id = id, item = item };
		if payload then pubsub.events.fire_event("item-published/"..node, event); end
		pubsub.events.fire_event(payload and "item-published" or "item-retracted", event);
	end
	if payload then
		pubsub:broadcast("items", node, node_object.subscribers, item, true, node_object);
	else
		pubsub:broadcast("retract", node, node_object.subscribers, st.stanza("retract", { id = id }), true, node_object);
	end
end

local function tell_afterwards(event, payload)
	local username, id = event.username, event.room;
	if not has_sessions(username) then return; end
	table.insert(event.changes.after, function () notify(username, id, payload); end);
end

--- The bookmark as it is to be, or nil if it is so already.
local function agreeing(present, membership)
	local mark = bookmarks.mark_of(present);
	if mark and mark.attr.kind == membership.kind and mark.attr.affiliation == membership.affiliation
		and mark.attr.name == membership.name then
		return nil;
	end
	local wanted = present and bookmarks.unmark(st.clone(present))
		or st.stanza("conference", { xmlns = node, autojoin = "true" });
	-- A name that the user gave it is theirs.
	if wanted.attr.name == (mark and mark.attr.name or nil) then wanted.attr.name = membership.name; end
	return bookmarks.put_mark(wanted, {
		xmlns = xmlns, kind = membership.kind, affiliation = membership.affiliation, name = membership.name;
	});
end

module:hook("sippo-bookmark-set", function (event)
	local username, room, membership = event.username, event.room, event.membership;
	local present = stored(username, room);
	if not membership then
		if not present then return; end
		check(items:delete(username, { key = room }));
		return tell_afterwards(event, nil);
	end
	local wanted = agreeing(present, membership);
	if not wanted then return; end
	ensure_node(username, event.changes);
	check(items:append(username, room, wanted, os.time(), nil));
	tell_afterwards(event, wanted);
end);

-- Rooms on other cells ---------------------------------------------------------------------

-- Who belongs to one is known by their bookmark: the room's cell has told what they are to it (mod_sippo_cell_link).
local elsewhere = new_cache(10000); -- { [user and room] = whether they belong to it }

module:hook("sippo-bookmark-set", function (event)
	local key = event.username.." "..event.room;
	table.insert(event.changes.after, function () elsewhere:set(key, nil); end);
end, 1);

--- Whether `username` belongs to `room`, as its cell has told.
module:hook("sippo-belongs-elsewhere", function (event)
	local key = event.username.." "..event.room;
	local found = elsewhere:get(key);
	if found == nil then
		found = bookmarks.mark_of(stored(event.username, event.room)) ~= nil;
		elsewhere:set(key, found);
	end
	return found;
end);

-- What clients do about it ---------------------------------------------------------------

--- An item that a client publishes: with the mark of what it takes the place of, and with no other.
local function with_mark(username, id, item)
	if not st.is_stanza(item) or not item:get_child("conference", node) then return item; end
	local mark = bookmarks.mark_of(stored(username, id));
	local clean = bookmarks.unmark(st.clone(item));
	if mark then bookmarks.put_mark(clean:get_child("conference", node), copy(mark.attr)); end
	return clean;
end

local function is_ours(username, id)
	return bookmarks.mark_of(stored(username, id or "")) ~= nil;
end

--- What a client may ask a node of itself to be (XEP-0060, section 7.1.5), when it is the bookmarks'.
local function without_sizes(options)
	if not options then return nil; end
	local left = copy(options);
	left.max_items, left.persist_items = nil, nil;
	return left;
end

--- Has a user's pubsub service treat bookmarks as said above, whoever comes to it by whatever way.
local function guard(pubsub, username)
	local publish, retract, purge, create, set_node_config =
		pubsub.publish, pubsub.retract, pubsub.purge, pubsub.create, pubsub.set_node_config;
	function pubsub:publish(name, actor, id, item, options)
		if name ~= node then return publish(self, name, actor, id, item, options); end
		if not self.nodes[node] and self:may(node, actor, "publish") then
			local ok, err = self:create(node, true, {});
			if not ok then return ok, err; end
		end
		return publish(self, name, actor, id, with_mark(username, id, item), without_sizes(options));
	end
	function pubsub:retract(name, actor, id, ...)
		local kept = name == node and actor ~= true and self:may(name, actor, "retract") and is_ours(username, id);
		if kept then return true; end
		return retract(self, name, actor, id, ...);
	end
	function pubsub:purge(name, actor, ...)
		if name ~= node or actor == true or not self.nodes[node] or not self:may(name, actor, "retract") then
			return purge(self, name, actor, ...);
		end
		local ok, found = self:get_items(node, actor);
		if not ok then return ok, found; end
		for _, id in ipairs(found) do
			if not bookmarks.mark_of(found[id]:get_child("conference", node)) then
				local done, err = retract(self, node, actor, id, st.stanza("retract", { id = id }));
				if not done then return done, err; end
			end
		end
		return true;
	end
	function pubsub:create(name, actor, options)
		return create(self, name, actor, name == node and corrected(options or {}) or options);
	end
	function pubsub:set_node_config(name, actor, config)
		return set_node_config(self, name, actor, name == node and corrected(config) or config);
	end
end

module:handle_items("pep-service", function (event)
	local username = event.item.service.config.pep_username;
	pubsub_of[username] = event.item.service;
	right:set(username, nil); -- what becomes of it is that service's now
	guard(event.item.service, username);
end, function (event)
	pubsub_of[event.item.service.config.pep_username] = nil;
end, true);

local function refuse(event, text)
	event.origin.send(st.error_reply(event.stanza, "cancel", "not-allowed", text));
	return true;
end

--- What a user asks to have done with their own bookmarks, or nil. Nobody else hears whether something is among them.
local function own_action(event, name)
	local stanza, username = event.stanza, event.origin.username;
	if not username then return nil; end -- a room passes on what its occupants ask of each other
	local own = username.."@"..module.host;
	if stanza.attr.type ~= "set" or stanza.attr.to and stanza.attr.to ~= own then return nil; end
	local action = stanza.tags[1]:get_child(name);
	return action and action.attr.node == node and action or nil;
end

-- A client is told, where it asks for one thing.
module:hook("iq/bare/"..xmlns_pubsub..":pubsub", function (event)
	local action = own_action(event, "retract");
	local item = action and action:get_child("item");
	if item and is_ours(event.origin.username, item.attr.id) then
		return refuse(event, "You belong to this room: its bookmark goes when that ends. Set autojoin to false instead");
	end
end, 20);

module:hook("iq/bare/"..xmlns_pubsub.."#owner:pubsub", function (event)
	if own_action(event, "delete") then
		return refuse(event, "Bookmarks stay: the rooms that you belong to are among them. Retract those of your own");
	end
end, 20);

-- Which rooms somebody belongs to -----------------------------------------------------------

module:hook("iq-get/bare/"..xmlns..":rooms", function (event)
	local origin, stanza = event.origin, event.stanza;
	if not service.is_from_service(event) then return; end
	local found = items:find(jid_split(stanza.attr.to), {});
	if not found then
		module:log("error", "Could not read the bookmarks of %s; see that the store works", stanza.attr.to);
		origin.send(st.error_reply(stanza, "wait", "internal-server-error", "The bookmarks could not be read; try later"));
		return true;
	end
	local reply = st.reply(stanza):tag("rooms", { xmlns = xmlns });
	for id, payload in found do
		local mark = bookmarks.mark_of(payload);
		if mark then
			local attr = mark.attr;
			reply:tag("room", { jid = id, kind = attr.kind, affiliation = attr.affiliation, name = attr.name }):up();
		end
	end
	origin.send(reply);
	return true;
end);
