--- A guest's stanzas take no more than a share of the server's time, and are not answered faster than they are sent.
--
-- What mod_sippo_fair_share is for the users of this server, this is for those of other cells, in the rooms here. A
-- stream between cells is read on whatever one user sends, since it is others' as well. So what has to wait waits here:
-- a guest's stanzas, while they have taken more than their share (`sippo_user_time_share`, `sippo_user_time_burst`),
-- and others than messages while more than `sippo_unsent_limit` bytes are not on their way to the guest's tenant. All
-- of a guest's stanzas are handled in their order. More than `sippo_guest_queue` (default 500) of them, or 20 times as
-- many of all guests together, do not wait: they are refused, which is no loss.

local now = require "util.time".monotonic;
local jid_bare = require "util.jid".bare;
local jid_host = require "util.jid".host;
local st = require "util.stanza";

local budget = module:require "sippo_time_budget".spend;
local unsent = module:require "sippo_send_buffer";

local unsent_limit = module:get_option_number("sippo_unsent_limit", 256 * 1024);
local most = module:get_option_number("sippo_guest_queue", 500);
local pause = 0.01; -- seconds until one stanza of each guest is looked at again

local queues = {}; -- [bare JID] = { { name = of the event, event = … }, … }
local held = 0; -- in all of them

--- Whether what the rooms here have said to a domain is not on its way yet.
local function is_behind(domain)
	local stream = prosody.hosts[module.host].s2sout[domain];
	if not stream then return false; end
	return stream.sendq ~= nil or stream.conn ~= nil and unsent(stream.conn) > unsent_limit;
end

local function has_to_wait(user, stanza)
	return budget(user, 0) < 0 or stanza.name ~= "message" and is_behind(jid_host(user));
end

--- Has a stanza's turn come, later than it did.
local function handle(item)
	local event = item.event;
	local stanza, origin = event.stanza, event.origin;
	if origin.type ~= "s2sin" then event.origin = prosody.hosts[module.host]; end -- the stream has ended: by another one
	local ok, result = pcall(module.fire_event, module, item.name, event);
	if not ok then
		module:log("error", "A guest's stanza was not handled: %s", result);
	elseif not result and stanza.name == "iq" and (stanza.attr.type == "get" or stanza.attr.type == "set") then
		event.origin.send(st.error_reply(stanza, "cancel", "service-unavailable"));
	end
end

local function take_turns()
	for user, queue in pairs(queues) do
		if not has_to_wait(user, queue[1].event.stanza) then
			held = held - 1;
			handle(table.remove(queue, 1));
			if not queue[1] then queues[user] = nil; end
		end
	end
	return next(queues) and pause or nil;
end

local function refuse(event)
	local stanza = event.stanza;
	if stanza.attr.type ~= "error" and stanza.attr.type ~= "result" then
		event.origin.send(st.error_reply(stanza, "wait", "resource-constraint",
			"You have sent more than this room's server handles for one user: try again later"));
	end
	return true;
end

--- Has a stanza wait, behind those of the same guest.
local function hold(user, name, event)
	local queue = queues[user] or {};
	if #queue >= most or held >= 20 * most then return refuse(event); end
	if not next(queues) then module:add_timer(pause, take_turns); end
	queues[user] = queue;
	held = held + 1;
	queue[#queue + 1] = { name = name, event = event };
	event.sippo_was_held = true;
	return true;
end

local function judge(handlers, name, event)
	local origin, stanza = event.origin, event.stanza;
	local user = stanza.attr.from and jid_bare(stanza.attr.from);
	if not user or origin.type ~= "s2sin" and not event.sippo_was_held then return handlers(name, event); end
	if not event.sippo_was_held and (queues[user] or has_to_wait(user, stanza)) then return hold(user, name, event); end
	local began = now();
	local result = handlers(name, event);
	budget(user, now() - began);
	return result;
end

for _, name in ipairs { "message", "presence", "iq" } do
	for _, address in ipairs { "bare", "full" } do module:wrap_event(name.."/"..address, judge); end
end
