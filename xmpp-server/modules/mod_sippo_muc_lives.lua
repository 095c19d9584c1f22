--- Rooms are made and unmade by the service in one step each, with its idea of what is newer.
--
-- Handlers of events run concurrently and late. One that reads a room's life and then destroys or makes the room
-- would act on what another has changed meanwhile: it could destroy the room's next life, or empty that one's archive.
-- So the server compares and acts at once. To the room's bare JID, from the server admin only:
--
--   <ensure xmlns='urn:quobis:sippo:room:0' life='L' ended='E' name='N' kind='K'/>   (all but `life` are optional)
--     There is a room, persistent, members-only, hidden, archived and non-anonymous, whose life is newer than E. If its
--     life is older it is destroyed first, archive, members and occupants; then it is made anew with the life L. A room
--     with a newer life keeps it; one without a life gets L and keeps what was said in it. N becomes the name if it is
--     not what the service gave last, so that a name that an owner's client chose survives a repetition. Occupants are
--     told of a new name (XEP-0045, section 10.2.1). K is what the room is for, usersGroup or conference; its members'
--     bookmarks say it (mod_sippo_muc_bookmarks). Of a life that is not newer than an end which the room has been told
--     of, neither N nor K counts, and a name that was given as such a life's goes: who gave it knew of no end.
--   <destroy xmlns='urn:quobis:sippo:room:0' ended='E'/>
--     There is no room whose life is not newer than E, and nothing of its archive. A room without a life stays.
--
-- Either may carry `expires` (see sippo_expiry). A life is written `epoch.counter/id`, two decimal numbers and an id;
-- they are compared in that order, ids by bytes.

local st = require "util.stanza";
local jid_node = require "util.jid".node;

local muc = module:depends "muc";
local archives = module:depends "sippo_muc_archive_purge";
local service = module:require "sippo_service";

local lives = module:require "sippo_lives";

local xmlns = "urn:quobis:sippo:room:0";
local configs = module:open_store("config");
local kinds = { usersGroup = true, conference = true };

module:add_feature(xmlns);

-- Rooms -----------------------------------------------------------------------

local function failed(what, room_jid)
	module:log("error", "Could not %s %s; look for the storage error above and mend the store", what, room_jid);
	return nil, "wait", "internal-server-error", "The room could not be stored; try again later";
end

--- Takes room and archive off the disk before memory: if one fails, the repetition finds the room still there.
-- Invitations for a spell of membership that began after `ended` belong to the room's next life and stay.
local function destroy(room, ended)
	local node = jid_node(room.jid);
	module:fire_event("sippo-room-ends", { room = room, ended = ended });
	if not archives.purge(node) then return failed("empty the archive of", room.jid); end
	if not configs:set(node, nil) then return failed("delete", room.jid); end
	local done, err = room:destroy(nil, "This room has ended");
	if done == false then
		module:log("error", "A module objects to the end of %s: %s", room.jid, err or "no reason given");
		return nil, "wait", "internal-server-error", "A module of the server objects; see its log";
	end
	return true;
end

local function save(room)
	local ok, saved = pcall(room.save, room, true);
	return ok and saved;
end

-- Rooms whose last write failed: what memory holds is not on disk, so the repetition must write.
local unsaved = setmetatable({}, { __mode = "k" });

-- Rooms whose occupants are to be told of a new name, once it is stored.
local renamed = setmetatable({}, { __mode = "k" });

local function tell_of_name(room)
	if not renamed[room] then return; end
	renamed[room] = nil;
	local changed = st.message({ type = "groupchat", from = room.jid })
		:tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):tag("status", { code = "104" }):up():up();
	room:broadcast_message(changed);
end

