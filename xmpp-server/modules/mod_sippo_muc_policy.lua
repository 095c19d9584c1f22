--- Who may make a room, and who decides about it (XEP-0045).
--
-- Two kinds of rooms live on a tenant's component, told apart by name, since a name cannot be forged:
--   * `adhoc-…`: rooms of the tenant's own users, who do with them what XEP-0045 lets them;
--   * all others: rooms of the service. Only the server admin creates, configures or destroys them. They are
--     persistent, members-only, hidden, archived and non-anonymous: members see who is who.
--
-- For service rooms the platform is the source of truth about membership. An owner's client that granted or revoked
-- affiliations would make the room differ from the group, and the next event of the group would undo the change
-- without a word; so it is refused, as is every way round it (a mediated invitation makes a member in a members-only
-- room, cancelling the registration unmakes one). Name, description and language are the owner's, and so is keeping
-- order: roles are moderated as XEP-0045, section 8, has it, since a role ends with the visit.
--
-- In `adhoc-…` rooms only the server admin makes members of other tenants' users
-- (mod_sippo_tenant_isolation lets members in).
--
-- A server admin never becomes an owner by entry in the list: it owns every room anyway, and owners would see it.
--
-- A room carries its life: the configuration field `urn:quobis:sippo:room#life`, for server admins only. Setting
-- another life than the stored one empties the archive, so that nobody reads what was said in an earlier life. That of
-- a large archive takes several requests: until it is empty, the room keeps its life and the service is to try again.

local st = require "util.stanza";
local jid_host = require "util.jid".host;
local jid_node = require "util.jid".node;
local jid_prep = require "util.jid".prep;
local jid_resource = require "util.jid".resource;
local resourceprep = require "util.encodings".stringprep.resourceprep;

local muc = module:depends "muc";
local archives = module:depends "sippo_muc_archive_purge";
local valid_affiliations = module:require "muc/util".valid_affiliations;

local xmlns_admin = "http://jabber.org/protocol/muc#admin";
local xmlns_owner = "http://jabber.org/protocol/muc#owner";
local xmlns_muc_user = "http://jabber.org/protocol/muc#user";
local life_field = "urn:quobis:sippo:room#life";
local tenant = module.host:match("^[^.]+%.(.+)$");

local is_service = module:require "sippo_service".is_service;

local rooms = module:require "sippo_rooms";
local is_service_room, affiliation_rank = rooms.is_service_room, rooms.affiliation_rank;

local function refuse(event, condition, text)
	event.origin.send(st.error_reply(event.stanza, condition == "forbidden" and "auth" or "cancel", condition, text,
		module.host));
	return true;
end

-- Creation ------------------------------------------------------------------

-- Before mod_muc tracks or locks the room: what is refused here leaves nothing behind.
module:hook("muc-room-pre-create", function (event)
	local from = event.stanza.attr.from;
	if is_service(from) then return; end
	if jid_host(from) ~= tenant or is_service_room(event.room.jid) then
		return refuse(event, "not-allowed", "Choose a room name that begins with adhoc-, on your own domain's service");
	end
end, 1000);

-- mod_muc looks at the nickname only when it has the room in memory, from where it would go to the disk some day.
module:hook("muc-room-pre-create", function (event)
	local nick = jid_resource(event.stanza.attr.to) or "";
	local seen = nick:find("%S");
	if seen and resourceprep(nick, true) then return; end
	event.origin.send(st.error_reply(event.stanza, "modify", "jid-malformed",
		seen and rooms.unknown_characters or "Enter with a nickname: room@service/nickname", module.host));
	return true;
end, 990);

-- After the defaults (1): also a room whose configuration never arrives is closed.
module:hook("muc-room-pre-create", function (event)
	local room = event.room;
	if not is_service_room(room.jid) then return; end
	room:set_persistent(true);
	room:set_members_only(true);
	room:set_hidden(true);
	room:set_whois("anyone");
	room._data.archiving = true;
end, 0);

-- Rooms that were made before they were non-anonymous
module:hook("muc-room-restored", function (event)
	if is_service_room(event.room.jid) then event.room:set_whois("anyone"); end
end);

-- Before mod_muc (0) takes the value
module:hook("muc-config-submitted/muc#roomconfig_whois", function (event)
	if is_service_room(event.room.jid) then event.value = "anyone"; end
end, 1);

-- The list of rooms --------------------------------------------------------------

-- mod_muc (0) restores every stored room to see which are public, and begins anew as long as it finds none: where all
-- are hidden, each request would hold up the whole server. Public rooms that nobody uses just now can be left out.
module:hook("host-disco-items", function (event)
	local reply = event.reply;
	for room in muc.live_rooms() do
		if room:get_public() then reply:tag("item", { jid = room.jid, name = room:get_name() }):up(); end
	end
	event.origin.send(reply);
	return true;
end, 10);

-- Membership ------------------------------------------------------------------

