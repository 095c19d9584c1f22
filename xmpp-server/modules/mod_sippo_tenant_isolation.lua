--- Tenants are islands: no stanza passes between users of different domains.
--
-- A tenant is a virtual host together with the components one label below it (`conference.a.example` belongs to
-- `a.example`). What crosses is the traffic between a room and its members (an affiliation of member or above, which
-- only the platform grants across tenants, see mod_sippo_muc_policy) and whatever the server admin sends.
-- To the admin's host nothing gets through but what rooms send to the admin.
--
-- Where there are several cells, that is so at both ends (mod_sippo_cells): the room's cell knows the members, and the
-- user's knows the rooms that they belong to, as the room's cell has told (mod_sippo_bookmarks).
--
-- Load it on every virtual host and every component. There are two guards, since neither sees everything:
--   * `pre-stanza` on the sender's host judges what clients send, before any module has acted on it (subscriptions
--     written to the roster, archive copies, carbons);
--   * the events on the recipient's host judge the rest: what modules send for a user (PEP notifications, unsubscribe
--     after the removal of a contact, push requests) and what rooms send.
-- A foreigner gets the same answer whether the user, room or domain exists or not.

local st = require "util.stanza";
local filters = require "util.filters";
local jid_bare = require "util.jid".bare;
local jid_host = require "util.jid".host;
local jid_prep = require "util.jid".prep;
local jid_split = require "util.jid".split;

local xmlns_muc_user = "http://jabber.org/protocol/muc#user";
local hosts = prosody.hosts;
local is_component = module:get_host_type() == "component";
local member_ranks = { member = true, admin = true, owner = true };

-- Who belongs where -----------------------------------------------------------

-- [host that is not loaded yet] = its tenant (see sippo_dormant_hosts): to ask whose it is does not load it.
local dormant = module:shared "/*/sippo_dormant_hosts/names";

local cells = module:require "sippo_routes";

--- The virtual host that `host` belongs to: itself, or the parent of a component.
local function tenant_of_host(host)
	if dormant[host] then return dormant[host]; end
	if not hosts[host] then return cells.tenant_of(host) or host; end
	local parent = hosts[host] and hosts[host].type == "component" and host:match("^[^.]+%.(.+)$");
	return parent and hosts[parent] and parent or host;
end

local function tenant_of(jid)
	return tenant_of_host(jid_host(jid));
end

local own_host = module.host;

local is_service = module:require "sippo_service".is_service;
local push_services = module:require "sippo_push_services";

--- The room that `jid` names, when it is one on a MUC component of this server.
local function room_of(jid)
	local muc = hosts[jid_host(jid)];
	muc = muc and muc.modules and muc.modules.muc;
	return muc and muc.get_room_from_jid and muc.get_room_from_jid(jid_bare(jid)) or nil;
end

local function is_member(room, jid)
	return room and member_ranks[room:get_affiliation(jid_bare(jid)) or "none"] or false;
end

-- Refusals ----------------------------------------------------------------------

local silent_types = { error = true, result = true };
local subscription_types = { subscribe = true, subscribed = true, unsubscribe = true, unsubscribed = true };

--- Drops a stanza; tells its sender, unless that would answer an answer or nobody waits for it.
local function refuse(event)
	local origin, stanza = event.origin, event.stanza;
	local kind = stanza.attr.type;
	module:log("debug", "Dropped %s from %s to %s: tenants are islands", stanza.name, stanza.attr.from, stanza.attr.to);
	if silent_types[kind] then return true; end
	local is_told = origin.type == "c2s" or is_component and origin.type == "s2sin";
	if stanza.name == "presence" and (kind == "unavailable" or not is_told) then return true; end
	if stanza.name == "message" and kind == "headline" and origin.type ~= "c2s" then return true; end
	origin.send(st.error_reply(stanza, "auth", "forbidden",
		"This address belongs to another tenant; ask the service for membership of a room to talk there"));
	return true;
end

-- Rooms on other cells ------------------------------------------------------------

--- Whether `host` is where a tenant on another cell has its rooms.
local function is_of_rooms_elsewhere(host)
	if dormant[host] or hosts[host] then return false; end
	local _, is_of_rooms = cells.tenant_of(host);
	return is_of_rooms or false;
end

