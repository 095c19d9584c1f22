--- Lets the server admin read and change any user's roster (RFC 6121, section 2) on this host.
--
-- Two operations, both for a session of one of the configured `admins` only and both addressed to the
-- user's bare JID:
--   * `jabber:iq:roster` get and set, as the user could do them;
--   * `urn:quobis:sippo:roster-group:0`: put one contact into, or take it out of, one roster group in a single
--     step, so that a concurrent change of the item's name, subscription or other groups is never lost:
--
--       <iq type='set' to='alice@a.example'>
--         <group xmlns='urn:quobis:sippo:roster-group:0' name='friends' max='5000'><add jid='bob@a.example'/></group>
--       </iq>
--
--     or read the JIDs of one group, whatever else is in the roster:
--
--       <iq type='get' to='alice@a.example'><group xmlns='urn:quobis:sippo:roster-group:0' name='friends'/></iq>
--       <iq type='result' from='alice@a.example'>
--         <group xmlns='urn:quobis:sippo:roster-group:0' name='friends'><item jid='bob@a.example'/> …</group>
--       </iq>
--
-- Everybody else gets what they would get without this module.
-- A user's own bare JID is no roster item (RFC 6121 lets a server refuse it, and Prosody removes such items
-- when it loads a roster): adding it is `not-allowed`, removing it changes nothing.

local st = require "util.stanza";
local jid_prep = require "util.jid".prep;
local jid_resource = require "util.jid".resource;
local jid_split = require "util.jid".split;
local user_exists = require "core.usermanager".user_exists;
local rostermanager = require "core.rostermanager";

local is_service = module:require "sippo_service".is_service;
local rosters = module:require "sippo_roster_size";

local quota = module:get_option_number("sippo_roster_quota", 1024 * 1024); -- bytes

local xmlns_roster = "jabber:iq:roster";
local xmlns_group = "urn:quobis:sippo:roster-group:0";
local own_jid_text = "Nobody is their own contact; leave the user's own JID out";

module:add_feature(xmlns_group);

--- Name of the user whose roster an admin addresses, or nil when this module has nothing to say.
local function addressed_user(event)
	local origin, to = event.origin, event.stanza.attr.to;
	-- `to` is nil for one's own account: that is mod_roster's.
	if not to or origin.type ~= "c2s" or not is_service(origin.full_jid) then return nil; end
	local username = jid_split(to);
	return user_exists(username, module.host) and username or nil;
end

--- The user's roster, the very table that their sessions see; nil when the store cannot be read.
local function load_roster(username)
	local roster = rostermanager.load_roster(username, module.host);
	if not roster[false].broken then return roster; end
	-- A failed read leaves an empty roster behind that can never be saved: forget it, read once more.
	local bare = username.."@"..module.host;
	local host, user = prosody.hosts[module.host], prosody.bare_sessions[bare];
	if host.roster_cache then host.roster_cache:set(bare, nil); end
	if user then user.roster = nil; end
	roster = rostermanager.load_roster(username, module.host);
	for _, session in pairs(user and user.sessions or {}) do session.roster = roster; end
	return not roster[false].broken and roster or nil;
end

--- Puts `item` (nil: nothing) in place of `contact`; on a failed write memory stays as the store is.
local function replace_item(username, roster, contact, item)
	local old_item, old_version = roster[contact], roster[false].version;
	roster[contact] = item;
	local ok, saved = pcall(rostermanager.save_roster, username, module.host, roster, contact);
	if not ok or not saved then
		roster[contact], roster[false].version = old_item, old_version;
		module:log("error", "Could not save the roster of %s@%s; look for the storage error above and mend the store",
			username, module.host);
		return false;
	end
	rostermanager.roster_push(username, module.host, contact);
	return true;
end

local function copy_item(item)
	local copy, groups = {}, {};
	for k, v in pairs(item or { subscription = "none" }) do copy[k] = v; end
	for group in pairs(item and item.groups or {}) do groups[group] = true; end
	copy.groups = groups;
	return copy;
end

