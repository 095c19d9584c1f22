--- Nicknames in the service's rooms: nobody goes by another member's name (XEP-0045).
--
-- Members of a group know each other by their user names. So a nickname that is a member's user name, or looks like it
-- (see sippo_lookalikes), is that member's: nobody else enters, changes to it or registers it, nor speaks under it when
-- its owner became a member later; whoever sits on it then is taken out. A member's own name as it is written is always
-- theirs. Of two members of one name it is the tenant's own user's; the guest of another tenant goes by the bare JID.
--
-- Any other nickname may be chosen freely. The one that a member used last stays theirs as long as they belong to the
-- room (and the room is in memory), so that a private message to it reaches nobody else.
--
-- docs/decisions/nicknames.md says why it is done so.

local st = require "util.stanza";
local jid = require "util.jid";
local resourceprep = require "util.encodings".stringprep.resourceprep;
local nodeprep = require "util.encodings".stringprep.nodeprep;

local muc = module:depends "muc";
local lookalikes = module:require "sippo_lookalikes";
local rooms = module:require "sippo_rooms";

local tenant = module.host:match("^[^.]+%.(.+)$");
local taken = "This nickname is another member's name: choose another, or your own user name";
local unknown_characters = rooms.unknown_characters;

-- Whose name it is --------------------------------------------------------------

-- Of each room in memory: { [key of a name] = { [bare JID of a member who has it] = true, … }, … }
local names_of = setmetatable({}, { __mode = "k" });

--- The forms in which a member's name may be written: the user name, and the bare JID, both as people read them.
local function keys_of_member(bare)
	local node, host = jid.split(bare);
	if not node then return {}; end
	local name = jid.unescape(node);
	return { lookalikes.key(name), lookalikes.key(name.."@"..host) };
end

--- `ann\40corp.example` is read as `ann@corp.example` (XEP-0106).
local function keys_of_nickname(nick)
	return lookalikes.keys(jid.unescape(nick));
end

local function note(names, bare, is_member)
	for _, key in pairs(keys_of_member(bare)) do
		local holders = names[key] or {};
		holders[bare] = is_member or nil;
		names[key] = next(holders) and holders or nil;
	end
end

local function names_in(room)
	local names = names_of[room];
	if names then return names; end
	names = {};
	for bare, affiliation in room:each_affiliation() do
		if rooms.ranks[affiliation] >= rooms.ranks.member then note(names, bare, true); end
	end
	names_of[room] = names;
	return names;
end

--- Whether `nick` is the very name of the user, in whatever case.
local function is_own_name(bare, nick)
	local node = jid.split(bare);
	local prepared = nodeprep(nick) or nodeprep(jid.escape(nick));
	return node and (prepared == node or nodeprep(jid.escape(nick)) == node or jid.prep(nick) == bare);
end

--- Whether a member other than `bare` has one of the names; `own_tenant`: and is the tenant's own user.
local function has_other_holder(names, keys, bare, own_tenant)
	for _, key in pairs(keys) do
		for holder in pairs(names[key] or {}) do
			if holder ~= bare and (not own_tenant or jid.host(holder) == tenant) then return true; end
		end
	end
	return false;
end

-- Nicknames that members used last ------------------------------------------------

-- Of each room in memory: { holder = { [key] = bare JID }, key = { [bare JID] = key } }
local last_of = setmetatable({}, { __mode = "k" });

local function keep(room, bare, nick)
	local last = last_of[room] or { holder = {}, key = {} };
	last_of[room] = last;
	local key = keys_of_nickname(nick)[1];
	if not key or last.key[bare] == key then return; end
	if last.key[bare] then last.holder[last.key[bare]] = nil; end
	last.holder[key], last.key[bare] = bare, key;
end

local function is_kept_for_another(room, bare, keys)
	local last = last_of[room];
	for _, key in pairs(last and keys or {}) do
		local holder = last.holder[key];
		if holder and holder ~= bare and rooms.is_member(room, holder) then return true; end
	end
	return false;
end

-- The rule ----------------------------------------------------------------------------

--- Whether a nickname is somebody else's name.
local function is_others_name(room, bare, nick)
	local names, keys = names_in(room), keys_of_nickname(nick);
	if is_own_name(bare, nick) then
		return jid.host(bare) ~= tenant and has_other_holder(names, keys, bare, true);
	end
	return keys[1] == nil or has_other_holder(names, keys, bare);
end

--- Whether the user may take a nickname in a room of the service.
local function may_take(room, bare, nick)
	return not is_others_name(room, bare, nick)
		and (is_own_name(bare, nick) or not is_kept_for_another(room, bare, keys_of_nickname(nick)));
end

