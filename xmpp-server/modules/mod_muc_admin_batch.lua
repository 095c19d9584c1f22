--- Several affiliations in one muc#admin request of the server admin (XEP-0045, sections 9.8 and 10.5).
--
-- XEP-0045 allows a list of items; Prosody applies the first and ignores the rest without a word. Here the server
-- admin's list is checked as a whole, then applied as a whole and written once (one affiliation costs a write of the
-- whole room, so a list of a thousand costs one write instead of two thousand). An item that changes nothing is
-- neither broadcast nor a reason to write. From anybody else a list of more than one item is refused, not cut.
--
-- Announced as `urn:quobis:sippo:muc-admin-batch:0` in the component's disco#info.
--
-- Under that name there is a request of our own, too, for what muc#admin cannot say: that an affiliation is not to be
-- lowered, and that one bad item must not keep the others out. To the room's bare JID, from the server admin:
--
--   <affiliations xmlns='urn:quobis:sippo:muc-admin-batch:0' ended='E'>
--     <owner jid='…'/> <member jid='…'/> <exactly-member jid='…'/> <none jid='…' ended='E'/> …
--   </affiliations>
--
-- `ended` is optional: a room whose life (see sippo_lives) is not newer counts as absent. So nobody is let into a room
-- that has ended, and into its archive, because its end is handled later than their joining the next one.
-- It may carry `expires` (see sippo_expiry). `member` leaves owners and admins what they are. `none` also takes out an
-- occupant who has no affiliation to lose; its `ended`, optional too, is what ended the membership by what the service
-- knows: invitations for a newer spell are not taken back (see sippo_invitations).
-- It is answered when the bookmarks of those who are named agree with it (mod_sippo_muc_bookmarks).
-- The result names those that were refused, each with the error's type and condition (RFC 6120, section 8.3):
--
--   <affiliations xmlns='…'><refused jid='…' type='modify'><jid-malformed xmlns='…'/></refused> …</affiliations>

local st = require "util.stanza";
local jid_prep = require "util.jid".prep;
local jid_resource = require "util.jid".resource;

local muc = module:depends "muc";
local bookmarks = module:depends "sippo_muc_bookmarks";
local valid_affiliations = module:require "muc/util".valid_affiliations;
local lives = module:require "sippo_lives";
local service = module:require "sippo_service";

local xmlns_admin = "http://jabber.org/protocol/muc#admin";
local xmlns_batch = "urn:quobis:sippo:muc-admin-batch:0";
local xmlns_errors = "urn:ietf:params:xml:ns:xmpp-stanzas";

module:add_feature(xmlns_batch);

-- Rooms whose last write failed: what memory holds is not on disk, so the next request must write even when it
-- finds everything in place already.
local unsaved = setmetatable({}, { __mode = "k" });

-- Rooms that may not be saved, as bookmarks of memberships that have ended are there still.
local bookmarked = setmetatable({}, { __mode = "k" });

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
		elseif service.is_service(jid) then
			return nil, ("Item %d: '%s' is a server admin and owns every room; leave it out"):format(index, jid);
		end
		changes[index] = { jid = jid, affiliation = item.attr.affiliation, reason = item:get_child_text("reason") };
	end
	return changes;
end

--- Says whose membership is about to end (mod_sippo_muc_invitations), and takes away their bookmarks, before the room
-- is saved without them.
-- @param ends  { [bare JID] = what ended it by what the service knows, or true, … }
local function announce_ends(room, ends)
	if next(ends) == nil then return; end
	module:fire_event("sippo-membership-ended", { room = room, ends = ends });
	local users = {};
	for user in pairs(ends) do users[#users + 1] = user; end
	if not bookmarks.end_memberships(room, users) then unsaved[room], bookmarked[room] = true, true; end
end

--- Has bookmarks agree with the room that has been saved, then answers. Who waits in vain for that asks again.
local function answer_when_bookmarked(event, room, users, reply)
	bookmarks.agree(room.jid, users, function (ok)
		event.origin.send(ok and reply or st.error_reply(event.stanza, "wait", "internal-server-error",
			"The bookmarks could not be stored; try again later"));
	end);
end

--- Applies `changes` with `room.save` held back; answers whether anything changed, then set_affiliation's error.
local function apply(room, actor, changes)
	local changed, ended = false, {};
	local save = rawget(room, "save");
	room.save, room.sippo_batch = function () return true; end, true;
	local ok, failure = pcall(function ()
		for _, change in ipairs(changes) do
			if (room._affiliations[change.jid] or "none") ~= change.affiliation then
				local done, err_type, condition = room:set_affiliation(actor, change.jid, change.affiliation, change.reason);
				if not done then return { type = err_type, condition = condition, jid = change.jid }; end
				changed = true;
			end
			if valid_affiliations[change.affiliation] < valid_affiliations.member then ended[change.jid] = true; end
		end
	end);
	room.save, room.sippo_batch = save, nil;
	announce_ends(room, ended);
	if ok then return changed, failure; end
	module:log("error", "Could not apply a list of affiliations to %s: %s", room.jid, failure);
	-- The item that threw may have been applied in part.
	return true, { type = "wait", condition = "internal-server-error", jid = "the list" };
end

local function save_room(room)
	if bookmarked[room] then
		bookmarked[room] = nil;
		return false;
	end
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
	if not service.is_from_service(event) then
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
		local users = {};
		for index, change in ipairs(changes) do users[index] = change.jid; end
		answer_when_bookmarked(event, room, users, st.reply(stanza));
	end
	return true;
end, 10);