--- Whether a user of this host belongs to a room on another cell.
local function belongs_elsewhere(username, room_jid)
	if not username or not jid_split(room_jid) then return false; end
	return module:fire_event("sippo-belongs-elsewhere", { username = username, room = room_jid }) or false;
end

--- Whether this may be said although one belongs to the room no longer: farewells and answers.
local function is_farewell(stanza)
	return silent_types[stanza.attr.type] or stanza.name == "presence" and stanza.attr.type == "unavailable";
end

--- Notes that a session has to do with a room on another cell, which has to answer it, and to say farewell at the end.
local function note_visit(session, room_jid)
	local visited = session.sippo_visited or {};
	session.sippo_visited, visited[room_jid] = visited, true;
end

--- Whether a session of `jid`'s user has had to do with a room on another cell.
local function has_visited(jid, room_jid)
	local user = prosody.bare_sessions[jid_bare(jid)];
	for _, session in pairs(user and user.sessions or {}) do
		if session.sippo_visited and session.sippo_visited[room_jid] then return true; end
	end
	return false;
end

-- What clients send ---------------------------------------------------------------

--- Whether the recipient's host judges by itself: a MUC component with this module.
local function is_guarded_muc(host)
	if dormant[host] == host then return false; end
	local target = hosts[host];
	return target and target.type == "component" and target.modules.muc and target.modules[module.name];
end

if not is_component then
	module:hook("pre-stanza", function (event)
		local origin, stanza = event.origin, event.stanza;
		local to = stanza.attr.to;
		if origin.type ~= "c2s" or not to or is_service(origin.full_jid) then return; end
		local host = jid_host(to);
		if tenant_of_host(host) == own_host then return; end
		-- Rooms know no subscriptions, and mod_presence would note the request in the roster before the room refuses.
		local subscribes = stanza.name == "presence" and subscription_types[stanza.attr.type];
		if is_guarded_muc(host) and not subscribes then return; end
		if not is_of_rooms_elsewhere(host) or subscribes or not jid_split(to) then return refuse(event); end
		if belongs_elsewhere(origin.username, jid_bare(to)) then
			note_visit(origin, jid_bare(to));
		elseif not is_farewell(stanza) then
			return refuse(event);
		end
	end, 1000);

	-- Without s2s Prosody answers for a domain it does not have in that domain's name, and the guard below would drop
	-- what comes from there: the service would wait in vain. So it is told on the spot.
	module:hook("route/remote", function (event)
		local origin, stanza = event.origin, event.stanza;
		if origin.type ~= "c2s" or not is_service(origin.full_jid) then return; end
		if not silent_types[stanza.attr.type] then
			origin.send(st.error_reply(stanza, "cancel", "remote-server-not-found",
				"This server has no host of that name; create it first"));
		end
		return true;
	end, -1000);

	-- Only stanzas have addresses. Prosody hands any other element with a `to` to the host named there, also before
	-- login: an <auth to='b.example'/> on a stream to a.example would be checked by b.example and, if good, open a
	-- session of a.example.
	local function strip_address(element, session)
		if element.attr and (element.attr.xmlns or session.type == "c2s_unauthed") then element.attr.to = nil; end
		return element;
	end
	module:hook("stream-features", function (event)
		local session = event.origin;
		if session.sippo_addresses_stripped then return; end
		session.sippo_addresses_stripped = true;
		filters.add_filter(session, "stanzas/in", function (element) return strip_address(element, session); end, 1000);
	end, 1000);
end

-- What arrives -----------------------------------------------------------------------

--- Whether a room of another tenant may send this to `to`.
local function room_may_send(stanza)
	local from, to = stanza.attr.from, stanza.attr.to;
	local host = jid_host(from);
	-- Farewells and answers go to people who are members no longer. Of one that is elsewhere we have but its cell's word.
	if is_of_rooms_elsewhere(host) then
		local room_jid = jid_bare(from);
		return is_farewell(stanza) and has_visited(to, room_jid) or belongs_elsewhere(jid_split(to), room_jid);
	elseif is_farewell(stanza) then
		local muc = hosts[host];
		return muc and muc.modules.muc and true or false;
	end
	return is_member(room_of(from), to);
end