--- Takes out an occupant who goes by somebody else's name; true if there was one.
local function expel(room, occupant_jid)
	local occupant = room:get_occupant_by_nick(occupant_jid);
	if not occupant or not is_others_name(room, occupant.bare_jid, jid.resource(occupant_jid)) then return false; end
	module:log("info", "%s leaves %s: the nickname is a member's name", occupant.bare_jid, occupant_jid);
	room:set_role(true, occupant_jid, nil, taken);
	return true;
end

local function refuse(event, condition, text)
	local kind = condition == "conflict" and "cancel" or "modify";
	event.origin.send(st.error_reply(event.stanza, kind, condition, text, module.host));
	return true;
end

local function service_room(room_jid)
	return rooms.is_service_room(room_jid) and muc.get_room_from_jid(jid.bare(room_jid)) or nil;
end

-- Entering and changing -----------------------------------------------------------------

local function check_entry(event)
	local room, before = event.room, event.orig_occupant;
	local occupant = event.dest_occupant or event.occupant;
	local nick = jid.resource(occupant.nick);
	if not resourceprep(nick, true) then return refuse(event, "jid-malformed", unknown_characters); end
	if not rooms.is_service_room(room.jid) or event.is_new_room or before and before.nick == occupant.nick then return; end
	if not may_take(room, jid.bare(event.stanza.attr.from), nick) then return refuse(event, "conflict", taken); end
end

-- Before mod_muc (2) says that nicknames must pass strict validation
module:hook("muc-occupant-pre-join", check_entry, 3);
module:hook("muc-occupant-pre-change", check_entry, 3);

-- Before mod_muc (-2) looks whose the nickname is: whoever sits on somebody's name goes first.
module:hook("presence/full", function (event)
	local stanza = event.stanza;
	local room = stanza.attr.type == nil and service_room(stanza.attr.to);
	if not room then return; end
	expel(room, stanza.attr.to);
	local nick, bare = jid.resource(stanza.attr.to), jid.bare(stanza.attr.from);
	local registrant = room:get_registered_jid(nick);
	if registrant and registrant ~= bare and rooms.is_member(room, bare) and is_others_name(room, registrant, nick) then
		room:set_affiliation_data(registrant, "reserved_nickname", nil);
		room._reserved_nicks = nil; -- mod_muc's index of them
	end
end, -1);

local function keep_nickname(event)
	local occupant = event.occupant;
	if rooms.is_service_room(event.room.jid) then keep(event.room, occupant.bare_jid, jid.resource(occupant.nick)); end
end
module:hook("muc-occupant-joined", keep_nickname);
module:hook("muc-occupant-left", keep_nickname); -- a change of the nickname is no joining: the last one counts

-- Speaking -----------------------------------------------------------------------------

local function check_speaker(event)
	local stanza = event.stanza;
	local room = service_room(stanza.attr.to);
	local own = room and room:get_occupant_jid(stanza.attr.from);
	if own and expel(room, own) and stanza.attr.type ~= "error" and stanza.attr.type ~= "result" then
		return refuse(event, "conflict", taken);
	end
	if room and jid.resource(stanza.attr.to) then expel(room, stanza.attr.to); end -- then it reaches nobody
end
for _, name in ipairs { "message/bare", "message/full", "iq/full" } do module:hook(name, check_speaker, -1); end

-- Registering (XEP-0045, section 7.10) -----------------------------------------------------

local function registered_nickname(query)
	local form = query:get_child("x", "jabber:x:data");
	for field in form and form:childtags("field") or function () end do
		if field.attr.var == "muc#register_roomnick" then return field:get_child_text("value"); end
	end
end

module:hook("iq/bare/jabber:iq:register:query", function (event)
	local stanza = event.stanza;
	local room = stanza.attr.type == "set" and service_room(stanza.attr.to);
	local nick = room and registered_nickname(stanza.tags[1]);
	if not nick then return; end
	local prepared = resourceprep(nick, true);
	if not prepared then return refuse(event, "jid-malformed", unknown_characters); end
	if not may_take(room, jid.bare(stanza.attr.from), prepared) then return refuse(event, "conflict", taken); end
end, 9);

-- Membership ----------------------------------------------------------------------------

module:hook("muc-set-affiliation", function (event)
	local room, bare = event.room, event.jid;
	if not rooms.is_service_room(room.jid) then return; end
	local is_member = rooms.ranks[event.affiliation] >= rooms.ranks.member;
	if names_of[room] then note(names_of[room], bare, is_member); end
	local last = not is_member and last_of[room];
	if last and last.key[bare] then last.holder[last.key[bare]], last.key[bare] = nil, nil; end
	local node = jid.split(bare);
	if is_member and node and room:has_occupant() then expel(room, room.jid.."/"..jid.unescape(node)); end
end);
