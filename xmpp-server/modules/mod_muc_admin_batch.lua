--- Several affiliations in one muc#admin request of the server admin (XEP-0045, sections 9.8 and 10.5).
--
-- XEP-0045 allows a list of items; Prosody applies the first and ignores the rest without a word. Here the server
-- admin's list is checked as a whole, then applied as a whole and written once (one affiliation costs a write of the
-- whole room, so a list of a thousand costs one write instead of two thousand). An item that changes nothing is
-- neither broadcast nor a reason to write. From anybody else a list of more than one item is refused, not cut.
--
-- Announced as `urn:quobis:sippo:muc-admin-batch:0` in the component's disco#info.

local st = require "util.stanza";
local jid_prep = require "util.jid".prep;
local jid_resource = require "util.jid".resource;
local is_admin = require "core.usermanager".is_admin;

local muc = module:depends "muc";
local valid_affiliations = module:require "muc/util".valid_affiliations;

local xmlns_admin = "http://jabber.org/protocol/muc#admin";

module:add_feature("urn:quobis:sippo:muc-admin-batch:0");

-- Rooms whose last write failed: what memory holds is not on disk, so the next request must write even when it
-- finds everything in place already.
local unsaved = setmetatable({}, { __mode = "k" });

--- Items that only set an affiliation by JID; roles and reserved nicknames are stock Prosody's, one at a time.
local function is_plain(item)
	return item.name == "item" and item.attr.affiliation and item.attr.jid and not item.attr.role and not item.attr.nick;
end

--- The changes that a list of items asks for, or nil and what is wrong with it.
local function parse(items)
	local changes = {};
	for index, item in ipairs(items) do
		if not is_plain(item) then
			return nil, ("Item %d: give each item an affiliation and a jid, and nothing else"):format(index);
		end
		local jid = jid_prep(item.attr.jid);
		if not jid or jid_resource(jid) then
			return nil, ("Item %d: '%s' is not a bare JID; correct it and send the list again"):format(index, item.attr.jid);
		elseif not valid_affiliations[item.attr.affiliation] then
			return nil, ("Item %d: '%s' is no affiliation; use owner, admin, member, none or outcast")
				:format(index, item.attr.affiliation);
		elseif is_admin(jid, module.host) then
			return nil, ("Item %d: '%s' is a server admin and owns every room; leave it out"):format(index, jid);
		end
		changes[index] = { jid = jid, affiliation = item.attr.affiliation, reason = item:get_child_text("reason") };
	end
	return changes;
end

--- Applies `changes` with `room.save` held back; answers whether anything changed, then set_affiliation's error.
local function apply(room, actor, changes)
	local changed = false;
	local save = rawget(room, "save");
	room.save = function () return true; end
	local ok, failure = pcall(function ()
		for _, change in ipairs(changes) do
			if (room._affiliations[change.jid] or "none") ~= change.affiliation then
				local done, err_type, condition = room:set_affiliation(actor, change.jid, change.affiliation, change.reason);
				if not done then return { type = err_type, condition = condition, jid = change.jid }; end
				changed = true;
			end
		end
	end);
	room.save = save;
	if ok then return changed, failure; end
	module:log("error", "Could not apply a list of affiliations to %s: %s", room.jid, failure);
	-- The item that threw may have been applied in part.
	return true, { type = "wait", condition = "internal-server-error", jid = "the list" };
end

local function save_room(room)
	local ok, saved = pcall(room.save, room, true);
	local good = ok and (saved or not room:get_persistent());
	unsaved[room] = not good or nil;
	if not good then
		module:log("error", "Could not save %s; look for the storage error above and mend the store", room.jid);
	end
	return good;
end

module:hook("iq-set/bare/"..xmlns_admin..":query", function (event)
	local origin, stanza = event.origin, event.stanza;
	local items = stanza.tags[1].tags;
	local by_admin = origin.type == "c2s" and is_admin(stanza.attr.from, module.host);
	if not by_admin then
		if #items <= 1 then return; end
		origin.send(st.error_reply(stanza, "cancel", "feature-not-implemented", "Send one item per request"));
		return true;
	elseif #items == 0 or (#items == 1 and not is_plain(items[1])) then
		return;
	end

	local room = muc.get_room_from_jid(stanza.attr.to);
	if not room or room._data.destroyed then return; end -- mod_muc says which of the two
	local changes, mistake = parse(items);
	if not changes then
		origin.send(st.error_reply(stanza, "modify", "bad-request", mistake));
		return true;
	end
	local changed, failure = apply(room, stanza.attr.from, changes);
	if (changed or unsaved[room]) and not save_room(room) then
		origin.send(st.error_reply(stanza, "wait", "internal-server-error", "The room could not be saved; try again later"));
	elseif failure then
		origin.send(st.error_reply(stanza, failure.type, failure.condition,
			("Refused at %s; the items before it are applied"):format(failure.jid)));
	else
		origin.send(st.reply(stanza));
	end
	return true;
end, 10);