--- Whether a foreigner may send this into a room here.
local function foreigner_may_send(stanza)
	local to = stanza.attr.to;
	if not jid_split(to) then return false; end -- the component itself: its lists are the tenant's own
	local room = room_of(to);
	if not room then return false; end
	if is_member(room, stanza.attr.from) then return true; end
	-- Somebody whose membership ended while they were inside still has to get out.
	local kind = stanza.attr.type;
	return (kind == "error" or kind == "unavailable") and room:get_occupant_by_real_jid(stanza.attr.from) ~= nil;
end

local function guard_arrival(event)
	local stanza = event.stanza;
	local from = stanza.attr.from;
	if not from or not stanza.attr.to or is_service(from) then return; end
	local tenant = tenant_of(from);
	if tenant == tenant_of_host(own_host) then return; end
	if is_component then
		if hosts[own_host].modules.muc and foreigner_may_send(stanza) then return; end
	elseif is_service(stanza.attr.to) then
		-- The admin makes rooms by entering them, as an owner without an entry in the list of affiliations.
		if room_of(from) then return; end
	elseif jid_split(from) and room_may_send(stanza) then
		return;
	elseif stanza.name == "iq" and silent_types[stanza.attr.type] and push_services.is_reachable(from) then
		return; -- its answer to a notification
	end
	return refuse(event);
end

for _, name in ipairs { "message", "presence", "iq" } do
	for _, address in ipairs { "bare", "full", "host" } do
		module:hook(name.."/"..address, guard_arrival, 1000);
	end
end

-- Inside rooms ---------------------------------------------------------------------------

if is_component then
	--- Bare JID of the user whom `jid` means in `room`: an occupant's, if it is an occupant JID.
	local function real_jid(room, jid)
		if jid_bare(jid) ~= room.jid then return jid_bare(jid); end
		local occupant = room:get_occupant_by_nick(jid);
		return occupant and occupant.bare_jid or nil;
	end

	--- XEP-0045, 7.8.2: the room relays what the inviter wrote, so both must be of one tenant; and an invitation may
	--- make a member, so the invitee must be of the room's tenant unless they are a member already.
	local function guard_relayed(payload_name)
		return function (event)
			local room, origin, stanza = event.room, event.origin, event.stanza;
			local from = stanza.attr.from;
			if is_service(from) then return; end
			local x = stanza:get_child("x", xmlns_muc_user);
			local payload = x and x:get_child(payload_name);
			local addressee = payload and jid_prep(payload.attr.to);
			if not addressee then
				origin.send(st.error_reply(stanza, "modify", "bad-request", "Say whom this is for, as a JID"));
				return true;
			end
			local target = real_jid(room, addressee);
			if target and tenant_of(target) == tenant_of(from)
				and (tenant_of(target) == tenant_of_host(own_host) or is_member(room, target)) then
				return;
			end
			return refuse(event);
		end
	end
	module:hook("muc-pre-invite", guard_relayed("invite"), 1000);
	module:hook("muc-pre-decline", guard_relayed("decline"), 1000);

	-- Rooms relay IQs between occupants, some of them to the account (vCard, PEP), which answers by itself. That is
	-- talk between users, not with the room; one's own occupant JID (XEP-0410) is fine.
	module:hook("iq/full", function (event)
		local stanza = event.stanza;
		local kind = stanza.attr.type;
		if (kind ~= "get" and kind ~= "set") or is_service(stanza.attr.from) then return; end
		local room = room_of(stanza.attr.to);
		local occupant = room and room:get_occupant_by_nick(stanza.attr.to);
		if occupant and tenant_of(occupant.bare_jid) ~= tenant_of(stanza.attr.from) then return refuse(event); end
	end, 900);

	-- In a room that is not members-only, one who loses their affiliation stays inside. A foreigner must not.
	module:hook("muc-set-affiliation", function (event)
		local room, jid = event.room, event.jid;
		if not event.in_room or member_ranks[event.affiliation] or not jid_split(jid)
			or tenant_of(jid) == tenant_of_host(own_host) or is_service(jid) then
			return;
		end
		local nicks = {};
		for nick, occupant in room:each_occupant() do
			if occupant.bare_jid == jid then nicks[#nicks + 1] = nick; end
		end
		for _, nick in ipairs(nicks) do room:set_role(true, nick, nil, "Your membership of this room has ended"); end
	end);
end