-- Each for itself --------------------------------------------------------------------

local wanted = { owner = "owner", member = "member", ["exactly-member"] = "member", none = "none" };

--- Does what one item asks for; true if that changed anything, nil and the error's type and condition if refused.
local function apply_one(room, actor, item)
	local affiliation = wanted[item.name];
	local jid = jid_prep(item.attr.jid);
	if not affiliation then return nil, "modify", "bad-request"; end
	if not jid or jid_resource(jid) then return nil, "modify", "jid-malformed"; end
	if item.attr.ended and not lives.parse(item.attr.ended) then return nil, "modify", "bad-request"; end
	local present = room._affiliations[jid] or "none";
	local keeps = item.name == "member" and valid_affiliations[present] > valid_affiliations.member;
	if present == affiliation or keeps then return false; end
	return room:set_affiliation(actor, jid, affiliation);
end

--- In a members-only room nobody is inside without an affiliation, unless it became so when they were.
local function take_out(room, jids)
	local nicks = {};
	for nick, occupant in room:each_occupant() do
		if jids[occupant.bare_jid] and not room._affiliations[occupant.bare_jid] then nicks[#nicks + 1] = nick; end
	end
	for _, nick in ipairs(nicks) do room:set_role(true, nick, nil); end
end

--- Applies all with `room.save` held back; answers whether anything changed, whether everybody is out, and whose
-- affiliation is as they were to be, and fills `reply` with refusals.
local function apply_each(room, actor, items, reply)
	local changed, gone, users = false, {}, {};
	local save = rawget(room, "save");
	room.save, room.sippo_batch = function () return true; end, true;
	for _, item in ipairs(items) do
		local ok, done, err_type, condition = pcall(apply_one, room, actor, item);
		if not ok then
			module:log("error", "Could not set an affiliation in %s: %s", room.jid, done);
			-- It may have been set in part.
			changed, done, err_type, condition = true, nil, "wait", "internal-server-error";
		end
		if done == nil then
			reply:tag("refused", { jid = item.attr.jid, type = err_type })
				:tag(condition, { xmlns = xmlns_errors }):up():up();
		else
			users[#users + 1] = jid_prep(item.attr.jid);
			if item.name == "none" then gone[users[#users]] = item.attr.ended or true; end
		end
		changed = changed or done;
	end
	local ok, err = pcall(take_out, room, gone);
	room.save, room.sippo_batch = save, nil;
	announce_ends(room, gone);
	if not ok then module:log("error", "Could not take everybody out of %s: %s", room.jid, err); end
	return changed, ok, users;
end

--- Whether the room's life is over by what the service knows; a room without a life was not made by it.
local function has_ended(room, ended)
	local life, ended_life = lives.parse(room._data.sippo_life), lives.parse(ended);
	return life and ended_life and not lives.is_newer(life, ended_life);
end

module:hook("iq-set/bare/"..xmlns_batch..":affiliations", function (event)
	local origin, stanza = event.origin, event.stanza;
	if service.refuse_unless_current(event) then return true; end
	local room = muc.get_room_from_jid(stanza.attr.to);
	if not room or room._data.destroyed or has_ended(room, stanza.tags[1].attr.ended) then
		origin.send(st.error_reply(stanza, "cancel", "item-not-found", "There is no such room"));
		return true;
	elseif room._data.locked == math.huge then -- mod_muc's stand-in for a room that it could not read
		origin.send(st.error_reply(stanza, "wait", "internal-server-error", "The room could not be read; try again later"));
		return true;
	end
	local reply = st.reply(stanza):tag("affiliations", { xmlns = xmlns_batch });
	local changed, complete, users = apply_each(room, stanza.attr.from, stanza.tags[1].tags, reply);
	if (changed or unsaved[room]) and not save_room(room) then
		origin.send(st.error_reply(stanza, "wait", "internal-server-error", "The room could not be saved; try again later"));
	elseif not complete then
		origin.send(st.error_reply(stanza, "wait", "internal-server-error", "Not everybody is out yet; try again later"));
	else
		answer_when_bookmarked(event, room, users, reply);
	end
	return true;
end);