local function storage_error(stanza)
	return st.error_reply(stanza, "wait", "internal-server-error", "The roster store failed; try again later");
end

--- A bare JID in canonical form, or nil.
local function contact_jid(raw)
	local jid = raw and jid_prep(raw);
	return jid and not jid_resource(jid) and jid or nil;
end

-- Group sizes ---------------------------------------------------------------

-- Counting a group walks the roster, so the sizes are kept beside it. The roster's version grows with every save,
-- by whomever, so a size is good as long as it was taken at the version the roster has now.
local sizes_of = setmetatable({}, { __mode = "k" });

local function group_size(roster, group)
	local version, known = roster[false].version or 0, sizes_of[roster];
	if not known or known.version ~= version or type(version) ~= "number" then
		known = { version = version, sizes = {} };
		sizes_of[roster] = known;
	end
	local size = known.sizes[group];
	if not size then
		size = 0;
		for jid, item in pairs(roster) do
			if jid and item.groups and item.groups[group] then size = size + 1; end
		end
		known.sizes[group] = size;
	end
	return size;
end

--- Carries the size of `group` over the version that a change of ours made; other groups did not change.
local function group_resized(roster, group, by)
	local known = sizes_of[roster];
	if not known then return; end
	known.version = roster[false].version or 0;
	known.sizes[group] = known.sizes[group] and known.sizes[group] + by;
end

-- One contact in or out of one group ----------------------------------------

local function add_to_group(username, contact, group, max)
	if contact == username.."@"..module.host then
		return "cancel", "not-allowed", own_jid_text;
	end
	local roster = load_roster(username);
	if not roster then return "wait"; end
	local item = roster[contact];
	if item and item.groups[group] then return nil; end
	local size = group_size(roster, group);
	if max and size >= max then return "wait", "resource-constraint"; end
	local changed = copy_item(item);
	changed.groups[group] = true;
	if rosters.size(roster) + rosters.size_of_item(contact, changed) > quota then return "wait", "resource-constraint"; end
	if not replace_item(username, roster, contact, changed) then return "wait"; end
	group_resized(roster, group, 1);
	return nil;
end

local function remove_from_group(username, contact, group)
	local roster = load_roster(username);
	if not roster then return "wait"; end
	local item = roster[contact];
	if not item or not item.groups[group] then return nil; end
	group_size(roster, group); -- so that the versions below connect
	local changed = copy_item(item);
	changed.groups[group] = nil;
	local held = next(changed.groups) or changed.subscription ~= "none" or changed.ask or changed.approved
		or roster[false].pending[contact];
	if not replace_item(username, roster, contact, held and changed or nil) then return "wait"; end
	group_resized(roster, group, -1);
	return nil;
end

module:hook("iq-set/bare/"..xmlns_group..":group", function (event)
	local origin, stanza = event.origin, event.stanza;
	local username = addressed_user(event);
	if not username then return; end

	local op = stanza.tags[1];
	local change, group, max = op.tags[1], op.attr.name, op.attr.max;
	local contact = change and contact_jid(change.attr.jid);
	if #op.tags ~= 1 or change.attr.xmlns ~= xmlns_group or (change.name ~= "add" and change.name ~= "remove")
		or not contact or not group or group == "" or (max and not max:match("^%d+$")) then
		origin.send(st.error_reply(stanza, "modify", "bad-request",
			"Send one <add/> or <remove/> with a bare JID, a group name, and max (if at all) as a number"));
		return true;
	end

	local err_type, condition, text;
	if change.name == "add" then
		err_type, condition, text = add_to_group(username, contact, group, tonumber(max));
	else
		err_type, condition, text = remove_from_group(username, contact, group);
	end
	if not err_type then
		origin.send(st.reply(stanza));
	elseif not condition then
		origin.send(storage_error(stanza));
	elseif condition == "resource-constraint" then
		local reply = st.error_reply(stanza, err_type, condition, "The list is full; remove an entry first");
		reply:get_child("error"):tag("list-full", { xmlns = xmlns_group }):up();
		origin.send(reply);
	else
		origin.send(st.error_reply(stanza, err_type, condition, text));
	end
	return true;
end);

