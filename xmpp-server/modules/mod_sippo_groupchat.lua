--- A room's message goes straight to its addressee's session.
--
-- Between the checks of who may send to whom and the session, six modules look at each message and leave group
-- messages alone: half of what a delivery costs. They are passed over when a message has nothing in it that they know,
-- and when they are the only ones: with any other handler of such messages there, all is as Prosody has it.

local get_handlers = prosody.hosts[module.host].events.get_handlers;
local user_exists = require "core.usermanager".user_exists;
local jid_split = require "util.jid".split;
local st = require "util.stanza";

local is_plain = module:require "sippo_broadcast".is_plain;

local full_sessions = prosody.full_sessions;

-- Who may come after this module, by event
local passed_over = {
	["message/full"] = {
		mod_sippo_offline_quota = true, mod_mam = true, mod_carbons = true, mod_sippo_delivery = true, mod_message = true,
		mod_sippo_group_commit = true,
	},
	["archive-should-store"] = { mod_mam = true },
	["carbons-should-copy"] = { mod_carbons = true },
};

local function module_of(handler)
	return debug.getinfo(handler, "S").source:match("(mod_[%w_]+)%.lua$");
end

local deliver;

local function may_pass(handlers, names)
	local is_after = names ~= passed_over["message/full"];
	for _, handler in ipairs(handlers or {}) do
		if is_after and not names[module_of(handler)] then return false; end
		if handler == deliver then is_after = true; end
	end
	return true;
end

--- util.events makes a new list when a handler comes or goes.
local looked_at, passing = {}, false;
local function may_pass_all()
	local changed = false;
	for event_name in pairs(passed_over) do
		local handlers = get_handlers(event_name);
		if looked_at[event_name] ~= handlers then looked_at[event_name], changed = handlers, true; end
	end
	if changed then
		passing = true;
		for event_name, names in pairs(passed_over) do passing = passing and may_pass(looked_at[event_name], names); end
		module:log("debug", "Group messages %s", passing and "pass over handlers that leave them alone"
			or "go through all handlers: there are some that are not known");
	end
	return passing;
end

--- As mod_message has it
local function refuse(event)
	local node, host = jid_split(event.stanza.attr.to);
	if user_exists(node, host) and module:fire_event("message/bare/groupchat", event) then return; end
	event.origin.send(st.error_reply(event.stanza, "cancel", "service-unavailable"));
end

function deliver(event)
	local stanza = event.stanza;
	if not is_plain(stanza) then return; end
	local session = full_sessions[stanza.attr.to];
	if not session or not may_pass_all() then return; end
	if not session.send(stanza) then refuse({ origin = event.origin, stanza = stanza }); end
	return true;
end

-- After mod_sippo_tenant_isolation (1000) and mod_blocklist (100)
module:hook("message/full", deliver, 50);