module:hook("muc-pre-set-affiliation", function (event)
	local room, actor, jid = event.room, event.actor, event.jid;
	if is_service(jid) then
		event.allowed = false;
	elseif not actor or is_service(actor) then
		return;
	elseif is_service_room(room.jid) then
		event.allowed = false;
	elseif valid_affiliations[event.affiliation] > valid_affiliations.none and jid_host(jid) ~= tenant then
		event.allowed = false;
	end
end);

-- mod_muc frees a nickname that an item reserves (it kicks the occupant) before it asks whether the sender may set
-- an affiliation at all. So ask first.
module:hook("iq-set/bare/"..xmlns_admin..":query", function (event)
	local stanza = event.stanza;
	local room = not is_service(stanza.attr.from) and muc.get_room_from_jid(stanza.attr.to);
	if not room then return; end
	for _, item in ipairs(stanza.tags[1].tags) do
		if item.attr.affiliation then
			if is_service_room(room.jid) then
				return refuse(event, "not-allowed", "The service decides who belongs to this room; change the group there");
			elseif affiliation_rank(room, stanza.attr.from) < valid_affiliations.admin then
				return refuse(event, "forbidden", "Ask an owner of the room");
			end
		end
	end
end, 20);

module:hook("muc-pre-invite", function (event)
	local room, stanza = event.room, event.stanza;
	if not is_service_room(room.jid) or is_service(stanza.attr.from) then return; end
	local x = stanza:get_child("x", xmlns_muc_user);
	local invite = x and x:get_child("invite");
	local invitee = invite and jid_prep(invite.attr.to);
	if not invitee or affiliation_rank(room, invitee) < valid_affiliations.member then
		return refuse(event, "not-allowed", "The service decides who belongs to this room; add the user to the group there");
	end
end, 900);

module:hook("iq/bare/jabber:iq:register:query", function (event)
	local stanza = event.stanza;
	if stanza.attr.type == "set" and stanza.tags[1]:get_child("remove") and is_service_room(stanza.attr.to)
		and not is_service(stanza.attr.from) and muc.get_room_from_jid(stanza.attr.to) then
		return refuse(event, "not-allowed", "The service decides who belongs to this room; leave the group there");
	end
end, 10);

-- Configuration and destruction ---------------------------------------------------

local owner_fields = {
	FORM_TYPE = true,
	["muc#roomconfig_roomname"] = true,
	["muc#roomconfig_roomdesc"] = true,
	["muc#roomconfig_lang"] = true,
};

-- mod_muc reads of a submitted form what the form for that very sender contains: what is not in it stays as it is.
module:hook("muc-config-form", function (event)
	local room, form = event.room, event.form;
	if is_service(event.actor) then
		table.insert(form, {
			name = life_field, type = "text-single", label = "Life of the room", value = room._data.sippo_life,
		});
	elseif is_service_room(room.jid) then
		for i = #form, 1, -1 do
			if not owner_fields[form[i].name] then table.remove(form, i); end
		end
	end
end, -1000);

module:hook("muc-config-submitted/"..life_field, function (event)
	if event.value and event.value ~= "" then event.room._data.sippo_life = event.value; end
end);

--- The life that a submitted configuration form sets, or nil.
local function submitted_life(form)
	if not form or form.attr.type ~= "submit" then return nil; end
	for field in form:childtags("field") do
		if field.attr.var == life_field then
			local life = field:get_child_text("value");
			return life ~= "" and life or nil;
		end
	end
end

--- Empties the archive of `room` and what mod_muc keeps of it in memory and configuration.
-- @return true; false when the archive is still being emptied; nil when that went wrong
local function forget_messages(room)
	local node = jid_node(room.jid);
	if not archives.purge(node) then return nil; end
	if archives.is_purging(node) then return false; end
	room._history = nil;
	room._data.subject, room._data.subject_from, room._data.subject_time = nil, nil, nil;
	return true;
end

module:hook("iq-set/bare/"..xmlns_owner..":query", function (event)
	local origin, stanza = event.origin, event.stanza;
	local room = muc.get_room_from_jid(stanza.attr.to);
	if not room then return; end
	local child = stanza.tags[1].tags[1];
	if not is_service(stanza.attr.from) then
		if child and child.name == "destroy" and is_service_room(room.jid)
			and room:get_affiliation(stanza.attr.from) == "owner" then
			return refuse(event, "not-allowed", "The service decides how long this room lives; delete the group there");
		end
		return;
	end
	local life = submitted_life(stanza.tags[1]:get_child("x", "jabber:x:data"));
	if not life or life == room._data.sippo_life then return; end
	local forgotten = forget_messages(room);
	if forgotten == false then
		origin.send(st.error_reply(stanza, "wait", "resource-constraint",
			"What was said in the room's earlier life is still being removed; try again later"));
		return true;
	elseif not forgotten then
		module:log("error", "Could not empty the archive of %s; look for the storage error above and mend the store",
			room.jid);
		origin.send(st.error_reply(stanza, "wait", "internal-server-error",
			"The archive could not be emptied; try again later"));
		return true;
	end
end, 10);