module:hook("iq-get/bare/"..xmlns_group..":group", function (event)
	local origin, stanza = event.origin, event.stanza;
	local username = addressed_user(event);
	if not username then return; end

	local group = stanza.tags[1].attr.name;
	if not group or group == "" then
		origin.send(st.error_reply(stanza, "modify", "bad-request", "Give the name of a group"));
		return true;
	end
	local roster = load_roster(username);
	if not roster then
		origin.send(storage_error(stanza));
		return true;
	end
	local reply = st.reply(stanza):tag("group", { xmlns = xmlns_group, name = group });
	for jid, item in pairs(roster) do
		if jid and item.groups[group] then reply:tag("item", { jid = jid }):up(); end
	end
	origin.send(reply);
	return true;
end);

-- jabber:iq:roster for any user (RFC 6121, sections 2.1.3 and 2.1.5) ----------

local function tag_items(query, roster)
	for jid, item in pairs(roster) do
		if jid then
			query:tag("item", { jid = jid, subscription = item.subscription, ask = item.ask, name = item.name });
			for group in pairs(item.groups) do query:text_tag("group", group); end
			query:up();
		end
	end
end

module:hook("iq-get/bare/"..xmlns_roster..":query", function (event)
	local origin, stanza = event.origin, event.stanza;
	local username = addressed_user(event);
	if not username then return; end

	local roster = load_roster(username);
	if not roster then
		origin.send(storage_error(stanza));
		return true;
	end
	local reply = st.reply(stanza);
	local version = tostring(roster[false].version or 1);
	if stanza.tags[1].attr.ver ~= version then -- else: what the asker has is current (section 2.6)
		reply:query(xmlns_roster);
		reply.tags[1].attr.ver = version;
		tag_items(reply, roster);
	end
	origin.send(reply);
	return true;
end, 10);

--- The item that a roster set makes of `old`: name and groups are the request's, the rest is the server's.
local function updated_item(old, request)
	local item = copy_item(old);
	item.name = request.attr.name ~= "" and request.attr.name or nil;
	item.groups = {};
	for group in request:childtags("group") do
		local text = group:get_text();
		if text and text ~= "" then item.groups[text] = true; end
	end
	return item;
end

module:hook("iq-set/bare/"..xmlns_roster..":query", function (event)
	local origin, stanza = event.origin, event.stanza;
	local username = addressed_user(event);
	if not username then return; end

	local query = stanza.tags[1];
	local request = query.tags[1];
	local contact = request and contact_jid(request.attr.jid);
	if #query.tags ~= 1 or request.name ~= "item" or request.attr.xmlns ~= xmlns_roster or not contact then
		origin.send(st.error_reply(stanza, "modify", "bad-request", "Send exactly one <item/> with a bare JID"));
		return true;
	elseif contact == username.."@"..module.host then
		origin.send(st.error_reply(stanza, "cancel", "not-allowed", own_jid_text));
		return true;
	end
	local roster = load_roster(username);
	if not roster then
		origin.send(storage_error(stanza));
		return true;
	end

	local old, new = roster[contact], nil;
	if request.attr.subscription ~= "remove" then
		local problem = rosters.problem(request);
		if problem then
			origin.send(st.error_reply(stanza, "modify", "not-acceptable", problem));
			return true;
		end
		new = updated_item(old, request);
	elseif not old then
		origin.send(st.error_reply(stanza, "cancel", "item-not-found", "No such contact; nothing needs to be removed"));
		return true;
	end
	if not replace_item(username, roster, contact, new) then
		origin.send(storage_error(stanza));
		return true;
	end
	if not new then
		-- The contact learns that the subscriptions are over. Sent for the user: the admin's session must not show.
		module:fire_event("roster-item-removed", {
			username = username, jid = contact, item = old, roster = roster, origin = prosody.hosts[module.host],
		});
	end
	origin.send(st.reply(stanza));
	return true;
end, 10);
