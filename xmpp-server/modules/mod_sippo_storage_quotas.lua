--- How much a user may store: roster, private XML, block list, PEP with bookmarks and vCard, push registrations.
--
-- All of it comes back in one answer some day, lies in memory while the user is there, and nobody takes it away. What
-- would be too much is refused with `resource-constraint` and a text before a stock module sees it; what is there
-- stays, and what makes it less passes. In bytes: `sippo_roster_quota`, `sippo_private_quota`, `sippo_blocklist_quota`,
-- `sippo_pep_quota`, `sippo_vcard_quota`; in numbers: `sippo_pep_node_limit`, `sippo_bookmark_limit`,
-- `sippo_push_limit`. The service's own changes to rosters have the same limit (mod_sippo_roster_admin).

local st = require "util.stanza";
local jid_bare = require "util.jid".bare;
local jid_prep = require "util.jid".prep;
local jid_split = require "util.jid".split;
local load_roster = require "core.rostermanager".load_roster;

local size_of = module:require "sippo_stanza_size";
local rosters = module:require "sippo_roster_size";
local usage = module:require "sippo_usage";

local pep = module:depends "pep";

local function limit(name, default) return module:get_option_number("sippo_"..name, default); end
local roster_quota = limit("roster_quota", 1024 * 1024);
local private_quota = limit("private_quota", 256 * 1024);
local blocklist_quota = limit("blocklist_quota", 64 * 1024);
local pep_quota = limit("pep_quota", 1024 * 1024);
local pep_node_limit = limit("pep_node_limit", 100);
local vcard_quota = limit("vcard_quota", 128 * 1024);
local bookmark_limit = limit("bookmark_limit", 500);
local presence_limit = limit("presence_limit", 16 * 1024);
local push_limit = limit("push_limit", 20);

local row = 100; -- bytes that a row costs beside its value
local own_subscriptions = 10; -- to one node of somebody else's

local xmlns_pubsub = "http://jabber.org/protocol/pubsub";
local xmlns_bookmarks = "urn:xmpp:bookmarks:1";
local mark = '"xmlns":"urn:quobis:sippo:bookmark:0"'; -- as it is stored; nobody else can put it there

local function refuse(event, text, condition)
	event.origin.send(st.error_reply(event.stanza, condition and "modify" or "wait", condition or "resource-constraint",
		text));
	return true;
end

local function full(event, what)
	return refuse(event, "There is no more room for "..what..": remove something first");
end

--- Hooks requests that are sets, before the events for sets alone: stock modules hook either.
local function hook_set(event_name, handler)
	module:hook(event_name, function (event)
		if event.stanza.attr.type == "set" then return handler(event); end
	end, 100);
end

-- Roster (RFC 6121) --------------------------------------------------------------------

hook_set("iq/self/jabber:iq:roster:query", function (event)
	local item = event.stanza.tags[1].tags[1];
	local jid = item and jid_prep(item.attr.jid);
	if not jid or item.attr.subscription == "remove" then return; end
	local problem = rosters.problem(item);
	if problem then return refuse(event, problem, "not-acceptable"); end
	local roster = event.origin.roster;
	local old = roster[jid] and rosters.size_of_item(jid, roster[jid]) or 0;
	local new = size_of(item);
	if new > old and rosters.size(roster) - old + new > roster_quota then return full(event, "contacts"); end
end);

--- Whether the roster of `username` has no place for one more contact.
local function has_full_roster(username, jid)
	local roster = load_roster(username, module.host);
	return not roster[jid] and rosters.size(roster) + #jid + row > roster_quota;
end

local asks = { subscribe = true, subscribed = true };

for _, event_name in ipairs { "pre-presence/bare", "pre-presence/full" } do
	module:hook(event_name, function (event)
		local origin, stanza = event.origin, event.stanza;
		local to = stanza.attr.to; -- none: to oneself
		if asks[stanza.attr.type] and to and origin.username and has_full_roster(origin.username, jid_bare(to)) then
			return full(event, "contacts");
		end
	end, 10);
end

-- Somebody else's request waits in the roster.
module:hook("presence/bare", function (event)
	local stanza = event.stanza;
	if stanza.attr.type ~= "subscribe" or not stanza.attr.to then return; end
	local username = jid_split(stanza.attr.to);
	if has_full_roster(username, jid_bare(stanza.attr.from)) then
		return refuse(event, "The user's list of contacts is full");
	end
end, 20);

-- A presence is kept, and goes to every contact and occupant.
module:hook("pre-stanza", function (event)
	local stanza = event.stanza;
	if stanza.name ~= "presence" or stanza.attr.type == "error" or size_of(stanza) <= presence_limit then return; end
	return refuse(event, "A presence is at most "..presence_limit.." bytes", "policy-violation");
end, 890);

-- Private XML (XEP-0049) and vCards (XEP-0054, XEP-0292) ----------------------------------