--- Writes only what differs: an `ensure` that finds all in place costs no write.
local function configure(room, life, request)
	local data = room._data;
	local changed = unsaved[room];
	local function set(key, value)
		if data[key] ~= value then data[key], changed = value, true; end
	end
	changed = room:set_persistent(true) or changed;
	changed = room:set_members_only(true) or changed;
	changed = room:set_hidden(true) or changed;
	changed = room:set_whois("anyone") or changed;
	set("archiving", true);
	set("locked", nil);
	set("sippo_life", life);
	local known = lives.parse(data.sippo_ended);
	local ended = lives.parse(request.attr.ended);
	if ended and (not known or lives.is_newer(ended, known)) then
		set("sippo_ended", request.attr.ended);
		known = ended;
	end
	local named_by = data.sippo_named_by and lives.parse(data.sippo_named_by);
	if known and named_by and not lives.is_newer(named_by, known) then
		set("sippo_name", nil);
		set("sippo_named_by", nil);
		renamed[room] = room:set_name("") or renamed[room];
	end
	local is_current = not known or lives.is_newer(lives.parse(request.attr.life), known);
	local name = is_current and request.attr.name;
	if is_current and kinds[request.attr.kind] then set("sippo_kind", request.attr.kind); end
	if name and data.sippo_name ~= name then
		set("sippo_name", name);
		set("sippo_named_by", request.attr.life);
		renamed[room] = room:set_name(name) or renamed[room];
	end
	if not changed then return true; end
	unsaved[room] = not save(room) or nil;
	if unsaved[room] then return failed("save", room.jid); end
	tell_of_name(room);
	return true;
end

local function make(room_jid, life, request)
	-- What a lost room may have left behind is nobody's to read.
	local node = jid_node(room_jid);
	if not archives.purge(node) then return failed("empty the archive of", room_jid); end
	if archives.is_purging(node) then
		return nil, "wait", "resource-constraint", "What was said in the room's earlier life is still being removed";
	end
	local room = muc.create_room(room_jid);
	if not room then return failed("make", room_jid); end
	local ok, kind, condition, text = configure(room, life, request);
	if not ok then muc.forget_room(room); end
	return ok, kind, condition, text;
end

local function ensure(room, request, room_jid)
	local life = lives.parse(request.attr.life);
	local ended = request.attr.ended and lives.parse(request.attr.ended);
	if not life or ended == nil and request.attr.ended then
		return nil, "modify", "bad-request", "Give life and ended as epoch.counter/id";
	end
	local present = room and lives.parse(room._data.sippo_life);
	if present and ended and not lives.is_newer(present, ended) then
		local ok, kind, condition, text = destroy(room, request.attr.ended);
		if not ok then return nil, kind, condition, text; end
		room = nil;
	end
	if not room then return make(room_jid, request.attr.life, request); end
	return configure(room, present and room._data.sippo_life or request.attr.life, request);
end

local function destroy_if_ended(room, request)
	local ended = lives.parse(request.attr.ended);
	if not ended then return nil, "modify", "bad-request", "Give ended as epoch.counter/id"; end
	local life = room and lives.parse(room._data.sippo_life);
	if not life or lives.is_newer(life, ended) then return true; end
	return destroy(room, request.attr.ended);
end

local function handle(operation)
	return function (event)
		local origin, stanza = event.origin, event.stanza;
		local function refuse(kind, condition, text)
			origin.send(st.error_reply(stanza, kind, condition, text));
			return true;
		end
		if service.refuse_unless_current(event) then return true; end
		local room = muc.get_room_from_jid(stanza.attr.to);
		if room and room._data.locked == math.huge then -- mod_muc's stand-in for a room that it could not read
			return refuse("wait", "internal-server-error", "The room could not be read; try again later");
		end
		if room and room._data.destroyed then room = nil; end
		local ok, kind, condition, text = operation(room, stanza.tags[1], stanza.attr.to);
		if not ok then return refuse(kind, condition, text); end
		origin.send(st.reply(stanza));
		return true;
	end
end

module:hook("iq-set/bare/"..xmlns..":ensure", handle(ensure));
module:hook("iq-set/bare/"..xmlns..":destroy", handle(destroy_if_ended));
