--- A quota for offline messages (XEP-0160), and their delivery at the first presence that may have them.
--
-- mod_offline stores what comes for a user without an available resource, in order and without a limit. This module
--   * refuses a message beyond `sippo_offline_quota` messages a user (default 1000), or when they have
--     `sippo_offline_byte_quota` bytes (default 2 MiB: all are delivered at once), with `resource-constraint`;
--   * does not store what is only a chat state (XEP-0160, section 3), also when mod_smacks hands it in with a delay;
--   * delivers when a client raises its priority from below zero, where mod_presence only looks at the first presence;
--   * clears the store for a client that reads its archive instead (mod_mam leaves such messages lying, so the quota
--     of a user with such clients would fill up for good). What the archive does not hold is delivered.

local st = require "util.stanza";
local datetime = require "util.datetime";
local jid_bare = require "util.jid".bare;
local jid_split = require "util.jid".split;
local new_cache = require "util.cache".new;

local hook_global = module:require "sippo_global_hook";

module:depends "offline";

local size_of = module:require "sippo_stanza_size";
local usage = module:require "sippo_usage";

local quota = module:get_option_number("sippo_offline_quota", 1000);
local byte_quota = module:get_option_number("sippo_offline_byte_quota", 2 * 1024 * 1024);
local store = module:open_store("offline", "archive");

local bare_sessions, full_sessions = prosody.bare_sessions, prosody.full_sessions;

local xmlns_chatstates = "http://jabber.org/protocol/chatstates";
local xmlns_hints = "urn:xmpp:hints";
local xmlns_stanza_id = "urn:xmpp:sid:0";
local xmlns_delay = "urn:xmpp:delay";

-- How many messages wait for a user, so that the store is asked once and not for every message.
-- { count = number, bytes = of all of them, full = whether that was logged }
local fills = new_cache(module:get_option_number("sippo_offline_count_cache_size", 10000));

local function fill_of(username)
	local fill = fills:get(username);
	if fill then return fill; end
	local total, bytes, answered = usage.of_archives("offline", username);
	if not answered then
		local found;
		found, total = store:find(username, { total = true, limit = 0 });
		if not found then return nil; end -- the store fails; mod_offline will say so
	end
	fill = { count = total, bytes = bytes, full = false };
	fills:set(username, fill);
	return fill;
end

local function is_chat_state_only(stanza)
	local found = false;
	for _, child in ipairs(stanza.tags) do
		local xmlns = child.attr.xmlns;
		if xmlns == xmlns_chatstates then
			found = true;
		elseif child.name ~= "thread" and xmlns ~= xmlns_hints and xmlns ~= xmlns_stanza_id and xmlns ~= xmlns_delay then
			return false;
		end
	end
	return found;
end

--- Tells the sender. mod_smacks hands in what a dead session did not acknowledge with that session as the origin.
local function refuse(event)
	local origin, stanza = event.origin, event.stanza;
	local reply = st.error_reply(stanza, "wait", "resource-constraint",
		"Too many messages wait for this user; try again when the user has been online");
	if origin.type == "c2s" and jid_bare(stanza.attr.from) ~= jid_bare(origin.full_jid) then
		module:send(reply);
	else
		origin.send(reply);
	end
end

--- Refuses the event's message and answers true if the store of `username` is full.
local function refuse_if_full(event, username)
	local fill = fill_of(username);
	if not fill or fill.count < quota and fill.bytes < byte_quota then return nil; end
	if not fill.full then
		fill.full = true;
		module:log("warn", "The offline messages of %s@%s have reached the quota of %d; further ones are refused until"
			.." the user has been online (sippo_offline_quota, or sippo_offline_byte_quota of %d bytes)", username, module.host,
			quota, byte_quota);
	end
	refuse(event);
	return true;
end

local offline_types = { chat = true, normal = true };

-- Before mod_mam (0) puts into the archive what its sender is then told was refused. The conditions are those under
-- which mod_message hands a message to mod_offline.
local function before_archiving(event)
	local stanza = event.stanza;
	local to = stanza.attr.to or event.origin.username.."@"..module.host;
	if not offline_types[stanza.attr.type or "normal"] or full_sessions[to] then return; end
	local user = bare_sessions[jid_bare(to)];
	if user and user.top_resources or is_chat_state_only(stanza) then return; end
	return refuse_if_full(event, (jid_split(to)));
end
module:hook("message/bare", before_archiving, 10);
module:hook("message/full", before_archiving, 10);

-- Before mod_cloud_notify (1), which would announce a message that is not there, and mod_offline (-1).
module:hook("message/offline/handle", function (event)
	if is_chat_state_only(event.stanza) or refuse_if_full(event, event.username) then return true; end
end, 10);

local function count(event, change)
	local fill = fills:get(event.username);
	if not fill then return; end
	fill.count, fill.bytes = fill.count + change, fill.bytes + change * size_of(event.stanza);
end

-- Just before mod_offline, when no other module can throw any more.
module:hook("message/offline/handle", function (event) count(event, 1); end, -0.5);

-- Only reached when mod_offline could not store.
module:hook("message/offline/handle", function (event) count(event, -1); end, -1.5);

local function forget(username)
	fills:set(username, nil);
end

module:hook("message/offline/broadcast", function (event)
	local origin = event.origin;
	forget(origin.username);
	if not origin.mam_requested then return; end -- mod_offline delivers all and empties the store
	local waiting = store:find(origin.username);
	local own_jid = origin.username.."@"..module.host;
	for _, stanza, when in waiting or function () end do
		if not stanza:get_child_with_attr("stanza-id", xmlns_stanza_id, "by", own_jid) then
			stanza:tag("delay", { xmlns = xmlns_delay, from = module.host, stamp = datetime.datetime(when) }):up();
			origin.send(stanza);
		end
	end
	if waiting then store:delete(origin.username); end
	return true;
end, 1);

-- mod_presence delivers only at a session's first presence.
module:hook("presence/bare", function (event)
	local origin, stanza = event.origin, event.stanza;
	if stanza.attr.to or stanza.attr.type or not origin.presence or (origin.priority or 0) >= 0 then return; end
	local priority = tonumber(stanza:get_child_text("priority") or "0") or 0;
	if priority >= 0 then module:fire_event("message/offline/broadcast", { origin = origin }); end
end, 1);

-- It has counted what is not there.
hook_global("sippo-transaction-failed", function () fills:clear(); end);

module:hook("sippo-offline-changed", function (event) forget(event.username); end);

hook_global("user-deleted", function (event)
	if event.host == module.host then forget(event.username); end
end);