hook_set("iq/bare/jabber:iq:private:query", function (event)
	local tag = event.stanza.tags[1].tags[1];
	if event.stanza.attr.to or not tag or #tag == 0 then return; end
	if tag.attr.xmlns == "storage:bookmarks" then -- mod_bookmarks makes items of PEP of them, instead of those before
		if #tag.tags > bookmark_limit then return full(event, "bookmarks"); end
		return;
	end
	local key = tag.name..":"..(tag.attr.xmlns or "");
	local rows, bytes = usage.of_keys("private", event.origin.username, key);
	if bytes + (rows + 1) * row + size_of(tag) > private_quota then return full(event, "private XML"); end
end);

for _, payload in ipairs { "vcard-temp:vCard", "urn:ietf:params:xml:ns:vcard-4.0:vcard" } do
	module:hook("iq-set/self/"..payload, function (event)
		if size_of(event.stanza.tags[1]) <= vcard_quota then return; end
		return refuse(event, "A vCard is at most "..vcard_quota.." bytes");
	end, 10);
end

-- Block list (XEP-0191) ---------------------------------------------------------------------

local blocklists = module:open_store("blocklist");

module:hook("iq-set/self/urn:xmpp:blocking:block", function (event)
	local bytes = 0;
	for jid in pairs(blocklists:get(event.origin.username) or {}) do
		if jid then bytes = bytes + #jid + 32; end
	end
	for item in event.stanza.tags[1]:childtags("item") do bytes = bytes + #(item.attr.jid or "") + 32; end
	if bytes > blocklist_quota then return full(event, "blocked addresses"); end
end, 10);

-- PEP (XEP-0163), bookmarks among it (XEP-0402) -------------------------------------------------

local stores = { publish = true, create = true, configure = true, subscribe = true, subscriptions = true,
	affiliations = true };

--- How many of the subscriptions to a node are the sender's, by whatever resource.
local function subscriptions_of(service, node, from)
	local count = 0;
	for jid in pairs(service.nodes[node] and service.nodes[node].subscribers or {}) do
		if jid_bare(jid) == from then count = count + 1; end
	end
	return count;
end

local function check_node(event, service, action)
	local node, count = action.attr.node, 0;
	if action.name == "subscribe" then
		if subscriptions_of(service, node, jid_bare(event.stanza.attr.from)) >= own_subscriptions then
			return full(event, "subscriptions of yours to this node");
		end
	elseif not service.nodes[node or ""] then
		for _ in pairs(service.nodes) do count = count + 1; end
		if count >= pep_node_limit then return full(event, "nodes"); end
	end
end

--- Bytes of the bookmarks that the service has put there (mod_sippo_bookmarks): they are not the user's.
local function size_of_ours(username)
	local rows, bytes = usage.with_text("pep_"..xmlns_bookmarks, username, mark);
	return bytes + rows * row;
end

--- How many bookmarks are of a user's own making, but for one.
local function own_bookmarks(username, except)
	local count = usage.of_archives("pep_"..xmlns_bookmarks, username, "pep_"..xmlns_bookmarks, except);
	if count < bookmark_limit then return count; end
	return count - (usage.with_text("pep_"..xmlns_bookmarks, username, mark, except));
end

hook_set("iq/bare/"..xmlns_pubsub..":pubsub", function (event)
	local origin, stanza = event.origin, event.stanza;
	local action = stanza.tags[1].tags[1];
	if not action or not stores[action.name] then return; end
	local username = stanza.attr.to and jid_split(stanza.attr.to) or origin.username;
	local refused = check_node(event, pep.get_pep_service(username), action);
	if refused then return true; end
	local node, item = action.attr.node or "", action:get_child("item");
	local key = item and item.attr.id;
	local rows, bytes = usage.of_archives("pep_", username, "pep_"..node, key);
	local config_rows, config_bytes = usage.of_keys("pep", username);
	local size = bytes + config_bytes + (rows + config_rows + 1) * row + size_of(action);
	if size > pep_quota and size - size_of_ours(username) > pep_quota then
		return full(event, "items of PEP");
	elseif node == xmlns_bookmarks and action.name == "publish" and own_bookmarks(username, key) >= bookmark_limit then
		return full(event, "bookmarks");
	end
end);

hook_set("iq/bare/"..xmlns_pubsub.."#owner:pubsub", function (event)
	local stanza = event.stanza;
	local username = stanza.attr.to and jid_split(stanza.attr.to) or event.origin.username;
	local action = stanza.tags[1].tags[1];
	if not action or not stores[action.name] then return; end
	local rows, bytes = usage.of_keys("pep", username);
	if bytes + rows * row + size_of(action) > pep_quota then return full(event, "settings of nodes"); end
end);

-- Push (XEP-0357) --------------------------------------------------------------------------------

local registrations = module:open_store("cloud_notify");

module:hook("iq-set/self/urn:xmpp:push:0:enable", function (event)
	local enable, count = event.stanza.tags[1], 0;
	local key = (enable.attr.jid or "").."<"..(enable.attr.node or "");
	for known in pairs(registrations:get(event.origin.username) or {}) do
		if known ~= key then count = count + 1; end
	end
	if count >= push_limit then return full(event, "push registrations"); end
	if size_of(enable) > presence_limit then return refuse(event, "A push registration is too long", "not-acceptable"); end
end, 10);
